"""Proportional rate reduction: RFC 9937 section 6, against its own arithmetic."""

import pytest

from tcp.flights import MSS, RTT, ack, edge, flight, numbers
from usertcp.testing import Peer


class Model:
    """RFC 9937 6 as written, in bytes."""

    def __init__(self, recover_fs: int, ssthresh: int) -> None:
        self.recover_fs, self.ssthresh = recover_fs, ssthresh
        self.delivered = self.out = 0

    def on_ack(self, delivered: int, inflight: int, *, safe: bool) -> int:
        self.delivered += delivered
        if inflight > self.ssthresh:
            send = -(-self.delivered * self.ssthresh // self.recover_fs) - self.out
        else:
            send = max(self.delivered - self.out, delivered) + (MSS if safe else 0)
            send = min(self.ssthresh - inflight, send)
        if self.out == 0 and send < MSS:
            send = MSS
        return inflight + max(send, 0)


def step(peer: Peer, model: Model | None, *sacked: tuple[int, int], una: int = 0) -> int:
    """One more segment is SACKed; what PRR gave is what the model says. Returns segments sent."""
    before = peer.app.info
    sent = ack(peer, una, *sacked)
    info = peer.app.info
    if model is not None:
        inflight = info.pipe - MSS * len(sent)
        acked = (info.snd_una - before.snd_una) % 2**32
        delivered = acked + info.sacked - before.sacked
        expected = model.on_ack(delivered, inflight, safe=acked > 0)
        assert info.cwnd == expected
        assert info.pipe <= max(info.cwnd, inflight)
        model.out += MSS * len(sent)
    return len(sent)


@pytest.mark.rfc("9937-01", "9937-02", "9937-05", "8985-19", "9937-08")
def test_the_flight_shrinks_in_proportion(peer: Peer):
    """One of ten is lost: about every second ACK lets a segment go, none is a burst."""
    flight(peer)
    peer.advance(RTT)
    sent = [len(ack(peer, 0, (1, n))) for n in (2, 3)]
    assert sent == [1, 1], "limited transmit"
    assert ack(peer, 0, (1, 4)) == [0]
    info = peer.app.info
    model = Model(12 * MSS - 2 * MSS, info.ssthresh)
    model.delivered, model.out = MSS, MSS
    sent = [step(peer, model, (1, end)) for end in range(5, 11)]
    assert max(sent) <= 1
    assert 2 <= sum(sent) <= 4


@pytest.mark.rfc("9937-03", "9937-04", "9937-07")
def test_below_ssthresh_it_grows_by_what_was_delivered(peer: Peer):
    """Most of the flight is lost: conservation, and one more per ACK that advances."""
    flight(peer, data=10)
    peer.advance(RTT)
    ack(peer, 0, (9, 10))
    peer.gets_all(within=0.026)
    info = peer.app.info
    assert info.in_recovery
    assert info.pipe < info.ssthresh
    cwnds = []
    for number in range(1, 4):
        peer.advance(RTT)
        sent = ack(peer, number, (9, 10))
        info = peer.app.info
        cwnds.append(len(sent))
        assert info.pipe <= info.ssthresh
    assert cwnds == [2, 2, 2], "what was delivered and one more: a safe ACK"


@pytest.mark.rfc("9937-06")
def test_it_ends_at_ssthresh(peer: Peer):
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (1, 4))
    nxt = (peer.app.info.recovery_point - peer.app.info.iss - 1) // MSS
    peer.advance(RTT)
    peer.sends(ack=edge(nxt), window=1 << 20)
    info = peer.app.info
    assert not info.in_recovery
    assert info.cwnd == info.ssthresh
    assert numbers(peer.gets_all())


def test_newreno_is_paced_as_well(peer: Peer):
    """Without SACK each duplicate ACK stands for a segment delivered."""
    flight(peer, sack=False, congestion="reno")
    peer.advance(RTT)
    sent = [len(ack(peer, 0)) for _ in range(9)]
    assert sent[:3] == [1, 1, 1], "limited transmit twice, and the retransmission"
    assert max(sent) == 1
    assert peer.app.info.ssthresh == 5 * MSS


@pytest.mark.rfc("9937-01", "9937-03")
def test_acks_of_one_instant_are_one(peer: Peer):
    """Taken in together, they count together: the retransmission does not leave alone, to be waited
    for by a time-out when it is lost as well."""
    flight(peer)
    peer.advance(RTT)
    blocks = [(edge(6), edge(end)) for end in (7, 8, 9)]
    acks = [peer.segment(ack=edge(5), sack=[block], window=1 << 20) for block in blocks]
    peer.sends_together(*acks)
    sent = numbers(peer.gets_all())
    info = peer.app.info
    assert info.ssthresh == 7 * MSS  # of the ten that were out
    assert sent == [5, 10, 11, 12, 13, 14]  # nine is out, so these make seven
    assert info.pipe == info.ssthresh


def test_the_next_episode_reduces_cwnd_not_what_was_sacked(peer: Peer):
    """The ACK that ends an episode shows that the first segment sent within it is lost. FlightSize
    counts what was SACKed: 0.7 of it would be the whole cwnd again, or more."""
    flight(peer, congestion="cubic")
    peer.advance(RTT)
    for end in range(2, 11):
        ack(peer, 0, (1, end))
    assert peer.app.info.cwnd == peer.app.info.ssthresh == 7 * MSS
    peer.advance(RTT)
    ack(peer, 12, (13, 16))
    assert not peer.app.info.in_recovery
    assert peer.app.info.flight_size == 10 * MSS
    assert numbers(peer.gets_all(within=0.014)) == [12]
    assert peer.app.info.fast_recoveries == 2
    assert peer.app.info.ssthresh == 7 * MSS * 7 // 10
