"""Timestamps: every state, TSval at the edges of TS.Recent, against RFC 7323 in plain Python.

PAWS, segments without a timestamp, and TS.Recent, which shows in the echo of whatever leaves: also
when an ACK is delayed, and when something is missing before the segment (4.3, cases A to C).
"""

from collections.abc import Iterator

import pytest

from support.rfc9293 import Reference
from support.segments import ACK, FIN, PSH, RST, SYN, TS, Seg
from support.twin import Twin
from support.ways import WAYS, established, survey, twin_in

HALF = 2**31
TIMESTAMPS = (TS - HALF, TS - HALF + 1, TS - 1, TS, TS + 1, TS + HALF - 1, None)
KINDS: dict[str, tuple[int, bytes]] = {
    "null": (0, b""),
    "SYN": (SYN, b""),
    "SYN,ACK": (SYN | ACK, b""),
    "ACK": (ACK, b""),
    "data": (PSH | ACK, b"vwxyz"),
    "FIN,ACK": (FIN | ACK, b""),
    "data FIN": (FIN | ACK, b"vwxyz"),
    "RST": (RST, b""),
    "RST,ACK": (RST | ACK, b""),
}


def segments(own: Reference, flags: int, data: bytes) -> Iterator[Seg]:
    length = Seg(flags, 0, data=data).length
    nxt = own.rcv_nxt
    for ts in TIMESTAMPS:
        for seq in sorted({own.irs, nxt - length, nxt - 1, nxt, nxt + 1, own.edge - 1, own.edge}):
            for ack in sorted({own.una - 1, own.una, own.nxt, own.nxt + 1}):
                yield Seg(flags, seq, ack, data, ts=ts)


@pytest.mark.rfc(
    "7323-09", "7323-10", "7323-11", "7323-15", "7323-18", "7323-19", "7323-26", "6191-01",
    "6191-02", "6191-04",
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_each_state(kind: str):
    flags, data = KINDS[kind]
    for way in WAYS:
        twin = twin_in(way, timestamps=True)
        twin.close()
        assert survey(way, segments(twin.reference, flags, data), timestamps=True) >= 40


@pytest.mark.attack(31)
@pytest.mark.rfc("7323-15", "7323-16", "7323-20")
@pytest.mark.parametrize("steps", [(1, 1, 1), (0, 5, 0), (2, -1, 7), (-3, 4, HALF - 8)])
def test_which_is_echoed(steps: tuple[int, int, int]):
    """Two in order, one beyond a gap, the gap filled: timestamps that rise, stay and fall."""
    twin = Twin(timestamps=True)
    established(twin)
    first, second, third = TS + steps[0], TS + steps[0] + steps[1], TS + sum(steps)
    for seq, data, ts in [
        (11, b"ab", first),
        (13, b"cd", second),
        (17, b"gh", third),
        (15, b"ef", second),
        (19, b"", third),
    ]:
        twin.arrives(Seg(ACK, seq, 11, data, ts=ts))
    twin.finish()
    twin.close()
