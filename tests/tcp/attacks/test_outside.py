"""Attacks from beside the path: ICMP, fragments, side channels."""

import struct

import pytest

from stack.bench import Bench
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
