"""Each reason to discard a packet, met by one: no answer, no change, one more counted."""

import ipaddress
import struct
from dataclasses import replace

import pytest

from support.states import reach
from usertcp.testing import Peer
from usertcp.testing._ether import STATION
from usertcp.testing.packets import SYN, Packet, Segment, checksum

OTHER = bytes.fromhex("02000000aa01")
TRUNCATED = 4  # LINK_TRUNCATED of csrc/link/link.h


def syn(peer: Peer, **fields: object) -> bytes:
    made = Segment(sport=peer.port, dport=80, seq=1, flags=SYN)
    packet = Packet(src=peer.host, dst=peer.stack_host, body=made)
    return replace(packet, **fields).encode()  # type: ignore[arg-type]


def fixed(packet: bytes) -> bytes:
    """An IPv4 packet with its header checksum made right."""
    size = (packet[0] & 15) * 4
    head = packet[:10] + b"\0\0" + packet[12:size]
    return head[:10] + struct.pack("!H", checksum(head)) + packet[10 + 2 :]


def patched(packet: bytes, at: int, value: bytes) -> bytes:
    return fixed(packet[:at] + value + packet[at + len(value) :])


IP_PACKETS = {
    "ip_version": lambda p: b"\x75" + syn(p)[1:],
    "ip_header_short": lambda p: syn(p)[:19],
    "ip_length": lambda p: patched(syn(p), 2, struct.pack("!H", 19)),
    "ip_checksum": lambda p: syn(p)[:10] + b"\xab\xcd" + syn(p)[12:],
    "ip_options": lambda p: syn(p, options=bytes.fromhex("8307040000000000")),
    "ip_source": lambda p: syn(p, src=ipaddress.ip_address("224.0.0.1")),
    "ip_not_ours": lambda p: syn(p, dst=ipaddress.ip_address("10.0.0.77")),
    "ip_fragment": lambda p: patched(syn(p), 6, b"\x20\x00"),
    "ip_protocol": lambda p: patched(syn(p), 9, b"\x84"),
    "ip_land": lambda p: syn(
        p, src=p.stack_host, body=Segment(sport=80, dport=80, seq=1, flags=SYN)
    ),
    "tcp_short": lambda p: fixed(syn(p, body=b"\0" * 19, protocol=6)),
    "tcp_checksum": lambda p: syn(p, body=Segment(sport=9, dport=80, flags=SYN, checksum=1)),
    "tcp_port_zero": lambda p: syn(p, body=Segment(sport=0, dport=80, flags=SYN)),
    "tcp_flags": lambda p: syn(p, body=Segment(sport=9, dport=80, flags=SYN | 1)),
    "icmp_malformed": lambda p: syn(p, body=b"\x08\x00\x12\x34abcd", protocol=1),
}  # fmt: skip


@pytest.mark.rfc("1122-01", "1122-02", "1122-03", "9293-MUST-3", "SEC-01", "SEC-04", "SEC-08")
@pytest.mark.parametrize("why", IP_PACKETS)
def test_bad_packet(peer: Peer, why: str):
    peer.app.listen()
    before = peer.engine.memory
    peer.engine.inject(IP_PACKETS[why](peer))
    assert peer.engine.drops() == {why: 1}
    assert not peer.engine.take()
    assert not peer.wire.strays
    assert not peer.wire.icmp
    assert peer.engine.memory == before


@pytest.mark.attack(7)
@pytest.mark.rfc("SEC-01", "SEC-04")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_every_truncation(peer: Peer, ipv6: bool):
    """Attacks 7 and 8: a SYN cut at each length, with and without its length field mended."""
    peer.configure(ipv6=ipv6).app.listen()
    whole = syn(peer)
    for size in range(1, len(whole)):
        cut = whole[:size]
        peer.engine.inject(cut)
        if size >= 20 and not ipv6:
            peer.engine.inject(patched(cut, 2, struct.pack("!H", size)))
        if size >= 40 and ipv6:
            peer.engine.inject(cut[:4] + struct.pack("!H", size - 40) + cut[6:])
    peer.gets_nothing()
    assert sum(peer.engine.drops().values()) >= len(whole) - 1
    assert peer.app.state == "LISTEN"


