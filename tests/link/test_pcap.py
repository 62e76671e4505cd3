"""pcap.c: what a capture holds, read back by a parser of our own and by tshark."""

import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.handmade import ip_packet
from support.rawlink import GSO_TCP4, NEEDS_CSUM, PLAIN, TRUNCATED, Marks, RawLink, ffi, lib

IN, OUT = 1, 2


@dataclass
class Packet:
    direction: int
    at_ns: int
    data: bytes
    length: int
    comment: str = ""


@dataclass
class Capture:
    link_type: int = -1
    if_name: str = ""
    resolution: int = -1
    packets: list[Packet] = field(default_factory=list)
    received: int = -1
    dropped: int = -1


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        code, size = struct.unpack_from("<HH", data)
        if code == 0:
            break
        found[code] = data[4 : 4 + size]
        data = data[4 + (size + 3 & ~3) :]
    return found


def parse(data: bytes) -> Capture:
    capture = Capture()
    blocks = []
    while data:
        kind, size = struct.unpack_from("<II", data)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, size - 4) == (size,)
        blocks.append(kind)
        body, data = data[8 : size - 4], data[size:]
        if kind == 0x0A0D0D0A:
            assert body[:16] == struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        elif kind == 1:
            (capture.link_type,) = struct.unpack_from("<H", body)
            values = options(body[8:])
            capture.if_name, capture.resolution = values[2].decode(), values[9][0]
        elif kind == 6:
            _, high, low, captured, length = struct.unpack_from("<IIIII", body)
            values = options(body[20 + (captured + 3 & ~3) :])
            (flags,) = struct.unpack("<I", values[2])
            frame = body[20 : 20 + captured]
            comment = values.get(1, b"").decode()
            capture.packets.append(Packet(flags & 3, high << 32 | low, frame, length, comment))
        elif kind == 5:
            values = options(body[12:])
            capture.received, capture.dropped = (struct.unpack("<Q", values[i])[0] for i in (4, 5))
    assert blocks[:2] == [0x0A0D0D0A, 1]
    return capture


def start(link: RawLink, path: Path) -> int:
    error = ffi.new("int *")
    code = lib.ut_link_capture(link.pointer, os.fsencode(path), error)
    return error[0] if code else 0


def write(link: RawLink, data: bytes, marks: Marks = PLAIN) -> None:
    marks_c = ffi.new("ut_offload *", marks.__dict__)
    assert lib.ut_memory_write(link.pointer, data, len(data), marks_c) == 0


def tcp_packet(size: int) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 500, 0, 0)
    return ip_packet("10.7.0.1", "10.7.0.2", tcp + bytes(size))


@pytest.mark.parametrize(("ethernet", "link_type"), [(1, 1), (0, 101)])
def test_both_directions(tmp_path: Path, ethernet: int, link_type: int):
    path = tmp_path / "x.pcapng"
    before = time.time_ns()
    with RawLink("memory", ethernet=ethernet) as link:
        assert start(link, path) == 0
        lib.wb_link_set_now(link.pointer, 5_000)
        write(link, b"in 1")
        write(link, b"in two")
        link.recv()
        lib.wb_link_set_now(link.pointer, 1_005_000)
        link.send(b"out, in three parts", head=5)
        whole = parse(path.read_bytes())  # a reader need not wait for the end
        assert len(whole.packets) == 3
    capture = parse(path.read_bytes())
    assert (capture.link_type, capture.if_name, capture.resolution) == (link_type, "memory", 9)
    assert [(p.direction, p.data) for p in capture.packets] == [
        (IN, b"in 1"),
        (IN, b"in two"),
        (OUT, b"out, in three parts"),
    ]
    times = [p.at_ns for p in capture.packets]
    assert times == [times[0], times[0], times[0] + 1_000_000]
    assert before <= times[0] <= time.time_ns()
    assert (capture.received, capture.dropped) == (3, 0)


