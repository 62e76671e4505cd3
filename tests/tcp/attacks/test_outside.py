"""Attacks from beside the path: ICMP, fragments, side channels."""

import struct

import pytest

from stack.bench import Bench, dropped
from tcp.test_icmp import error
from usertcp.testing import Peer
from usertcp.testing.packets import Icmp, Packet, Segment


@pytest.mark.attack(39)
@pytest.mark.rfc("SEC-12")
@pytest.mark.parametrize("mtu", [0, 1, 28, 47, 67, 68, 296, 552, 575, 576, 1279, 1280, 1499, 9000])
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_a_packet_too_big_never_makes_segments_tiny(peer: Peer, mtu: int, ipv6: bool):
    """RFC 5927 7, RFC 8201 4: below the least MTU of the protocol it is a lie."""
    peer.configure(ipv6=ipv6).establish(mss=1440)
    peer.app.send(bytes(1440))
    (got,) = peer.gets_all()
    assert len(got.data) == 1440
    about = peer.segment("ACK")
    quoted = Segment(sport=about.dport, dport=about.sport, seq=(peer.irs or 0) + 1, flags=16)
    quote = Packet(src=peer.stack_host, dst=peer.host, body=quoted).encode()
    kind, code = (2, 0) if ipv6 else (3, 4)
    peer.sends_packet(Icmp(type=kind, code=code, rest=mtu, body=quote))
    assert peer.app.state == "ESTABLISHED"
    assert peer.app.info.snd_mss >= (1220 if ipv6 else 536 - 12)


@pytest.mark.attack(39, 40)
def test_a_packet_too_big_about_what_was_never_sent_changes_nothing(peer: Peer):
    """RFC 5927 4: the number quoted must be one in flight."""
    peer.establish()
    before = peer.app.info.snd_mss
    peer.app.send(bytes(5000))
    peer.gets_all()
    for seq in (-1, 0, 100_000, 1 << 31):
        error(peer, 3, 4, seq=seq)
    assert peer.app.info.snd_mss == before


def fragment(whole: bytes, offset: int, size: int, *, more: bool) -> bytes:
    """`size` octets of an IPv4 packet's payload from `offset`."""
    head = bytearray(whole[:20])
    struct.pack_into("!H", head, 2, 20 + size)
    struct.pack_into("!H", head, 6, (0x2000 if more else 0) | offset // 8)
    struct.pack_into("!H", head, 10, 0)
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", head, 10, total ^ 0xFFFF)
    return bytes(head) + whole[20 + offset : 20 + offset + size]


@pytest.mark.attack(17, 34, 35)
def test_no_arrangement_of_fragments_opens_a_connection():
    """Teardrop, tiny first fragments, overlaps that change the flags: none is put together."""
    bench = Bench()
    bench.engine.listen(80)
    whole = bench.tcp("SYN", payload=bytes(44))  # 64 octets of payload
    for cut in (16, 24, 40):
        arrangements = (
            [(0, cut, True), (cut, 64 - cut, False)],
            [(cut, 64 - cut, False), (0, cut, True)],
            [(0, cut, True), (cut - 8, 72 - cut, False)],  # overlapping
            [(0, cut, True), (0, cut, True), (cut, 64 - cut, False)],
        )
        for pieces in arrangements:
            with dropped(bench.engine, ip_fragment=len(pieces)):
                made = [fragment(whole, at, size, more=more) for at, size, more in pieces]
                assert bench.arrives(*made) == []


@pytest.mark.attack(17, 36)
def test_a_flood_of_fragments_holds_no_memory():
    """FragmentSmack, ping of death: an end beyond 65,535 octets, and 10,000 first pieces."""
    bench = Bench()
    whole = bench.packet(Icmp(type=8, body=bytes(1000)))
    last = whole[:20] + bytes(65_528) + whole[20:]
    bench.arrives(fragment(last, 65_528, 1000, more=False))
    memory = bench.engine.memory
    for number in range(10_000):
        named = whole[:4] + struct.pack("!H", number) + whole[6:]
        bench.engine.inject(fragment(named, 0, 64, more=True))
    assert bench.engine.memory == memory
    assert bench.engine.drops()["ip_fragment"] == 10_001
    assert bench.sent() == []


@pytest.mark.attack(41)
def test_the_ip_identification_tells_nothing():
    """RFC 6864 4: with DF set every packet has the same one, so that nobody counts others'."""
    bench = Bench(own="10.0.0.1/8")
    bench.engine.listen(80, backlog=100)
    seen = set()
    for port in range(5000, 5050):
        bench.engine.inject(bench.syn(port))
        for emitted in bench.engine.take():
            ident, field = struct.unpack("!HH", emitted.data[4:8])
            assert field & 0x4000
            seen.add(ident)
    assert len(seen) == 1
