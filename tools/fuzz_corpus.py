"""Writes the seeds of the fuzz targets: small inputs, each a thing that should be reached at once.

`build(folder)` makes folder/NAME for each target; the bytes are what tests/fuzz/fuzz_NAME.c reads:
numbers big-endian, operations one after the other. Packets come from `usertcp.testing.packets`,
which is loaded by its path, since no environment is needed for it.
"""

import importlib.util
import itertools
import struct
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def _packets() -> Any:
    path = ROOT / "src/usertcp/testing/packets.py"
    spec = importlib.util.spec_from_file_location("fuzz_packets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


p = _packets()
HOSTS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
MSS_VALUES = (0, 1, 48, 64, 536, 1220, 1460, 65535)
NUMBERS = (0, 1, 2**31, 2**32 - 1)


def u8(*values: int) -> bytes:
    return bytes(values)


def u16(value: int) -> bytes:
    return struct.pack("!H", value)


def u32(value: int) -> bytes:
    return struct.pack("!I", value)


def packet(version: int, body: Any, **fields: Any) -> bytes:
    src, dst = (ip_address(text) for text in HOSTS[version])
    data: bytes = p.Packet(src=src, dst=dst, body=body, **fields).encode()
    return data


def syn(**fields: Any) -> Any:
    options = p.Options(mss=1460, wscale=7, sack_permitted=True, timestamps=(1, 0))
    return p.Segment(sport=1234, dport=80, seq=1000, flags=p.SYN, options=options, **fields)


def ipv4_with_options(options: bytes) -> bytes:
    return packet(4, b"x" * 24, protocol=6, options=options + bytes(-len(options) % 4))


def ipv6_chain(kinds: list[int], fragment: int = 0) -> bytes:
    """Extension headers of those kinds, then 24 bytes called TCP."""
    chain = b""
    for kind, after in itertools.pairwise([*kinds, 6]):
        body = {0: b"\x01\x04" + bytes(4), 60: b"\x05\x02\x00\x00\x01\x00"}.get(kind, bytes(6))
        body = struct.pack("!HI", fragment, 7) if kind == 44 else body
        body = b"\x02\x00" + bytes(4) if kind == 43 else body
        chain += u8(after, 0) + body
    data = bytearray(packet(6, chain + b"x" * 24, protocol=(kinds or [6])[0]))
    return bytes(data)


def wire() -> list[bytes]:
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + b"\x02" * 6 + b"\x0a\0\0\1" + bytes(10)
    frame = b"\x02" * 6 + b"\x04" * 6 + b"\x08\x00"
    solicit = u8(135) + bytes(7) + ip_address("fd00::2").packed + b"\x01\x01" + b"\x02" * 6
    quoted = packet(4, syn())[:28]
    return [
        u8(0) + frame,
        u8(1) + arp,
        u8(2) + packet(4, syn()),
        u8(2) + packet(4, p.Icmp(type=3, code=4, rest=1280, body=quoted)),
        u8(2) + packet(4, p.Icmp(type=8, rest=7, body=b"ping")),
        u8(3) + packet(6, syn()),
        u8(3) + packet(6, p.Icmp(type=2, rest=1280, body=packet(6, syn()))),
        u8(3) + packet(6, p.Icmp(type=135, body=solicit[8:]), ttl=255),
        u8(4) + packet(4, syn())[20:],
    ]


def headers() -> list[bytes]:
    routes = [b"\x83\x07\x04" + bytes(4), b"\x89\x07\x08" + bytes(4)]
    stamps = [b"\x44\x0c\x05\x00" + bytes(8), b"\x07\x0b\x04" + bytes(8), b"\x94\x04\x00\x00"]
    v4 = [ipv4_with_options(o) for o in (b"", b"\x01\x01\x01\x00", *routes, *stamps, b"\x44\x00")]
    chains: tuple[list[int], ...] = (
        [],
        [0],
        [60],
        [43],
        [44],
        [0, 60, 43, 44, 60],
        [60] * 8,
        [60] * 9,
        [60, 0],
    )
    v6 = [ipv6_chain(kinds) for kinds in chains]
    v6 += [ipv6_chain([44], fragment) for fragment in (1, 8, 9, 0xFFF8)]
    return [u8(1) + data for data in v4] + [u8(0) + data for data in v6]


def fragments() -> list[bytes]:
    """Name, how (1 TCP, 2 more, 4 length in bytes, ECN << 4, lie << 6), offset, length."""

    def one(name: int, how: int, offset: int, length: int) -> bytes:
        size = u16(length) if how & 4 else u8(length // 8)
        return u8(name, how) + u16(offset // 8) + size

    halves = [one(1, 3, 0, 64), one(1, 5, 64, 30)]
    seeds = [
        b"".join(halves),
        b"".join(reversed(halves)),
        halves[0] + one(1, 3, 56, 64) + halves[1],  # overlap
        halves[0] * 2 + halves[1],  # a duplicate
        halves[0] + one(1, 3 | 3 << 6, 0, 64),  # the same place, other bytes
        one(1, 3 | 3 << 4, 0, 64) + one(1, 5, 64, 30),  # ECN: CE and Not-ECT
        one(1, 7, 0, 16) + halves[1],  # a first fragment that hides the TCP header
        halves[1] + one(1, 5, 64, 40),  # two ends
        halves[0] + u8(255, 255) + halves[1],  # after its time
        b"".join(one(0, 3, 16 * n, 8) for n in range(20)),
    ]
    many = b"".join(one(n, 7, 8000, 9000) for n in range(40))
    return [u8(1) + seed for seed in seeds] + [u8(0) + many, u8(255) + many, u8(0) + seeds[0]]


def options() -> list[bytes]:
    order = [
        p.Options(mss=1460, sack_permitted=True, timestamps=(1, 0), wscale=7),
        p.Options(mss=536),
        p.Options(mss=1460, sack_permitted=True, wscale=14),
        p.Options(timestamps=(2**32 - 1, 5), sack=((1, 2), (5, 9), (2**32 - 1, 3))),
        p.Options(sack=((1, 2), (3, 4), (5, 6), (7, 8))),
        *(p.Options(mss=mss, timestamps=(1, 0)) for mss in MSS_VALUES),
        *(p.Options(mss=1460, wscale=scale) for scale in (0, 14, 15, 255)),
        *(p.Options(mss=1460, cookie=bytes(size)) for size in (0, 4, 8, 16)),
        p.Options(mss=1460, sack_permitted=True, timestamps=(1, 0), wscale=7, cookie=bytes(16)),
        p.Options(mss=1460, cookie=bytes(8), sack=((1, 2), (3, 4))),
    ]
    bare = [b"\x02\x00", b"\x02\x01", b"\x08\x09" + bytes(8), b"\x1d\x10" + bytes(14), b"\x01" * 40]
    found = [o.encode() for o in order] + bare
    return [u8(mode) + data for mode in (0, 1) for data in found]


def frames() -> list[bytes]:
    """how; then each: time, kind (under 64: raw), then raw or wrapped bytes."""
    raw = packet(4, syn())
    wrapped = syn().encode(*(ip_address(text) for text in HOSTS[4]))
    echo = u8(8, 0, 0, 0, 0, 1, 0, 2) + b"ping"
    return [
        u8(0) + u8(0, 0) + u16(len(raw)) + raw,
        u8(0) + u8(0, 64, 1 | 2 | 1 << 4) + u16(len(wrapped)) + wrapped,
        u8(1) + u8(0, 64, 1 | 2 | 1 << 4) + u16(len(wrapped)) + wrapped,
        u8(0) + u8(0, 64, 1 | 1 << 4) + u16(len(echo)) + echo,
        u8(2) + u8(0, 64, 1 | 2 | 1 << 4) + u16(len(wrapped)) + wrapped,
    ]


def established() -> list[bytes]:
    """Operation under 160: a segment (flags, window, urgent, keep, seq, ack, options, length)."""

    def segment(flags: int, data: bytes = b"", seq: int = 0, sacks: bytes = b"") -> bytes:
        numbers = (u8(128) + u16(seq) if seq else u8(0)) + u8(0)
        tail = (sacks or u8(0)) + u16(len(data)) + data
        return u8(0, flags) + u16(30000) + u8(0, 0) + numbers + tail

    send = u8(160) + u16(5000) + u8(0)
    return [
        u8(0) + send + segment(16, b"hello") + segment(17),
        u8(1) + send + segment(16) * 4 + u8(230) + u16(1000),
        u8(0) + segment(24, b"late", seq=100) + segment(24, b"x" * 100),
        u8(0) + send + u8(160) + u16(0) + u8(5) + segment(17) + u8(255) + u16(60000),
        u8(1) + send + segment(16, sacks=u8(1) + u8(200) + u16(1448) + u16(1448)),
    ]


def icmp() -> list[bytes]:
    """mode (1 synchronized) and family or timestamps; then each: how, code, MTU, quote."""
    soft = u8(1, 0) + u8(0)
    port = u8(1, 3) + u8(0)
    cut = u8(1, 3) + u8(128) + u16(20)
    too_big = [u8(1 | 64, 4) + u16(mtu) + u8(0) for mtu in (0, 68, 552, 1279, 1280)]
    each = [soft, port, cut, *too_big, u8(1, 1) + u8(1) + u16(500)]
    return [u8(mode, how) + b"".join(each) for mode in (0, 1) for how in (0, 1)]


def listener() -> list[bytes]:
    """mode of cookies; a segment: op, who, flags, seq, ack, window, options, length."""

    def segment(who: int, flags: int, data: int = 0) -> bytes:
        ack = u8(0) if flags in (1, 2, 3, 4, 6, 7) else b""
        length = u8(200) + u16(data) if data else u8(0)
        return u8(0, who, flags, 0) + ack + u16(30000) + u8(9 | 64, 0) + length

    shake = segment(0, 0) + segment(0, 1)
    talk = segment(0, 3, 100) + segment(0, 4)
    flood = b"".join(segment(who, 0) for who in range(8))
    return [
        u8(mode) + seed
        for mode in (0, 1, 2)
        for seed in (
            shake + u8(200) + talk + u8(220, 0) + u8(250) + u16(6000),
            flood + b"".join(segment(who, 1) for who in range(8)) + u8(200) * 5,
            shake + segment(0, 5),
            shake + segment(0, 0) + u8(200) + segment(0, 7),
        )
    ]


def pair() -> list[bytes]:
    """how; operations of tests/fuzz/fuzz_pair.c's one_op, the low bit says whose."""
    deliver = [u8(0, 0), u8(1, 0)]
    send = [u8(170) + u16(4000), u8(171) + u16(4000)]
    receive = [u8(200) + u16(4000), u8(201) + u16(4000)]
    lose, swap, double = u8(120, 0), u8(100, 1), u8(110, 0)
    wait = u8(225) + u16(400)
    there = send[0] + deliver[0] * 3 + deliver[1] + receive[1]
    talk = there + send[1] + deliver[1] * 3 + receive[0]
    bad = send[0] + lose + swap + double + deliver[0] + deliver[1] + wait + deliver[0] * 2
    close = u8(220) + u8(221) + wait
    spoil = send[0] + u8(150, 0, 24, 255) + u8(150, 0, 33, 17) + deliver[0] * 3 + deliver[1] * 2
    hows = (1 | 2 | 4 | 8, 1, 1 | 2 | 4 | 8 | 16 | 32, 2 | 4 | 8, 1 | 64 | 2)
    seeds = [u8(how) + seed for how in hows for seed in (talk + close, bad * 2 + close, spoil, bad)]
    probe = bytes.fromhex("0e0faa0fa078a096002f05b40000aa0faa")
    storm = bytes.fromhex(
        "0ef155f0feffff0f6278aa0fa003039600416e6e9600416e6e6e6e6c6e6e6e6e6e6eb46e6e87f0fe"
        "ffff0f6278aa0fa003039600416e6e9600416e6e6e6e6c6e6e6e6e6e6ee9e9e9e9e9e901e9116e00"
        "ffffffffffff9effaa96021800"
    )
    # Found: an MTU probe, acknowledged in part and then lost; round trips that take no time.
    return [*seeds, probe, storm]


def calls() -> list[bytes]:
    """how, rings; operations of tests/fuzz/fuzz_calls.c's one_op with the handle they are about."""
    connect = u8(0, 0) + u8(0) + u16(0) + u8(16 | 2 | 4 | 1) + u8(0) + u8(0)
    listen = u8(0, 1) + u8(1) + u8(0) + u16(9) + u8(160) + u8(70) + u8(1)
    accept = u8(0, 1) + u8(1, 0) + u16(9) + u8(229) + u8(2)
    synack, ack = u8(30, 0, 0) + u16(30000), u8(30, 0, 32) + u16(30000) + u16(500)
    send, receive = u8(120, 0, 0) + u16(3000), u8(120, 0, 4) + u16(3000)
    option = b"".join(u8(160, 0, 64 + n, 64 + n) for n in range(1, 13))
    ends = [u8(185, 0), u8(195, 0), u8(205, 0)]
    heads = [u8(0, 3, 3), u8(1) + u16(9000) + u8(3, 3), u8(64 | 128, 0, 0)]
    live = connect + synack + send + ack + receive
    return [
        head + seed
        for head in heads
        for seed in (*(live + option + end for end in ends), listen + accept, live + u8(210, 0, 40))
    ]


TARGETS = (
    wire, headers, fragments, options, frames, established, icmp, listener, pair, calls
)  # fmt: skip


def build(folder: Path) -> None:
    for target in TARGETS:
        where = folder / target.__name__
        where.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target()):
            (where / f"{number:03}").write_bytes(seed)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
