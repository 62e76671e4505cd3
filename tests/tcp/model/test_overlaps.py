"""Every overlap there is: a new segment against what is held, on a line of eight bytes.

With one run held that makes the thirteen relations of intervals (J. F. Allen, 1983), at each place;
with two runs everything around two gaps as well. What came first stays (attack 37), RCV.NXT and the
SACK blocks are those of `support.rfc9293`, which keeps bytes in a dictionary.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

import pytest

from support.segments import ACK, Seg
from support.twin import Twin
from support.ways import established

END = 8
Interval = tuple[int, int]


def intervals(lo: int = 0) -> list[Interval]:
    return list(combinations(range(lo, END), 2))


def relation(new: Interval, old: Interval) -> str:
    """Allen's name for it."""
    (a, b), (c, d) = new, old
    if b < c or d < a:
        return "before" if b < c else "after"
    if b == c or d == a:
        return "meets" if b == c else "met by"
    if (a, b) == (c, d):
        return "equals"
    if a == c:
        return "starts" if b < d else "started by"
    if b == d:
        return "finishes" if a > c else "finished by"
    if c < a and b < d:
        return "during"
    if a < c and d < b:
        return "contains"
    return "overlaps" if a < c else "overlapped by"


def text(interval: Interval, letter: bytes) -> Seg:
    """Its bytes, numbers 11 and up: all of `letter`, so that they tell where they are from."""
    lo, hi = interval
    return Seg(ACK, 11 + lo, 11, letter * (hi - lo))


def arrives_on(held: list[Interval], new: Interval, *, ipv6: bool = False) -> None:
    """`held` arrives, then `new`, then all of it once more, so that each byte shows."""
    twin = Twin(ipv6=ipv6)
    established(twin)
    for at, interval in enumerate(held):
        twin.arrives(text(interval, b"AB"[at : at + 1]))
    twin.arrives(text(new, b"N"))
    twin.arrives(text((0, END), b"z"))
    twin.finish()
    twin.close()


@pytest.mark.attack(37)
@pytest.mark.rfc("9293-EV-09", "9293-SHLD-31", "2018-03", "2018-04", "5681-11", "5681-12")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_one_run_every_relation(ipv6: bool):
    seen: Counter[str] = Counter()
    for held in intervals(1):
        for new in intervals():
            seen[relation(new, held)] += 1
            arrives_on([held], new, ipv6=ipv6)
    assert len(seen) == 13
    assert sum(seen.values()) == 21 * 28


def two_runs() -> Iterator[list[Interval]]:
    for a, b, c, d in combinations(range(1, END), 4):
        yield [(a, b), (c, d)]
        yield [(c, d), (a, b)]


@pytest.mark.attack(37)
@pytest.mark.rfc("9293-EV-09", "9293-SHLD-31", "2018-03", "2018-04", "2018-06")
@pytest.mark.parametrize("part", range(2))
def test_two_runs(part: int):
    """35 pairs of runs in both orders, and each of 28 segments."""
    pairs = list(two_runs())
    assert len(pairs) == 70
    for held in pairs[part::2]:
        for new in intervals():
            arrives_on(held, new)