def test_super_segments_whole_and_truncated_marked(tmp_path: Path):
    path = tmp_path / "x.pcapng"
    with RawLink("memory") as link:
        start(link, path)
        data = tcp_packet(60000)
        link.send(data, Marks(NEEDS_CSUM, GSO_TCP4, 1448, 20, 16, 40))
        write(link, b"cut", Marks(flags=TRUNCATED))
        link.recv()
    out, cut = parse(path.read_bytes()).packets
    assert (out.data, out.length) == (data, len(data))
    assert (cut.data, cut.length) == (b"cut", 4)


def test_more_than_the_buffer_at_once(tmp_path: Path):
    path = tmp_path / "x.pcapng"
    with RawLink("memory", buffer=8 << 20) as link:
        start(link, path)
        for i in range(64):
            link.queue(tcp_packet(60000 + i), Marks(gso=1, gso_size=1448))
        link.flush()
        assert link.info.tap_missed == 0
    assert [len(p.data) for p in parse(path.read_bytes()).packets] == [60040 + i for i in range(64)]


def test_stop_and_another(tmp_path: Path):
    with RawLink("memory") as link:
        for name in ("a", "b"):  # the second replaces the first
            start(link, tmp_path / name)
            link.send(name.encode())
        lib.ut_link_capture_stop(link.pointer)
        lib.ut_link_capture_stop(link.pointer)
        link.send(b"unseen")
        for name in ("a", "b"):
            capture = parse((tmp_path / name).read_bytes())
            assert [p.data for p in capture.packets] == [name.encode()]
            assert capture.received == 1


def test_reader_that_is_behind_costs_frames_not_time(tmp_path: Path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with RawLink("memory", buffer=64 << 20) as link:
        assert start(link, path) == 0
        for i in range(60):
            link.send(tcp_packet(60000 + i), Marks(gso=1, gso_size=1448))
        missed = link.info.tap_missed
        assert 0 < missed < 60
        os.set_blocking(reader, False)
        data = b""
        for _ in range(100):
            try:
                data += os.read(reader, 1 << 20)
            except BlockingIOError:
                link.send(b"on with it")
        lib.ut_link_capture_stop(link.pointer)
        data += os.read(reader, 1 << 20)
    capture = parse(data)
    assert capture.dropped == missed
    big = [p for p in capture.packets if len(p.data) > 60000]
    assert len(big) == 60 - missed
    os.close(reader)


def test_reader_that_leaves(tmp_path: Path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with RawLink("memory") as link:
        start(link, path)
        os.close(reader)
        assert link.send(b"x") == 0
        assert link.send(b"y") == 0
        assert link.info.tap_missed >= 1


def test_what_cannot_be_opened(tmp_path: Path):
    with RawLink("memory") as link:
        assert start(link, tmp_path / "no" / "where") == 2
        assert start(link, tmp_path) == 21
        os.mkfifo(tmp_path / "fifo")
        assert start(link, tmp_path / "fifo") == 6  # nobody reads it


@pytest.mark.parametrize("ethernet", [0, 1])
def test_tshark_opens_it(tmp_path: Path, ethernet: int):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark here")
    path = tmp_path / "x.pcapng"
    header = bytes(12) + b"\x08\x00" if ethernet else b""
    with RawLink("memory", ethernet=ethernet) as link:
        start(link, path)
        link.send(header + tcp_packet(50000), Marks(NEEDS_CSUM, GSO_TCP4, 1448, 20, 16, 40))
        write(link, header + tcp_packet(10))
        link.recv()
    fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "tcp.len", "-e", "frame.p2p_dir"]
    fields += ["-e", "frame.packet_flags_direction", "-e", "_ws.malformed"]
    done = subprocess.run(
        ["tshark", "-r", str(path), *fields], capture_output=True, text=True, check=True
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], row[1], row[4]) for row in rows] == [
        ("memory", "50000", ""),
        ("memory", "10", ""),
    ]
    complaints = [line for line in done.stderr.splitlines() if "root" not in line]
    assert complaints == []
