"""RFC 6298's MUSTs one by one, without SACK: nothing but the timer sends again."""

import pytest

from usertcp.testing import Peer


def gaps(peer: Peer, first: float, seconds: float) -> list[float]:
    """Between one transmission and the next, of what comes within that time."""
    times = [first] + [got.at for got in peer.gets_all(within=seconds)]
    return [b - a for a, b in zip(times, times[1:], strict=False)]


@pytest.mark.rfc("6298-07")
def test_every_round_trip_is_sampled(peer: Peer):
    """A bulk transfer of eight rounds, each longer than the one before: each moves SRTT."""
    peer.configure(rto_min=10.0).establish(mss=1000, sack=False, rtt=0.1)
    seen = [peer.app.info.srtt_ns]
    peer.app.send(bytes(600_000))
    for turn in range(1, 9):
        flight = peer.gets_all(within=0.1 + 0.05 * turn)
        assert len(flight) > 1
        peer.sends(ack=flight[-1].end)
        seen.append(peer.app.info.srtt_ns)
    assert all(before < after for before, after in zip(seen, seen[1:], strict=False)), seen


@pytest.mark.rfc("6298-09")
@pytest.mark.parametrize("segments", [1, 2, 5])
@pytest.mark.parametrize("pause", [0.0, 0.1, 0.9])
def test_nothing_is_sent_again_before_one_rto(peer: Peer, segments: int, pause: float):
    """Whatever was sent first: an ACK of new data begins the RTO of what is left anew (5.3)."""
    peer.configure(rto_min=1.0, delack=0.01).establish(mss=1000, sack=False)
    last: dict[int, float] = {}
    peer.app.send(bytes(1000 * segments))
    for got in peer.gets_all():
        last[got.seq] = got.at
    for end in range(1001, 1000 * segments, 1000):
        peer.advance(pause)
        peer.sends(ack=end)
    again = peer.gets_all(within=10)
    assert again
    rto = 1.0
    for got in again:
        assert got.at - last[got.seq] >= rto - 1e-6
        last[got.seq] = got.at


@pytest.mark.rfc("6298-11")
@pytest.mark.parametrize("rto", [0.2, 1.0, 3.0])
def test_each_expiry_doubles_the_rto(peer: Peer, rto: float):
    peer.configure(rto_min=rto, rto_max=rto * 32, user_timeout=rto * 1000)
    peer.establish(sack=False)
    peer.app.send(b"x")
    found = gaps(peer, peer.gets(data=b"x").at, rto * 200)
    assert found == pytest.approx([rto * min(2**n, 32) for n in range(len(found))], rel=0.05)
    assert len(found) == 10


@pytest.mark.rfc("6298-11")
def test_so_does_that_of_a_syn(peer: Peer):
    peer.configure(rto_initial=1.0, rto_max=60).app.connect()
    found = gaps(peer, peer.gets("SYN").at, 100)
    assert found == pytest.approx([1, 2, 4, 8, 16, 32], rel=0.01)
