"""Attack 39, a forged Packet Too Big (RFC 5927 7.1), with all that its sender may have seen or
guessed: the real packet quoted, a number in flight."""

from dataclasses import replace

import pytest

from tcp.pmtu import WINDOW, connected, moved, sends, size, sizes, too_big
from usertcp.testing import Peer

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
MTUS = [0, 1, 28, 67, 68, 296, 551, 552, 1006, 1279, 1280, 1499, 1500, 9000, 65535]


@pytest.mark.attack(39)
@pytest.mark.rfc("SEC-12", "1191-04", "8201-01")
@pytest.mark.parametrize("mtu", MTUS)
@BOTH
def test_segments_are_never_tiny(peer: Peer, mtu: int, ipv6: bool):
    """Not even at the beginning, when nothing contradicts it, and whatever is quoted again."""
    connected(peer, ipv6=ipv6)
    peer.engine.may_fragment = True
    got = sends(peer, 20_000)
    for _ in range(10):
        if not got:
            break
        too_big(peer, mtu, got[0])
        got = peer.gets_all()
    least = 1280 if ipv6 else 552
    assert least <= peer.app.info.pmtu <= 1500
    moved(peer, 1)
    assert min(sizes(sends(peer, 5000))[:3]) >= least


@pytest.mark.attack(39)
@pytest.mark.rfc("5927-01", "8201-02")
@pytest.mark.parametrize("off", [-1, 20_000, 1 << 16, 1 << 20, 1 << 31], ids=hex)
@BOTH
def test_a_guessed_number_is_not_in_flight(peer: Peer, off: int, ipv6: bool):
    """Off the path only ports and addresses are known."""
    connected(peer, ipv6=ipv6)
    first, *_ = sends(peer, 20_000)
    segment = first.packet.segment
    forged = replace(first.packet, body=replace(segment, seq=(segment.seq + off) % 2**32))
    too_big(peer, 1300, replace(first, packet=forged))
    peer.gets_nothing()
    assert peer.app.info.pmtu == 1500
    assert peer.engine.drops() == {"pmtu_not_sent": 1}


@pytest.mark.attack(39)
@pytest.mark.rfc("5927-03")
@pytest.mark.parametrize("mtu", [552, 1280, 1400])
@BOTH
def test_a_connection_in_progress_does_not_care(peer: Peer, mtu: int, ipv6: bool):
    """A forged report about every segment of a transfer: nothing is slower, nothing sent again."""
    connected(peer, ipv6=ipv6)
    moved(peer, 50_000)
    peer.app.send(bytes(200_000))
    while peer.app.info.snd_queued:
        for one in peer.gets_all(within=0.05):
            if size(one) > max(mtu, 1280 if ipv6 else 68):
                too_big(peer, mtu, one)
        peer.sends(ack=peer.rcv_nxt, window=WINDOW)
    info = peer.app.info
    assert (info.pmtu, info.retransmits) == (1500, 0)
    assert not peer.engine.counters().get("pmtu_lowered")


@pytest.mark.attack(39)
@BOTH
def test_a_report_for_each_byte_less_does_not_empty_the_window_each_time(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    got = sends(peer, 20_000)
    flight, again = sum(sizes(got)), 0
    for mtu in range(1499, 1299, -1):
        too_big(peer, mtu, got[0])
        answer = peer.gets_all()
        again += sum(sizes(answer))
        got = answer or got
    assert again <= 10 * flight
    assert peer.app.info.pmtu == 1490
    # What is left of them is believed when the segment times out.
    peer.gets_all(within=3)
    assert peer.app.info.pmtu == 1300


@pytest.mark.attack(39)
@pytest.mark.rfc("1191-07")
@BOTH
def test_a_flood_of_reports_is_answered_once(peer: Peer, ipv6: bool):
    """Each costs its sender a packet, us none."""
    connected(peer, ipv6=ipv6)
    first = sends(peer, 20_000)
    before = peer.engine.memory
    too_big(peer, 1300, first[0])
    answer = len(peer.gets_all())
    assert answer <= len(first)
    grown = peer.engine.memory
    for _ in range(1000):
        too_big(peer, 1300, first[0])
    peer.gets_nothing()
    assert peer.engine.memory == grown < before + (1 << 17)
