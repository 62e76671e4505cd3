"""Five segments in all 120 orders, nine in some: data, and the SACK blocks of each ACK, exactly.

RFC 2018 4: the first block is the run that holds what came last, the others repeat those reported
before it, the newest first; four fit, three beside a timestamp. The rule is written once more here,
in a few lines and from the list of arrivals alone.
"""

import random
from collections.abc import Sequence
from itertools import permutations

import pytest

from usertcp.testing import Peer

SIZE = 100
TEXT = bytes(range(1, 10)) * SIZE


def held_runs(arrived: Sequence[int]) -> list[tuple[int, int]]:
    """Numbers of segments as runs [first, last], of what has come."""
    runs: list[tuple[int, int]] = []
    for n in sorted(set(arrived)):
        if runs and runs[-1][1] == n - 1:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    return runs


def expected(arrived: Sequence[int], room: int = 4) -> tuple[int, list[tuple[int, int]]]:
    """The ACK and its SACK blocks after these segments (0, 1, ...) came in this order."""
    runs = held_runs(arrived)
    done = runs[0][1] + 1 if runs[0][0] == 0 else 0
    blocks: list[tuple[int, int]] = []
    for n in reversed(arrived):
        for first, last in runs:
            if first <= n <= last and n >= done:
                block = (1 + SIZE * first, 1 + SIZE * (last + 1))
                if block not in blocks:
                    blocks.append(block)
    return 1 + SIZE * done, blocks[:room]


def arrives(peer: Peer, n: int) -> None:
    peer.sends(seq=1 + SIZE * n, data=TEXT[SIZE * n : SIZE * (n + 1)], ack=1)


def check_order(peer: Peer, order: Sequence[int], room: int = 4, *, sack: bool = True) -> None:
    """All of `order` arrives; every ACK as expected, at once where RFC 5681 4.2 says so."""
    for at in range(len(order)):
        before = bool(expected(order[:at])[1]) if at else False
        arrives(peer, order[at])
        ack, blocks = expected(order[: at + 1], room)
        at_once = before or bool(blocks)
        got = peer.gets("ACK", ack=ack, seq=1, within=0 if at_once else 0.5)
        assert list(got.sack) == (blocks if sack else []), peer.trace
        peer.gets_nothing()
    assert peer.app.receive() == TEXT[: SIZE * len(set(order))]


ORDERS = list(permutations(range(5)))


@pytest.mark.rfc("2018-03", "2018-04", "2018-06", "2018-12", "5681-11", "5681-12", "9293-SHLD-31")
@pytest.mark.parametrize("first", range(5))
def test_five_segments_in_every_order(first: int):
    orders = [order for order in ORDERS if order[0] == first]
    assert len(orders) == 24
    for order in orders:
        peer = Peer().establish(sack=True)
        check_order(peer, order)
        peer.close()


@pytest.mark.rfc("2018-04", "2018-06")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_orders_over_the_wrap(ipv6: bool):
    """Every seventh order, with sequence numbers that wrap in the middle of each segment."""
    for at, order in enumerate(ORDERS[::7]):
        peer = Peer(isn=2**32 - SIZE * (at % 5) - SIZE // 2).configure(ipv6=ipv6)
        check_order(peer.establish(sack=True), order)
        peer.close()


@pytest.mark.rfc("2018-02")
def test_without_permission_there_are_no_blocks():
    for order in ORDERS[::7]:
        peer = Peer().establish(sack=False)
        check_order(peer, order, sack=False)
        peer.close()


@pytest.mark.rfc("2018-05", "2018-06")
@pytest.mark.parametrize("timestamps", [False, True], ids=["four", "three beside a timestamp"])
def test_nine_segments_more_runs_than_fit(timestamps: bool):
    """Up to four runs beyond a gap and one before: what does not fit waits for room."""
    rng = random.Random(9)
    for _ in range(150):
        order = rng.sample(range(9), 9)
        peer = Peer().establish(sack=True, timestamps=timestamps)
        check_order(peer, order, 3 if timestamps else 4)
        peer.close()


@pytest.mark.rfc("2018-05", "2018-06")
def test_a_run_that_did_not_fit_is_told_when_there_is_room(peer: Peer):
    """Six runs, of which two meet: the sixth block's place goes to the oldest."""
    peer.establish(sack=True)
    order = [10, 8, 6, 4, 2, 3]
    for at, n in enumerate(order):
        peer.sends(seq=1 + SIZE * n, data=bytes(SIZE), ack=1)
        ack, blocks = expected(order[: at + 1])
        got = peer.gets("ACK", ack=ack)
        assert list(got.sack) == blocks
    assert blocks == [(201, 501), (601, 701), (801, 901), (1001, 1101)]


@pytest.mark.rfc("2018-04")
def test_a_segment_once_more_is_told_first():
    """Of what is held already: its run leads (after a D-SACK block, if there is one)."""
    for order in permutations((1, 3, 5)):
        for again in order:
            peer = Peer().establish(sack=True)
            for n in (*order, again):
                arrives(peer, n)
            blocks = list(peer.gets_all()[-1].sack)
            wanted = expected((*order, again))[1]
            duplicate = (1 + SIZE * again, 1 + SIZE * (again + 1))
            assert blocks in (wanted, [duplicate, *wanted][:4])
            peer.close()
