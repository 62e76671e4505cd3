"""What SACK tells beside losses: late ACKs, parts of segments, reordering and cwnd."""

import pytest

from tcp.flights import MSS, RTT, ack, edge, flight
from usertcp.testing import Peer


def grown(peer: Peer) -> int:
    """cwnd in segments beyond the initial ten."""
    return (int(peer.app.info.cwnd) - 10 * MSS) // MSS


@pytest.mark.rfc("2018-11", "9937-03")
def test_an_ack_that_was_overtaken_still_tells_what_arrived(peer: Peer):
    """Two more segments are at the peer: in recovery two may leave, though SND.UNA is beyond."""
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (1, 2), (3, 4), (5, 6))
    assert peer.app.info.in_recovery
    ack(peer, 2, (3, 4), (5, 6))
    before = peer.app.info.sacked
    sent = ack(peer, 1, (7, 9))  # below SND.UNA
    assert peer.app.info.sacked == before + 2 * MSS
    assert len(sent) == 2
    assert ack(peer, 1, (7, 9)) == []  # no news


def test_an_overtaken_ack_without_news_changes_nothing(peer: Peer):
    flight(peer)
    ack(peer, 3)
    before = peer.app.info
    assert ack(peer, 2) == []
    assert ack(peer, 2, (0, 1)) == []  # a D-SACK of what was sent once
    assert ack(peer, 2, (400, 401)) == []  # never sent
    after = peer.app.info
    assert (after.cwnd, after.sacked, after.lost) == (before.cwnd, 0, 0)


@pytest.mark.rfc("2018-11")
@pytest.mark.parametrize("octets", [1, MSS - 1])
def test_a_part_of_a_segment_is_none(peer: Peer, octets: int):
    """RFC 2018 4: what lies within a block as a whole. Full segments only are in flight."""
    flight(peer, count=4, data=4)
    peer.advance(RTT)
    end = edge(4)
    peer.sends(ack=1, sack=[(end - octets, end)], window=1 << 20)
    info = peer.app.info
    assert (info.sacked, info.in_recovery) == (0, False)
    peer.gets_nothing(within=0.05)  # no reordering timer: nothing overtook anything
    peer.sends(ack=1, sack=[(end - MSS, end)], window=1 << 20)
    assert peer.app.info.sacked == MSS
    peer.advance(RTT / 4 + 0.001)
    assert peer.app.info.in_recovery


def test_a_small_segment_of_that_size_is_one(peer: Peer):
    """As small as the smallest in flight; forgotten when nothing is."""
    peer.configure(rto_min=1.0, nodelay=True).establish(mss=MSS, window=1 << 20, rtt=RTT)
    peer.app.send(b"ab")
    peer.app.send(bytes(3 * MSS))
    peer.gets_all()
    peer.sends(ack=1, sack=[(100, 101)])
    assert peer.app.info.sacked == 0
    peer.sends(ack=1, sack=[(100, 102)])
    assert peer.app.info.sacked == 2
    peer.sends(ack=3 + 3 * MSS)
    peer.app.send(bytes(3 * MSS))
    peer.gets_all()
    peer.sends(ack=3 + 3 * MSS, sack=[(4 + 4 * MSS, 6 + 4 * MSS)])
    assert peer.app.info.sacked == 0


def test_a_fin_alone_is_a_segment_of_one_octet(peer: Peer):
    flight(peer, count=3, data=3)
    peer.app.shutdown()
    assert "FIN" in peer.gets(len=0).flags
    peer.sends(ack=1, sack=[(edge(3), edge(3) + 1)], window=1 << 20)
    assert peer.app.info.sacked == 1


@pytest.mark.rfc("5681-01")
def test_cwnd_grows_by_each_byte_once_where_the_path_reorders(peer: Peer):
    """The first SACK may be of a loss, and lets nothing grow; later ones are of reordering."""
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (9, 10))
    assert grown(peer) == 0
    ack(peer, 0, (3, 4), (9, 10))
    assert grown(peer) == 1
    ack(peer, 0, (3, 4), (9, 10))  # no news
    assert grown(peer) == 1
    ack(peer, 10)
    assert grown(peer) == 9


@pytest.mark.rfc("8985-03")
def test_the_round_trip_of_what_was_delivered_last(peer: Peer):
    """RFC 8985 6.2 step 2: RACK.rtt is of each ACK; where the path reorders, the longest of it.

    0 was lost, and comes with 3 again, which was late: 9 may be as late.
    """
    flight(peer, data=10)
    peer.advance(RTT)
    for runs in [(1, 2)], [(1, 3)]:
        assert ack(peer, 0, *runs) == []
        peer.advance(0.001)
    assert ack(peer, 0, (1, 3), (8, 9)) == [0]
    peer.advance(0.12)
    assert ack(peer, 4, (8, 9)) == [4, 5, 6]  # two delivered, and one as all goes well
    info = peer.app.info
    assert (info.reordering_seen, info.lost) == (True, MSS)  # 7; and 9 is not
    assert peer.app.info.reo_wnd_ns == pytest.approx(RTT / 4 * 1e9, rel=0.1)
