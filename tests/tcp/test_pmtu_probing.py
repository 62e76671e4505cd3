"""PLPMTUD: sizes found out without a word from routers (RFC 4821, RFC 8899)."""

import pytest

from tcp.pmtu import WINDOW, acks, connected, moved, sends, size, sizes, too_big
from usertcp.testing import Got, Peer

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
SACK = pytest.mark.parametrize("sack", [True, False], ids=["sack", "newreno"])


class Hole:
    """Lets packets up to `mtu` through to the peer, which acknowledges (and SACKs) what it has."""

    def __init__(self, peer: Peer, mtu: int, *, sack: bool = True) -> None:
        self.peer = peer
        self.mtu = mtu
        self.sack = sack
        self.lost: list[Got] = []
        self.passed: list[Got] = []
        self._held: list[tuple[int, int]] = []
        self._edge = peer.rcv_nxt

    def round(self, wait: float = 0.1) -> int:
        """What the stack sends within `wait` seconds; the ACKs of it leave together then."""
        got = self.peer.gets_all(within=wait)
        news = 0
        for one in got:
            if size(one) > self.mtu:
                self.lost.append(one)
            elif one.data:
                self.passed.append(one)
                news += 1
                self._take(one.seq, one.end)
                self.peer.sends(ack=self._edge, sack=self._blocks(), window=WINDOW)
        return news

    def _take(self, lo: int, hi: int) -> None:
        self._held.append((lo, hi))
        self._held.sort()
        while self._held and self._held[0][0] <= self._edge:
            self._edge = max(self._edge, self._held.pop(0)[1])

    def _blocks(self) -> list[tuple[int, int]]:
        merged: list[list[int]] = []
        for lo, hi in self._held if self.sack else []:
            if merged and lo <= merged[-1][1]:
                merged[-1][1] = max(hi, merged[-1][1])
            else:
                merged.append([lo, hi])
        return [(lo, hi) for lo, hi in merged][:4]

    def drain(self, rounds: int = 300) -> None:
        """Until everything has arrived."""
        for _ in range(rounds):
            self.round()
            if self.peer.app.info.snd_queued == 0:
                return
        self.peer.fail("the stack does not get through")


@BOTH
@SACK
@pytest.mark.rfc("4821-01", "8899-02")
def test_a_black_hole_is_found_by_time_outs(peer: Peer, ipv6: bool, sack: bool):
    connected(peer, ipv6=ipv6, sack=sack, rto_min=0.2)
    hole = Hole(peer, 1400, sack=sack)
    peer.app.send(bytes(30_000))
    hole.drain()
    first = hole.passed[0]
    # The second time-out sends a part, 1280 bytes over IPv6, 1024 of payload over IPv4; the third
    # says that what follows it does not pass.
    assert size(first) == (1280 if ipv6 else 1064)
    assert first.at < 1.5
    info = peer.app.info
    assert info.bytes_acked == 30_000
    assert info.pmtu <= 1400
    assert info.rto_count == 3


@BOTH
@SACK
@pytest.mark.rfc("4821-01", "4821-02")
def test_the_search_finds_the_size_with_real_data(peer: Peer, ipv6: bool, sack: bool):
    connected(peer, ipv6=ipv6, sack=sack, rto_min=0.2)
    hole = Hole(peer, 1400, sack=sack)
    peer.app.send(bytes(30_000))
    hole.drain()
    for _ in range(20):
        before = peer.app.info
        peer.app.send(bytes(60_000))
        hole.drain()
        after = peer.app.info
        # Lost probes are no congestion: nothing but the probe is sent again.
        assert after.ssthresh == before.ssthresh
        assert after.rto_count == before.rto_count
        assert after.fast_recoveries == before.fast_recoveries
    assert 1400 - 32 <= peer.app.info.pmtu <= 1400
    assert max(sizes(hole.passed)) == peer.app.info.pmtu
    probes = [one for one in hole.lost if size(one) < 1500]
    assert probes
    assert ipv6 or all(one.packet.dont_fragment for one in probes)


@BOTH
def test_new_connections_begin_with_what_was_found(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6, rto_min=0.2)
    hole = Hole(peer, 1300)
    peer.app.send(bytes(30_000))
    hole.drain()
    peer.app.close()
    peer.gets_all()
    peer.sends("FIN,ACK", ack=peer.rcv_nxt)
    peer.advance(1)
    other = peer.another(41000)
    other.app.port = 81
    other.establish(window=WINDOW)
    assert max(sizes(sends(other, 5000))) <= 1300


@pytest.mark.rfc("1191-04")
def test_a_path_that_carries_hardly_anything(peer: Peer):
    """Over IPv4 the third time-out tries the least size, and the fourth settles it."""
    connected(peer, rto_min=0.2)
    hole = Hole(peer, 600)
    peer.app.send(bytes(2920))
    hole.drain(1000)
    assert size(hole.passed[0]) == 552
    assert peer.app.info.rto_count == 4


@pytest.mark.parametrize("count", [1, 100, 1024])
def test_small_segments_are_no_sign_of_a_hole(peer: Peer, count: int):
    connected(peer, rto_min=0.2)
    sends(peer, count)
    peer.gets_all(within=30)
    assert peer.app.info.rto_count > 4
    assert peer.app.info.pmtu == 1500


