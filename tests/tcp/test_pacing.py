"""Pacing of CUBIC as its peer sees it: RFC 9002 7.7's rate, and who is spared."""

from tcp.flights import MSS, RTT, edge, flight, numbers
from usertcp.testing import Peer


def grown(peer: Peer) -> int:
    """A connection in congestion avoidance whose cwnd is above twenty segments, with nothing in
    flight and nothing to send; the number of the next segment."""
    flight(peer, data=150, snd_buffer=1 << 20)
    lost = None
    got = 10
    while got < 150:
        peer.advance(RTT)
        if lost is None and got > 60:
            lost = got - 40
            peer.sends(ack=edge(lost), sack=[(edge(lost + 1), edge(got))], window=1 << 20)
        else:
            peer.sends(ack=edge(got), window=1 << 20)
        fresh = numbers(peer.gets_all(within=RTT))
        got = max([got, *(number + 1 for number in fresh)])
    peer.sends(ack=edge(150), window=1 << 20)
    info = peer.app.info
    assert info.flight_size == 0
    assert info.fast_recoveries == 1
    assert info.cwnd >= info.ssthresh
    assert info.cwnd > 20 * MSS
    return 150


def test_a_full_window_is_spread_and_a_reply_is_not(peer: Peer):
    nxt = grown(peer)
    for _ in range(3):  # replies: cwnd is no limit to them
        peer.app.send(bytes(8 * MSS))
        nxt += len(peer.gets_all())
        peer.advance(RTT)
        peer.sends(ack=edge(nxt), window=1 << 20)
    assert peer.app.info.pacing_rate == 0
    peer.app.send(bytes(18 * MSS))
    reply = numbers(peer.gets_all())
    assert reply == list(range(nxt, nxt + 18))
