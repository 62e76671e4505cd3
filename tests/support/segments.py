"""What `support.rfc9293` speaks of: segments, and what is to leave in reply.

Numbers are plain integers, relative: 0 is the ISS for one end's, the peer's first for the other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK, URG = (1 << bit for bit in range(6))


TS = 1000


def near(number: int, base: int) -> int:
    """What `number`, known modulo 2^32, means next to `base` (3.4)."""
    return base + (number - base + 2**31) % 2**32 - 2**31


class Seg(NamedTuple):
    """A segment of the peer."""

    flags: int
    seq: int
    ack: int = 0
    data: bytes = b""
    window: int = 4000
    urgent: int = 0
    ts: int | None = TS  # TSval, where timestamps were agreed; None: without one

    @property
    def length(self) -> int:
        """SEG.LEN: SYN and FIN count."""
        return len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)


@dataclass(frozen=True)
class Reply:
    """What must leave at once, new data and FIN apart.

    none    nothing
    ack     <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, or data that says as much
    owed    the same within half a second
    may     the same or nothing
    syn     <SEQ=ISS><CTL=SYN>
    syn-ack <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>
    rst     <SEQ=seq><CTL=RST>, or <SEQ=0><ACK=ack><CTL=RST,ACK>
    abort   <SEQ=seq><CTL=RST>, with or without an ACK
    """

    kind: str
    seq: int | None = None
    ack: int | None = None


NONE, ANSWER, OWED, MAY = Reply("none"), Reply("ack"), Reply("owed"), Reply("may")