def ethernet(peer: Peer, *, dst: bytes | None = None, kind: int = 0x0800, data: bytes) -> bytes:
    port = peer.engine.port
    assert port is not None
    return (port.mac if dst is None else dst) + STATION + struct.pack("!H", kind) + data


FRAMES = {
    "frame_short": lambda p: ethernet(p, data=b"")[:13],
    "frame_not_ours": lambda p: ethernet(p, dst=OTHER, data=syn(p)),
    "frame_vlan": lambda p: ethernet(p, kind=0x8100, data=b"\0\1\x08\0" + syn(p)),
    "ethertype_unknown": lambda p: ethernet(p, kind=0x88CC, data=syn(p)),
    "arp_malformed": lambda p: ethernet(p, kind=0x0806, data=bytes(20)),
}


@pytest.mark.rfc("SEC-01")
@pytest.mark.parametrize("why", FRAMES)
def test_bad_frame(peer: Peer, why: str):
    peer.configure(ethernet=True).app.listen()
    assert peer.engine.link.write(FRAMES[why](peer))
    peer.engine.poll()
    assert peer.engine.drops() == {why: 1}
    peer.gets_nothing()


def test_a_frame_the_link_cut(peer: Peer):
    peer.app.listen()
    assert peer.engine.link.write(syn(peer), flags=TRUNCATED)
    peer.engine.poll()
    assert peer.engine.drops() == {"frame_truncated": 1}


def test_no_station_for_a_reply(peer: Peer):
    """A SYN,ACK to be sent again, to a station that answers no question."""
    peer.configure(ethernet=True, synack_retries=2, rto_initial=1).app.listen()
    port = peer.engine.port
    assert port is not None
    port.answering = False
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK")
    peer.advance(600)
    drops = peer.engine.drops()
    assert set(drops) <= {"no_source_mac", "neigh_failed"}
    assert peer.app.state == "LISTEN"


def test_a_station_that_falls_silent(peer: Peer):
    """What an established connection sends is lost meanwhile, and sent again: RFC 9293 3.9.2.2."""
    peer.configure(ethernet=True, user_timeout=3600, rto_max=10).establish()
    port = peer.engine.port
    assert port is not None
    port.answering = False
    peer.advance(3600)
    peer.app.send(b"x")
    peer.gets_all(within=60)
    assert peer.engine.drops()["neigh_failed"] > 0
    assert peer.app.state == "ESTABLISHED"
    port.answering = True
    peer.gets(data=b"x", within=30)


@pytest.mark.rfc("SEC-02")
def test_the_table_of_connections_is_full(peer: Peer):
    peer.configure(max_connections=1).app.listen()
    for port in (50000, 50001):
        other = peer.another(port)
        other.sends("SYN", seq=0, mss=1460)
        other.gets("SYN,ACK")
        other.sends(seq=1, ack=1)
    assert peer.engine.drops() == {"tcp_table_full": 1}


@pytest.mark.rfc("SEC-02", "SEC-17")
def test_no_memory_for_received_data(peer: Peer):
    peer.configure(memory_limit=200_000, rcv_buffer=1 << 20, snd_buffer=4096)
    peer.establish()
    peer.sends(data=b"x")
    assert peer.engine.drops() == {"tcp_no_buffer": 1}
    assert peer.app.state == "ESTABLISHED"
    assert peer.engine.memory <= 200_000


@pytest.mark.rfc("SEC-13")
def test_answers_to_unacceptable_acks_are_limited(peer: Peer):
    there = reach(peer, "ESTABLISHED")
    answers = 0
    for _ in range(1000):
        peer.sends(seq=there.seq + (1 << 24))
        answers += len(peer.gets_all())
    assert answers + peer.engine.drops()["tcp_ack_limited"] == 1000
    assert answers < 500
