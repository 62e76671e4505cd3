"""Nothing is discarded without a name: every reason of drops.def is provoked in this folder, and
whatever is cut out of a good frame is counted once, answered by nothing and changes nothing."""

import re
import runpy
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.bench import ARP, FULL_OFFER, STATION, Bench, EtherBench, arp, dropped, ip, solicitation
from support.csource import ROOT
from usertcp.testing.packets import Icmp, checksum

HERE = Path(__file__).parent
DEFINED = [
    name
    for name, _ in runpy.run_path(str(ROOT / "csrc/_build.py"), run_name="__tests__")["drops"]()
]
WORDS = set(re.findall(r"\w+", "".join(p.read_text() for p in HERE.glob("test_drops_*.py"))))


@pytest.mark.parametrize("name", DEFINED)
def test_every_reason_is_provoked_here(name: str):
    assert name in WORDS


# -- cuts -----------------------------------------------------------------------------------------

BODIES: dict[str, Callable[[Bench], bytes]] = {
    "syn": lambda b: b.tcp("SYN", options=FULL_OFFER),
    "data": lambda b: b.tcp("PSH,ACK", payload=b"x" * 20),
    "echo": lambda b: b.packet(Icmp(type=128 if b.own.version == 6 else 8, body=b"ping" * 4)),
    "error": lambda b: b.packet(
        Icmp(type=1 if b.own.version == 6 else 3, code=3, body=b.tcp("SYN"))
    ),
}


def mended(packet: bytes) -> bytes:
    """A cut packet whose IP length and IPv4 header checksum are right for what is left."""
    if packet[0] >> 4 == 6:
        return packet[:4] + struct.pack("!H", len(packet) - 40) + packet[6:]
    head = packet[:2] + struct.pack("!H", len(packet)) + packet[4:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + packet[20:]


@pytest.mark.attack(7, 8)
@pytest.mark.rfc("SEC-01", "SEC-04")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("kind", BODIES)
def test_every_cut_of_a_packet_is_counted_once(kind: str, ipv6: bool):
    """Attacks 7, 8."""
    bench = Bench(ipv6=ipv6)
    bench.engine.listen(80)
    whole = BODIES[kind](bench)
    for size in range(1, len(whole)):
        least = 40 if ipv6 else 20
        for cut in {whole[:size], mended(whole[:size]) if size >= least else b""} - {b""}:
            before = sum(bench.engine.drops().values())
            assert bench.arrives(cut) == []
            assert sum(bench.engine.drops().values()) == before + 1, size
    assert bench.engine.is_listening(80)
    assert len(bench.engine.raw.list_info()) == 1


@pytest.mark.rfc("SEC-01", "SEC-04")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_every_cut_of_a_frame_is_counted_once(ipv6: bool):
    bench = EtherBench(ipv6=ipv6)
    bench.frames()
    if ipv6:
        body, kind = solicitation(bench.own, src=bench.host), 0x86DD
    else:
        body, kind = arp(1, (STATION, bench.host), bench.own), ARP
    whole = bench.mac + STATION + struct.pack("!H", kind) + body
    for size in range(1, len(whole)):
        before = sum(bench.engine.drops().values())
        assert bench.engine.link.write(whole[:size])
        bench.engine.poll()
        assert bench.frames() == []
        assert sum(bench.engine.drops().values()) == before + 1, size
    assert bench.neighbours == 0


@pytest.mark.rfc("9293-MUST-3", "1122-02", "8200-07")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_every_flipped_bit_of_a_syn_is_noticed(ipv6: bool):
    """Nothing but a SYN,ACK can come of a SYN, and none comes of one that was damaged."""
    bench = Bench(ipv6=ipv6)
    bench.engine.listen(80)
    whole = bench.tcp("SYN", options=FULL_OFFER)
    # IPv6 protects neither traffic class and flow label nor hop limit (RFC 8200 8.1).
    unprotected = {*range(4, 32), *range(56, 64)} if ipv6 else set()
    for bit in set(range(8 * len(whole))) - unprotected:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        before = sum(bench.engine.drops().values())
        assert bench.arrives(bytes(damaged)) == [], bit
        assert sum(bench.engine.drops().values()) == before + 1, bit
    assert len(bench.engine.raw.list_info()) == 1


@pytest.mark.attack(38)
@pytest.mark.rfc("SEC-18")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("field", [0x0000, 0xFFFF])
def test_checksum_fields_have_no_special_value(field: int, ipv6: bool):
    """Attack 38: zero is a checksum like any other, not the absence of one."""
    bench = Bench(ipv6=ipv6)
    with dropped(bench.engine, tcp_checksum=1, icmp_malformed=1):
        assert bench.arrives(bench.tcp("SYN", checksum=field, seq=77)) == []
        kind = 128 if ipv6 else 8
        data = struct.pack("!BBHI", kind, 0, field, 0x1234)
        assert bench.arrives(bench.packet(data, protocol=58 if ipv6 else 1)) == []


@pytest.mark.rfc("SEC-18")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_a_right_checksum_of_zero_is_right(ipv6: bool):
    bench = Bench(ipv6=ipv6)
    at = 40 + 16 if ipv6 else 20 + 16
    tries = (bench.tcp("SYN", seq=seq, dport=81) for seq in range(70_000))
    packet = next(p for p in tries if p[at : at + 2] == b"\0\0")
    with dropped(bench.engine, tcp_no_listener=1):
        (answer,) = bench.arrives(packet)
    assert answer.dst == ip(str(bench.host))
