"""What one ACK costs where the peer reports hundreds of holes ("SACK of death"): runs that are
touched and moved are counted, by UT_WORK of base.h, not time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.whitebox import ffi, lib

MS = 1_000_000
MSS = 10
MOST = 510  # holes: RANGES_MAX is 512
PER_HOLE = 6
"""Touches and moves that one ACK may cost for each hole there is."""


class Sender:
    """`holes` segments are missing, every other one of those in flight; all were sent again."""

    def __init__(self, raw, holes: int, again: bool):
        self.raw, self.holes = raw, holes
        self.now = 1000 * MS
        lib.wb_sender_use_rack(raw, 40 * MS, 24 * MS)
        lib.wb_sender_at(raw, self.now)
        lib.wb_sender_send(raw, (2 * holes + 10) * MSS)
        self.pass_time()
        for i in range(holes):
            self.sack((2 * i + 1, 2 * i + 2))
        lib.wb_sender_detect(raw)
        if again:
            for i in range(holes):
                lib.wb_sender_resend(raw, 2 * i * MSS, (2 * i + 1) * MSS)
            self.pass_time()
        lib.wb_work()

    def pass_time(self) -> None:
        self.now += 30 * MS
        lib.wb_sender_at(self.raw, self.now)

    def sack(self, *runs: tuple[float, float]) -> int:
        """Runs by segment. What it cost, loss detection included."""
        pairs = [int(edge * MSS) for run in runs for edge in run]
        assert lib.wb_sender_sacked(self.raw, ffi.new("uint64_t[]", pairs), len(runs))
        lib.wb_sender_duplicate(self.raw, True)
        return int(lib.wb_work())

    def ack(self, number: float) -> int:
        lib.wb_sender_acked(self.raw, int(number * MSS))
        return int(lib.wb_work())


@contextmanager
def sender(holes: int, *, again: bool = True) -> Iterator[Sender]:
    raw = lib.wb_sender_new(1000, (2 * MOST + 20) * MSS, MSS)
    try:
        yield Sender(raw, holes, again)
    finally:
        lib.wb_sender_free(raw)


def all_reported(s: Sender) -> int:
    return s.sack((1, 2 * s.holes))


def all_acknowledged(s: Sender) -> int:
    return s.ack(2 * s.holes)


def from_within_a_segment(s: Sender) -> int:
    """What was sent again is cut first, and then goes as a whole."""
    return s.sack((0.5, 2 * s.holes))


def a_byte_more(s: Sender) -> int:
    return s.sack((2 * s.holes - 1, 2 * s.holes + 0.1))


def a_byte_acknowledged(s: Sender) -> int:
    return s.ack(0.1)


def four_far_apart(s: Sender) -> int:
    quarter = s.holes // 4
    return s.sack(*((2 * i * quarter, 2 * i * quarter + 1) for i in range(1, 4)))


def lost_again(s: Sender) -> int:
    """What was sent last arrives: all that was sent again before is lost once more."""
    s.pass_time()
    return s.sack((2 * s.holes - 2, 2 * s.holes - 1))


WAYS = (
    all_reported, all_acknowledged, from_within_a_segment, a_byte_more, a_byte_acknowledged,
    four_far_apart, lost_again,
)  # fmt: skip


@pytest.mark.attack(14)
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_an_ack_costs_no_more_than_a_walk(way, again: bool):
    with sender(MOST, again=again) as s:
        cost = way(s)
    assert 0 < cost <= PER_HOLE * MOST
    with sender(MOST // 2, again=again) as s:
        half = way(s)
    assert cost <= 2.2 * half + 50, "it grows with the holes, and no faster"


@pytest.mark.attack(14)
def test_ack_after_ack():
    """Hole after hole is filled from above, sent again, and reported lost."""
    with sender(MOST) as s:
        for i in range(MOST - 1, 0, -1):
            assert s.sack((2 * i, 2 * i + 1)) <= PER_HOLE * MOST
            if i % 16 == 0:
                s.pass_time()
                lib.wb_sender_resend(s.raw, 0, MSS)
                lib.wb_work()
