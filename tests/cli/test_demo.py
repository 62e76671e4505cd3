"""`usertcp demo --json`: one object that tells the truth, in memory and over veth."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import usertcp.cli
from usertcp.cli._demo import pcap
from usertcp.cli.demo import parse_size

LIMIT = 100


def demo(capture: Path, *options: str) -> tuple[dict[str, Any], int]:
    command = [sys.executable, "-m", "usertcp", "demo", "--json", "--keep-pcap", str(capture)]
    done = subprocess.run(
        [*command, "--size", "4MiB", *options], capture_output=True, timeout=LIMIT, check=False
    )
    assert done.stdout.count(b"\n") == 1, done.stdout
    return json.loads(done.stdout), done.returncode


def check(report: dict[str, Any], capture: Path) -> None:
    assert [c for c in report["checks"] if not c["ok"]] == []
    assert report["ok"] is True
    assert report["pcap"] == str(capture)
    assert pcap.count_packets(capture) > 100
    assert {"receive", "send"} <= report["throughput"]["usertcp"].keys()
    for connection in report["connections"]:
        path = connection["path"]
        assert path[0] in {"CLOSED", "LISTEN"}
        assert "ESTABLISHED" in path
        assert path[-1] in {"CLOSED", "TIME-WAIT"}
        assert all(step["cause"] for step in connection["transitions"])


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_in_memory(tmp_path: Path, loop: str):
    report, status = demo(tmp_path / "it.pcapng", "--memory", "--loop", loop)
    check(report, tmp_path / "it.pcapng")
    assert (status, report["mode"]) == (0, "memory")


@pytest.mark.netns
def test_where_namespaces_are_to_be_had(tmp_path: Path):
    report, status = demo(tmp_path / "it.pcapng")
    check(report, tmp_path / "it.pcapng")
    assert status == 0
    assert report["mode"] == "veth" or report["note"]


def test_a_capture_that_cannot_be_written_fails_in_words(tmp_path: Path):
    report, status = demo(tmp_path / "no such place" / "it.pcapng", "--memory")
    assert (status, report["ok"], report["pcap"]) == (1, False, None)
    assert "No such file" in report["checks"][0]["detail"]


@pytest.mark.parametrize("moment", ["the child is there", "packets go"])
def test_an_interrupt_leaves_no_process(tmp_path: Path, moment: str):
    capture = tmp_path / "it.pcapng"  # stands in the command line of the child
    command = [sys.executable, "-m", "usertcp", "demo", "--keep-pcap", str(capture)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + LIMIT
    while len(having(str(capture))) < 2 or (moment == "packets go" and not capture.exists()):
        assert time.monotonic() < end
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT)
    assert (process.returncode, b"nothing is left behind" in said) == (130, True), said
    end = time.monotonic() + 5  # a child that was just being born sees by its pipe that it is alone
    while having(str(capture)) and time.monotonic() < end:
        time.sleep(0.01)
    assert having(str(capture)) == []


def test_an_interrupt_of_any_command_is_130(monkeypatch: pytest.MonkeyPatch):
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(usertcp.cli, "import_module", interrupted)
    assert CliRunner().invoke(usertcp.cli.main, ["ping"]).exit_code == 130


def having(word: str) -> list[str]:
    """Processes with this word in their command line."""
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and word in command_line(pid)]


def command_line(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("64MiB", 64 << 20), (" 500 KiB ", 500 << 10), ("1gib", 1 << 30)]
)
def test_sizes(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "64MB", "4GiB", "1.5MiB", "MiB"])
def test_no_sizes(text: str):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


def test_a_damaged_capture_is_noticed(tmp_path: Path):
    demo(tmp_path / "it.pcapng", "--memory")
    data = (tmp_path / "it.pcapng").read_bytes()
    bad = tmp_path / "bad.pcapng"
    for damaged in (data[:-5], data[4:], data + b"tail", data[:4] + b"\xff" + data[5:]):
        bad.write_bytes(damaged)
        with pytest.raises(pcap.CaptureError):
            pcap.count_packets(bad)
