"""tcp/sack and tcp/recovery: the scoreboard of RFC 6675 against one entry per octet.

The small sequence space makes brute force affordable: every function of RFC 6675 4 is written
down here as the RFC words it, octet by octet.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib

MSS = 4
SEGMENTS = 30
FLIGHT = SEGMENTS * MSS
NONE, FAST, RTO = 0, 1, 2

isses = st.sampled_from([0, 1000, 2**32 - 5, 2**32 - FLIGHT // 2])
blocks = st.lists(
    st.tuples(st.integers(0, SEGMENTS - 1), st.integers(1, SEGMENTS)).map(
        lambda b: (b[0] * MSS, min(b[0] + b[1], SEGMENTS) * MSS)
    ),
    min_size=1,
    max_size=4,
)


@dataclass
class Board:
    """RFC 6675 4, octet by octet."""

    una: int = 0
    nxt: int = FLIGHT
    sacked: set[int] = field(default_factory=set)

    def update(self, pairs) -> bool:
        before = len(self.sacked)
        for lo, hi in pairs:
            if lo > self.una and hi <= self.nxt:
                self.sacked |= set(range(lo, hi))
        return len(self.sacked) > before

    def is_lost(self, octet: int) -> bool:
        above = sorted(o for o in self.sacked if o > octet)
        runs = sum(1 for i, o in enumerate(above) if i == 0 or above[i - 1] != o - 1)
        return runs >= 3 or len(above) > 2 * MSS

    def pipe(self, high_rxt: int) -> int:
        total = 0
        for octet in range(self.una, self.nxt):
            if octet not in self.sacked:
                total += (not self.is_lost(octet)) + (octet < high_rxt)
        return total

    def next_lost(self, high_rxt: int) -> int | None:
        for octet in range(max(high_rxt, self.una), max(self.sacked, default=-1)):
            if octet not in self.sacked and self.is_lost(octet):
                return octet
        return None


class Sender:
    def __init__(self, iss=1000):
        self.s = ffi.gc(lib.wb_sender_new(iss, FLIGHT, MSS), lib.wb_sender_free)

    def sack(self, pairs):
        flat = [offset for pair in pairs for offset in pair]
        return lib.wb_sender_sacked(self.s, flat, len(pairs))

    def next(self, *, send=False):
        run = ffi.new("uint64_t[2]")
        return tuple(run) if lib.wb_sender_next(self.s, run, send) else None


@pytest.mark.rfc("6675-01", "2018-11")
@given(isses, st.lists(blocks, min_size=1, max_size=6))
def test_update_and_is_lost(iss, acks):
    sender, board = Sender(iss), Board()
    for pairs in acks:
        assert sender.sack(pairs) == board.update(pairs)
    lost = [o for o in range(FLIGHT) if o not in board.sacked and board.is_lost(o)]
    edge = lib.wb_sender_lost_edge(sender.s)
    assert all(o < edge for o in lost)
    assert lost == [o for o in range(edge) if o not in board.sacked]
    assert lib.wb_sender_highest(sender.s) == max(board.sacked, default=-1) + 1
    for lo, hi in ((0, FLIGHT), (MSS + 1, 5 * MSS), (7, 8)):
        expected = len(board.sacked & set(range(lo, hi)))
        assert lib.wb_sender_sacked_in(sender.s, lo, hi) == expected


@pytest.mark.rfc("6675-02", "6675-03", "6675-06")
@given(isses, st.lists(blocks, min_size=3, max_size=8))
def test_pipe_and_next_segment(iss, acks):
    sender, board = Sender(iss), Board()
    for pairs in acks:
        news = sender.sack(pairs)
        board.update(pairs)
        lib.wb_sender_duplicate(sender.s, news)
    if lib.wb_sender_mode(sender.s) != FAST:
        return
    assert lib.wb_sender_recovery_point(sender.s) == FLIGHT
    lib.wb_sender_set_cwnd(sender.s, 10**6)
    assert sender.next(send=True) == (0, MSS)  # 6675 5 (4.3): the first, whatever else
    for _ in range(SEGMENTS):
        high = lib.wb_sender_high_rxt(sender.s)
        assert lib.wb_sender_pipe(sender.s) == board.pipe(high)
        expected = board.next_lost(high)
        if expected is None:
            break
        found = sender.next(send=True)
        assert found is not None
        assert found[0] == expected
        assert not board.sacked & set(range(*found))
        assert found[1] - found[0] <= MSS


@pytest.mark.rfc("6675-03", "6675-04")
def test_rules_in_order_at_the_tail():
    """Rule 1 for what is lost, 3 for what may be, 4 the rescue, once."""
    sender = Sender()
    for hi in (26, 27, 28):  # segments 25, 26, 27 have arrived; 28 and 29 not
        news = sender.sack([(25 * MSS, hi * MSS)])
        lib.wb_sender_duplicate(sender.s, news)
    lib.wb_sender_set_cwnd(sender.s, 10**6)
    seen = []
    while (run := sender.next(send=True)) is not None and len(seen) < 50:
        seen.append(run[0] // MSS)
    assert seen == [*range(25), 29]
    assert sender.next() is None


@pytest.mark.rfc("6675-07", "5681-01")
def test_pipe_bounds_retransmission():
    sender = Sender()
    for n in (10, 11, 12, 13):
        lib.wb_sender_duplicate(sender.s, sender.sack([(9 * MSS, n * MSS)]))
    assert lib.wb_sender_mode(sender.s) == FAST
    lib.wb_sender_set_cwnd(sender.s, 4 * MSS)
    assert sender.next(send=True) == (0, MSS)
    pipe = lib.wb_sender_pipe(sender.s)
    assert pipe == (SEGMENTS - 13) * MSS + MSS
    assert sender.next() is None  # cwnd - pipe < 1 SMSS
    lib.wb_sender_set_cwnd(sender.s, pipe + MSS)
    assert sender.next() == (MSS, 2 * MSS)


@pytest.mark.rfc("6675-08", "6675-09", "2018-10")
def test_a_timeout_sends_from_the_left_edge_and_bars_fast_recovery():
    sender = Sender()
    sender.sack([(5 * MSS, 6 * MSS)])
    lib.wb_sender_timed_out(sender.s)
    assert lib.wb_sender_mode(sender.s) == RTO
    assert lib.wb_sender_recovery_point(sender.s) == FLIGHT
    assert sender.next(send=True) == (0, MSS)
    for _ in range(5):
        lib.wb_sender_duplicate(sender.s, False)
    assert lib.wb_sender_mode(sender.s) == RTO
    lib.wb_sender_acked(sender.s, FLIGHT)
    assert lib.wb_sender_mode(sender.s) == NONE


@pytest.mark.rfc("2018-08")
def test_a_reneging_peer_is_forgotten_at_the_timeout():
    """A run at SND.UNA would have been acknowledged: the peer has let go of it (RFC 2018 8)."""
    sender = Sender()
    sender.sack([(2 * MSS, 9 * MSS)])
    lib.wb_sender_acked(sender.s, 2 * MSS)
    assert lib.wb_sender_sacked_in(sender.s, 0, FLIGHT) == 7 * MSS
    lib.wb_sender_timed_out(sender.s)
    assert lib.wb_sender_sacked_in(sender.s, 0, FLIGHT) == 0
