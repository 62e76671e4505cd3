"""The neighbour cache through a stack on Ethernet: ARP, neighbour discovery, duplicate addresses.

The test is the station at the other end; `EngineHarness`'s own port is told to keep quiet.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

import pytest

from usertcp._address import pack_text
from usertcp.testing._engine import SECOND, EngineHarness
from usertcp.testing._ether import STATION
from usertcp.testing.packets import SYN, Icmp, Packet, Segment, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYONE = b"\xff" * 6
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD


class Station:
    """Reads whole frames of the stack and writes some."""

    def __init__(self, *addresses: str, gateway: str | None = None) -> None:
        self.engine = EngineHarness(*addresses, gateway=gateway, ethernet=True)
        self.frames: list[bytes] = []
        self.mac = self.engine.link.mac
        self.engine.collect = self.collect  # type: ignore[method-assign]

    def collect(self) -> None:
        while (frame := self.engine.link.read()) is not None:
            self.frames.append(frame)

    def gives(self, kind: int, body: bytes, *, to: bytes | None = None) -> None:
        assert self.engine.link.write((to or self.mac) + STATION + struct.pack("!H", kind) + body)
        self.engine.poll()

    def takes(self) -> list[str]:
        """'arp 1 10.0.0.9', 'ndp 135 fd00::9', 'SYN 10.0.0.9', each with `!` when to everyone."""
        found = []
        for frame in self.frames:
            group = "!" if frame[0] & 1 else ""
            if frame[12:14] == b"\x08\x06":
                target = ipaddress.IPv4Address(frame[38:42])
                found.append(f"arp {frame[21]} {target}{group}")
                continue
            packet = decode(frame[14:])
            if isinstance(packet.body, Icmp):
                target6 = ipaddress.IPv6Address(packet.body.body[:16])
                found.append(f"ndp {packet.body.type} {target6}{group}")
            else:
                found.append(
                    f"{'SYN' if packet.segment.flags & SYN else 'TCP'} {packet.dst}{group}"
                )
        self.frames.clear()
        return found

    def arp(self, operation: int, sender: str, target: str, *, to: bytes | None = None) -> None:
        head = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
        ends = [ipaddress.IPv4Address(ip).packed for ip in (sender, target)]
        self.gives(ARP, head + STATION + ends[0] + self.mac + ends[1], to=to)

    def ndp(self, kind: int, src: str, dst: str, target: str, flags: int = 0) -> None:
        option = b"" if src == "::" else bytes([1 if kind == 135 else 2, 1]) + STATION
        body = Icmp(type=kind, rest=flags, body=ipaddress.IPv6Address(target).packed + option)
        ends = ipaddress.IPv6Address(src), ipaddress.IPv6Address(dst)
        packet = Packet(src=ends[0], dst=ends[1], body=body, ttl=255)
        group = ends[1].packed[0] == 0xFF
        self.gives(IPV6, packet.encode(), to=b"\x33\x33" + ends[1].packed[12:] if group else None)


@pytest.fixture
def station() -> Iterator[Station]:
    made = Station("10.0.0.1/24", "fd00::1/64", gateway="10.0.0.254")
    yield made
    made.engine.close()


def test_resolves_before_the_first_segment(station: Station):
    connection = station.engine.connect("10.0.0.9", 80)
    assert station.takes() == ["arp 1 10.0.0.9!"]
    station.arp(2, "10.0.0.9", "10.0.0.1")
    assert station.takes() == ["SYN 10.0.0.9"]
    assert str(connection.info.state) == "SYN-SENT"


def test_resolves_ipv6(station: Station):
    station.engine.connect("fd00::9", 80)
    assert station.takes() == ["ndp 135 fd00::9!"]
    station.ndp(136, "fd00::9", "fd00::1", "fd00::9", 0x60000000)
    assert station.takes() == ["SYN fd00::9"]


def test_three_questions_then_the_attempt_fails(station: Station):
    connection = station.engine.connect("10.0.0.9", 80)
    asked_at = []
    for tenth in range(40):
        asked_at += [tenth / 10 for _ in station.takes()]
        station.engine.advance(SECOND // 10)
    assert asked_at == [0.0, 1.0, 2.0]
    assert connection.error == "HOST_UNREACHABLE"
    assert station.engine.counters()["neighbours_failed"] == 1


def test_beyond_the_link_goes_by_way_of_the_gateway(station: Station):
    station.engine.connect("192.0.2.1", 80)
    assert station.takes() == ["arp 1 10.0.0.254!"]
    station.arp(2, "10.0.0.254", "10.0.0.1")
    assert station.takes() == ["SYN 192.0.2.1"]


def test_questions_about_us_are_answered_and_teach(station: Station):
    station.arp(1, "10.0.0.9", "10.0.0.1", to=EVERYONE)
    assert station.takes() == ["arp 2 10.0.0.9"]
    station.ndp(135, "fd00::9", "ff02::1:ff00:1", "fd00::1")
    assert station.takes() == ["ndp 136 fd00::1"]
    station.engine.connect("10.0.0.9", 80)
    station.engine.connect("fd00::9", 80)
    assert station.takes() == ["SYN 10.0.0.9", "SYN fd00::9"]


def test_unasked_answers_teach_nothing(station: Station):
    station.arp(2, "10.0.0.9", "10.0.0.1")
    station.ndp(136, "fd00::9", "ff02::1", "fd00::9", 0x20000000)
    assert "neighbours" not in station.engine.counters()


def test_questions_about_others_are_not_answered(station: Station):
    station.arp(1, "10.0.0.9", "10.0.0.7", to=EVERYONE)
    station.ndp(135, "fd00::9", "ff02::1:ff00:1", "fd00::7:0:1")
    assert station.takes() == []


def test_a_doubtful_station_is_probed_directly_and_lost(station: Station):
    station.arp(1, "10.0.0.9", "10.0.0.1", to=EVERYONE)  # known, never confirmed
    station.engine.connect("10.0.0.9", 80)
    station.takes()
    probes = []
    for second in range(9):
        probes += [second for what in station.takes() if what == "arp 1 10.0.0.9"]
        station.engine.advance(SECOND)
    assert probes == [5, 6, 7]  # RFC 4861 10: DELAY_FIRST_PROBE_TIME, then three
    assert station.engine.counters()["neighbours_failed"] == 1


def test_a_handshake_teaches_the_station(station: Station):
    listener = station.engine.listen(80)
    ends = {"src": ipaddress.ip_address("10.0.0.9"), "dst": ipaddress.ip_address("10.0.0.1")}
    syn = Segment(sport=1, dport=80, seq=5, flags=SYN)
    station.gives(IPV4, Packet(**ends, body=syn).encode())
    answer = decode(station.frames[-1][14:]).segment
    station.takes()
    ack = Segment(sport=1, dport=80, seq=6, ack=answer.seq + 1, flags=16)
    station.gives(IPV4, Packet(**ends, body=ack).encode())
    connection = listener.accept()
    assert connection is not None
    connection.send(b"hello")
    assert station.takes() == ["TCP 10.0.0.9"]


def test_the_cache_is_bounded(station: Station):
    for i in range(1500):
        station.arp(1, f"10.0.0.{2 + i % 250}", "10.0.0.1", to=EVERYONE)
    assert station.engine.counters()["neighbours"] == 250
    raw, now = station.engine.raw, station.engine.now
    raw.address_add(pack_text("10.1.0.1"), 16, 0, now)
    for i in range(1500):
        station.arp(1, f"10.1.{1 + i // 250}.{2 + i % 250}", "10.1.0.1", to=EVERYONE)
    assert station.engine.counters()["neighbours"] == 1024
    for i in range(1500):
        station.engine.connect(f"10.1.{100 + i // 250}.{2 + i % 250}", 80)
    assert station.engine.counters()["neighbours"] <= 1024


# -- our own addresses ----------------------------------------------------------------------------


def add(station: Station, address: str, check: int) -> int:
    packed = pack_text(address)
    assert packed is not None
    return station.engine.raw.address_add(packed, 64, check, station.engine.now)


def standing(station: Station, address: str) -> int:
    packed = pack_text(address)
    assert packed is not None
    return station.engine.raw.address_state(packed)


def test_an_address_is_checked_then_announced(station: Station):
    assert add(station, "fd00::5", 1) == 0
    station.engine.poll()
    assert station.takes() == ["ndp 135 fd00::5!"]
    assert standing(station, "fd00::5") == 1
    station.engine.advance(SECOND)
    assert station.takes() == ["ndp 136 fd00::5!"]
    assert standing(station, "fd00::5") == 0


@pytest.mark.parametrize("by", ["advertisement", "probe"])
def test_an_address_that_is_taken_is_not_used(station: Station, by: str):
    add(station, "fd00::5", 1)
    if by == "advertisement":
        station.ndp(136, "fd00::5", "ff02::1", "fd00::5", 0x20000000)
    else:
        station.ndp(135, "::", "ff02::1:ff00:5", "fd00::5")
    station.engine.advance(2 * SECOND)
    assert standing(station, "fd00::5") < 0
    assert station.engine.counters()["address_conflicts"] == 1


def test_a_probe_for_our_address_is_answered_to_all(station: Station):
    station.ndp(135, "::", "ff02::1:ff00:1", "fd00::1")
    assert station.takes() == ["ndp 136 fd00::1!"]