def time_out(peer: Peer, times: int) -> list[Got]:
    """What is sent at the last of so many time-outs."""
    for _ in range(times):
        before = peer.app.info.rto_count
        got: list[Got] = []
        while peer.app.info.rto_count == before:
            got = peer.gets_all(within=0.05)
    return got


@pytest.mark.parametrize("times", [2, 3, 7])
@pytest.mark.rfc("8899-02")
def test_time_outs_alone_are_no_sign_of_a_hole(peer: Peer, times: int):
    """In an outage parts of a segment are lost as whole ones are."""
    connected(peer, rto_min=0.2)
    sends(peer, 10_000)
    [part] = time_out(peer, times)
    assert size(part) == (1064 if times == 2 else 552)
    assert peer.app.info.pmtu == 1500
    moved(peer, 10_000)
    assert peer.app.info.pmtu == 1500
    assert max(sizes(sends(peer, 10_000))) == 1500


@pytest.mark.rfc("8899-02")
def test_an_outage_between_part_and_next_is_forgiven(peer: Peer):
    """What was no black hole after all: the search comes back to (nearly) the full size."""
    connected(peer, rto_min=0.2)
    sends(peer, 50_000)
    [part] = time_out(peer, 2)
    acks(peer, part.end)
    time_out(peer, 1)
    assert peer.app.info.pmtu == 1064
    hole = Hole(peer, 1500)
    hole.drain()
    for _ in range(10):
        peer.app.send(bytes(60_000))
        hole.drain()
    assert 1500 - 32 <= peer.app.info.pmtu <= 1500
    # After ten minutes the very largest is tried again.
    peer.advance(601)
    for _ in range(3):
        peer.app.send(bytes(60_000))
        hole.drain()
    assert peer.app.info.pmtu == 1500


def test_the_next_that_arrives_is_the_end_of_the_suspicion(peer: Peer):
    connected(peer, rto_min=0.2)
    sends(peer, 50_000)
    [part] = time_out(peer, 2)
    new = acks(peer, part.end)  # F-RTO
    peer.sends(ack=part.end, sack=[(new[0].seq, new[-1].end)], window=WINDOW)
    again = peer.gets_all(within=0.1)[0]
    assert (again.seq, size(again)) == (part.end, 1500)
    acks(peer, again.end)
    time_out(peer, 1)
    assert peer.app.info.pmtu == 1500


@BOTH
def test_a_router_s_word_ends_the_search(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6, mtu_probing=2)
    for _ in range(20):
        for one in sends(peer, 30_000):
            if size(one) > 1400:
                too_big(peer, 1400, one)
        moved(peer, 1)
    assert peer.app.info.pmtu == 1400
    assert (peer.app.info.fast_recoveries, peer.app.info.rto_count) == (0, 0)


@BOTH
@pytest.mark.rfc("8899-02", "8899-03", "8201-03")
def test_always_begins_small(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6, mtu_probing=2)
    base = 1280 if ipv6 else 1064
    assert peer.app.info.pmtu == base
    first = sends(peer, 60_000)
    probes = [one for one in first if size(one) > base]
    # One probe of the largest size, everything else with the base.
    assert sizes(probes) == [1500]
    hole = Hole(peer, 1500)
    peer.sends(ack=peer.rcv_nxt, window=WINDOW)
    hole.drain()
    assert peer.app.info.pmtu == 1500


def test_never_means_never(peer: Peer):
    connected(peer, mtu_probing=0, rto_min=0.2)
    sends(peer, 10_000)
    peer.gets_all(within=60)
    assert peer.app.info.rto_count > 5
    assert peer.app.info.pmtu == 1500


@pytest.mark.parametrize("value", [3, 1 << 20])
def test_probing_is_one_of_three(peer: Peer, value: int):
    peer.configure(mtu_probing=value)
    with pytest.raises(ValueError, match=r"mtu_probing: .* is not between 0 and 2"):
        peer.app.connect()


def test_a_probe_lost_with_other_segments_says_nothing(peer: Peer):
    """RFC 4821 7.6.4: that is congestion, and answered as such."""
    connected(peer, mtu_probing=2)
    first = sends(peer, 60_000)
    at = next(i for i, one in enumerate(first) if size(one) == 1500)
    head = first[at].seq
    blocks = [(one.seq, one.end) for one in first[at + 2 :]]
    for _, hi in blocks:
        peer.sends(ack=head, sack=[(blocks[0][0], hi)], window=WINDOW)
    peer.advance(0.1)
    info = peer.app.info
    assert info.fast_recoveries == 1
    assert info.ssthresh < 1 << 31


def test_of_a_lost_probe_only_what_was_not_acknowledged_is_lost(peer: Peer):
    """A peer may acknowledge in the middle of a segment (RFC 9293 3.4); of the probe too."""
    connected(peer, mtu_probing=2)
    first = sends(peer, 60_000)
    at = next(i for i, one in enumerate(first) if size(one) == 1500)
    una, end = first[at].seq + 100, first[at].end
    peer.sends(ack=first[at].seq, window=WINDOW)
    peer.gets_all()
    peer.advance(0.1)
    blocks = [(first[at + 1].seq, one.end) for one in first[at + 1 : at + 4]]
    for block in blocks:
        peer.sends(ack=una, sack=[block], window=WINDOW)
    sent = next(one for one in peer.gets_all() if one.seq < end)
    assert sent.seq == una
    info = peer.app.info
    assert (info.lost, info.fast_recoveries) == (end - sent.end, 0)
