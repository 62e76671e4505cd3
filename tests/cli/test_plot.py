"""`usertcp plot` and `usertcp capture --plot`."""

import json
import struct
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from usertcp.cli import main
from usertcp.testing.packets import ACK, FIN, SYN, Packet, Segment

ENDS = ip_address("fd00::1"), ip_address("fd00::2")


def block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Two connections to port 80, the second with data."""
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack("<HHI", 101, 0, 0))
    plan = [(1000, SYN, b""), (2000, SYN, b""), (2000, ACK, b"four"), (2000, ACK | FIN, b"")]
    for at, (port, flags, payload) in enumerate(plan):
        body = Segment(sport=port, dport=80, seq=7, flags=flags, payload=payload)
        packet = Packet(src=ENDS[0], dst=ENDS[1], body=body).encode()
        packet += bytes(-len(packet) % 4)
        data += block(6, struct.pack("<5I", 0, 0, at, len(packet), len(packet)) + packet)
    path = tmp_path / "it.pcapng"
    path.write_bytes(data)
    return path


def usertcp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in arguments])


def test_the_busiest_is_drawn_beside_the_file(capture: Path):
    pytest.importorskip("matplotlib")
    done = usertcp("plot", capture)
    assert (done.exit_code, done.output) == (
        0,
        f"{capture.with_suffix('.png')}: connection 1 of 2\n",
    )
    assert capture.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_json_and_a_choice(capture: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    done = usertcp("plot", capture, "-n", 0, "-o", tmp_path / "x.svg", "--json")
    assert json.loads(done.output) == {
        "file": str(tmp_path / "x.svg"),
        "index": 0,
        "local": ["fd00::1", 1000],
        "remote": ["fd00::2", 80],
        "segments": 1,
        "bytes": 0,
        "flags": {"SYN": 1},
    }
    assert (tmp_path / "x.svg").exists()


def test_list(capture: Path):
    done = usertcp("plot", capture, "--list")
    assert done.output.splitlines()[1] == (
        "  1 [fd00::1]:2000 [fd00::2]:80 3 segments, 4 B SYN:1 FIN:1"
    )
    rows = json.loads(usertcp("plot", capture, "--list", "--json").output)
    assert [row["segments"] for row in rows] == [1, 3]


def test_what_goes_wrong_is_one_line(capture: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    wrong = tmp_path / "wrong"
    wrong.write_text("no capture")
    for arguments, why in [
        ((wrong,), "is no pcapng file"),
        ((wrong, "--list"), "is no pcapng file"),
        ((tmp_path / "nothing",), "No such file"),
        ((capture, "-n", 2), "connection 2: there are 2"),
        ((capture, "-o", tmp_path / "no" / "x.png"), "No such file"),
        ((capture, "-o", tmp_path / "x.nonsense"), "nonsense"),
    ]:
        done = usertcp("plot", *arguments)
        assert done.exit_code == 1, done.output
        assert why in done.output
        assert done.output.count("\n") == 1


def test_the_extra_is_named(capture: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    done = usertcp("plot", capture)
    assert done.exit_code == 1
    assert "pip install 'usertcp[plot]'" in done.output


def test_capture_draws_files_only():
    done = usertcp("capture", "--plot", "x.png")
    assert done.exit_code == 2
    assert "give -w FILE" in done.output
