"""`usertcp ss` and `usertcp capture` against a program that runs."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from usertcp.cli import ss
from usertcp.cli._demo import pcap
from usertcp.cli.capture import Blocks

PROGRAM = """
import anyio, sys, usertcp
async def main():
    async with (
        usertcp.open_stack("memory:x", addresses=["10.7.0.1/24"], control=True) as a,
        usertcp.open_stack("memory:x", addresses=["10.7.0.2/24"], control=False) as b,
        await a.create_tcp_listener(local_port=80, backlog=3) as listener,
        await b.connect_tcp("10.7.0.1", 80) as client,
    ):
        server = await listener.listeners[0].accept()
        async with server, await b.connect_tcp("10.7.0.1", 80) as waiting:
            await server.send(bytes(100))
            await client.receive()
            await client.send(bytes(70))
            print("ready", flush=True)
            while True:
                await server.send(b"tick")
                await client.receive()
                await anyio.sleep(0.01)
anyio.run(main, backend=sys.argv[1])
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("USERTCP_CONTROL", raising=False)
    return tmp_path


@pytest.fixture(params=["asyncio", "trio"])
def program(home: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The number of a process with two connections."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, request.param], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield str(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def usertcp(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usertcp", *words]
    settings = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run(command, check=False, **settings)


def test_columns_and_filters(program: str):
    lines = usertcp("ss", "-a", program).stdout.splitlines()
    assert (
        lines[0].split()
        == ss.HEAD[0].split() + "Recv-Q Send-Q Local Address:Port Peer Address:Port".split()
    )
    rows = [line.split() for line in lines[1:]]
    assert sorted(row[0] for row in rows) == ["ESTABLISHED", "ESTABLISHED", "LISTEN"]
    assert ["LISTEN", "1", "3", "[::]:80", "*:*"] in rows
    assert {row[3] for row in rows if row[0] == "ESTABLISHED"} == {"10.7.0.1:80"}
    assert "70" in {row[1] for row in rows}  # what the program has not read

    [head, row] = usertcp("ss", "-l", program).stdout.splitlines()
    assert head.split()[-2:] == ["Half-Open", "Accept-Queue"]
    assert row.split()[-2:] == ["0", "1/3"]

    info = usertcp("ss", "-i", "--state", "established", "--sport", "80", program).stdout
    for word in ("cwnd:", "rtt:", "rto:", "mss:", "bytes_acked:"):
        assert word in info
    assert usertcp("ss", "-H", "--dport", "81", program).stdout == "\n"
    assert "segments_in" in usertcp("ss", "-s", program).stdout


def test_json(program: str):
    [one] = json.loads(usertcp("ss", "--json", "-a").stdout)
    assert one["pid"] == int(program)
    assert one["states"] == {"ESTABLISHED": 2, "LISTEN": 1}
    assert {row["state"] for row in one["connections"]} == {"ESTABLISHED", "LISTEN"}
    assert all(row["cwnd"] > 1460 for row in one["connections"] if row["state"] != "LISTEN")


def test_capture_to_a_file_and_to_a_pipe(program: str, tmp_path: Path):
    target = tmp_path / "it.pcapng"
    done = usertcp("capture", program, "-w", str(target), "-c", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["packets"] == 20 == pcap.count_packets(target)

    done = usertcp("capture", program, "-d", "0.3", "--json", text=False)
    target.write_bytes(done.stdout)
    assert pcap.count_packets(target) == json.loads(done.stderr)["packets"] > 5

    if importlib.util.find_spec("matplotlib"):
        picture = tmp_path / "it.png"
        done = usertcp("capture", program, "-w", str(target), "-c", "20", "--plot", str(picture))
        assert done.returncode == 0, done.stderr
        assert picture.read_bytes().startswith(b"\x89PNG")

    process = subprocess.Popen(
        [sys.executable, "-m", "usertcp", "capture", program], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.read(64)
    process.stdout.close()  # as `| head` does
    assert process.wait(20) == 0
    assert usertcp("ss", program).returncode == 0  # the program lives on


def test_nobody_there(home: Path):
    done = usertcp("ss")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usertcp: no control socket of any process")
    assert done.stderr.count("\n") == 1
    done = usertcp("ss", str(home / "none.sock"))
    assert done.returncode == 1
    assert "No such file" in done.stderr


def test_what_a_killed_program_left_is_removed(home: Path, program: str):
    os.kill(int(program), 9)
    os.waitid(os.P_PID, int(program), os.WEXITED | os.WNOWAIT)
    stale = home / "usertcp" / f"{program}.sock"
    stale.rename(stale.with_name("999999999.sock"))  # that number is nobody's
    assert usertcp("ss").returncode == 1
    assert list((home / "usertcp").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("established", {"ESTABLISHED"}),
        ("time_wait,LISTEN", {"TIME-WAIT", "LISTEN"}),
        ("syn-recv", {"SYN-RECEIVED"}),
        ("bucket", {"SYN-RECEIVED", "TIME-WAIT"}),
    ],
)
def test_states(text: str, states: set[str]):
    assert ss.parse_states([text]) == states


def test_no_state():
    with pytest.raises(click.UsageError, match="expected one of"):
        ss.parse_states(["open"])


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_blocks_are_counted_however_they_come(step: int):
    def block(kind: int, size: int) -> bytes:
        length = (size + 12).to_bytes(4, "little")
        return kind.to_bytes(4, "little") + length + bytes(size) + length

    data = block(0x0A0D0D0A, 16) + block(1, 8) + b"".join(block(6, 4 * n) for n in range(10))
    blocks = Blocks()
    assert b"".join(blocks.cut(data[i : i + step]) for i in range(0, len(data), step)) == data
    assert (blocks.packets, blocks.bytes) == (10, len(data))
    blocks, kept = Blocks(), b""
    for i in range(0, len(data), step):
        kept += blocks.cut(data[i : i + step], 3)
    assert kept == block(0x0A0D0D0A, 16) + block(1, 8) + b"".join(block(6, 4 * n) for n in range(3))
