"""From the segments of a connection, as one place saw them, to what a picture of it shows.

Sequence numbers are made relative to each side's first and never wrap; times are seconds since the
connection's first segment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from usertcp.testing.packets import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usertcp.testing.packets import Options

_UNKNOWN_SSTHRESH = 1 << 30
_HALF, _ALL = 1 << 31, 1 << 32


@dataclass(frozen=True, slots=True)
class Seen:
    """A segment that passed."""

    at_ns: int
    forth: bool  # from the connection's first end to its second
    seq: int
    ack: int
    flags: int
    window: int
    options: Options
    length: int  # of its payload


@dataclass(frozen=True, slots=True)
class Sample:
    """What a connection of ours was at a moment; None: not known (yet)."""

    at_ns: int
    state: str
    cwnd: int | None
    ssthresh: int | None
    srtt: float | None

    @classmethod
    def of(
        cls, at_ns: int, state: str, *, cwnd: int = 0, ssthresh: int = 0, srtt_ns: int = 0
    ) -> Sample:
        known = 0 < ssthresh < _UNKNOWN_SSTHRESH
        return cls(at_ns, state, cwnd or None, ssthresh if known else None, srtt_ns / 1e9 or None)

    def says(self, other: Sample) -> bool:
        """The same, at whatever time."""
        return replace(other, at_ns=self.at_ns) == self


class Piece(NamedTuple):
    """Sequence numbers [lo, hi) that were sent; `again`: not for the first time."""

    at: float
    lo: int
    hi: int
    again: bool


class Mark(NamedTuple):
    at: float
    seq: int
    name: str  # SYN, FIN or RST


@dataclass(slots=True)
class Direction:
    """What one end sent, and what the other said of it."""

    sent: list[Piece] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    acks: list[tuple[float, int]] = field(default_factory=list)
    edges: list[tuple[float, int]] = field(default_factory=list)  # right edge of the window
    sacks: list[tuple[float, int, int]] = field(default_factory=list)
    flight: list[tuple[float, int]] = field(default_factory=list)  # bytes not acknowledged
    rtts: list[tuple[float, float]] = field(default_factory=list)

    @property
    def bytes_sent(self) -> int:
        return max((piece.hi for piece in self.sent), default=0)


@dataclass(slots=True)
class Series:
    """A connection: `forth` is what its first end sent. States by end: (time, RFC 9293's name)."""

    forth: Direction = field(default_factory=Direction)
    back: Direction = field(default_factory=Direction)
    states: tuple[list[tuple[float, str]], list[tuple[float, str]]] = field(
        default_factory=lambda: ([], [])
    )
    cwnd: list[tuple[float, int]] = field(default_factory=list)
    ssthresh: list[tuple[float, int]] = field(default_factory=list)
    srtt: list[tuple[float, float]] = field(default_factory=list)


class _Sender:
    """One end's numbers, unwrapped, and how its direction grows."""

    def __init__(self) -> None:
        self.direction = Direction()
        self.base: int | None = None
        self.high = 0  # the highest sequence number sent, relative
        self.acked = 0
        self.wscale: int | None = None
        self.fin: int | None = None  # the number after it
        self._timed: deque[tuple[int, float]] = deque()  # (end of piece, when), sent once

    def relative(self, number: int) -> int:
        if self.base is None:
            self.base = number
        return self.high + (number - self.base - self.high + _HALF) % _ALL - _HALF

    def sends(self, at: float, one: Seen) -> None:
        if one.flags & SYN and self.base is None:
            self.base = one.seq
            self.wscale = one.options.wscale
        lo = self.relative(one.seq)
        for bit, name in ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST")):
            if one.flags & bit:
                self.direction.marks.append(Mark(at, lo + one.length, name))
        first = lo + bool(one.flags & SYN)
        hi = first + one.length
        if one.length:
            self._piece(at, first, hi)
        if one.flags & FIN:
            hi += 1
            self.fin = hi
        if not one.flags & RST:
            self.high = max(self.high, hi)
        self._flight(at)

    def _piece(self, at: float, lo: int, hi: int) -> None:
        middle = min(max(self.high, lo), hi)
        if lo < middle:
            self.direction.sent.append(Piece(at, lo, middle, again=True))
            self._timed = deque(entry for entry in self._timed if entry[0] <= lo)  # Karn
        if middle < hi:
            self.direction.sent.append(Piece(at, middle, hi, again=False))
            self._timed.append((hi, at))

    def hears(self, at: float, one: Seen, scale: int | None) -> None:
        """The other end's acknowledgement."""
        ack = self.relative(one.ack)
        self.direction.acks.append((at, ack))
        if scale is not None:
            shift = 0 if one.flags & SYN else scale
            self.direction.edges.append((at, ack + (one.window << shift)))
        for left, right in one.options.sack:
            self.direction.sacks.append((at, self.relative(left), self.relative(right)))
        sent_at = None
        while self._timed and self._timed[0][0] <= ack:
            sent_at = self._timed.popleft()[1]
        if sent_at is not None:
            self.direction.rtts.append((at, at - sent_at))
        self.acked = max(self.acked, ack)
        self._flight(at)

    def _flight(self, at: float) -> None:
        self.direction.flight.append((at, max(self.high - self.acked, 0)))


# RFC 9293 3.3.2, as far as segments alone lead from state to state.
_ON_FIN_SENT = {
    "SYN-RECEIVED": "FIN-WAIT-1", "ESTABLISHED": "FIN-WAIT-1", "CLOSE-WAIT": "LAST-ACK"
}  # fmt: skip
_ON_FIN_ACKED = {"FIN-WAIT-1": "FIN-WAIT-2", "CLOSING": "TIME-WAIT", "LAST-ACK": "CLOSED"}
_ON_FIN = {
    "SYN-RECEIVED": "CLOSE-WAIT", "ESTABLISHED": "CLOSE-WAIT",
    "FIN-WAIT-1": "CLOSING", "FIN-WAIT-2": "TIME-WAIT",
}  # fmt: skip


class _StatePath:
    """The states of one end, if what was seen is what it sent and got."""

    def __init__(self, state: str, at: float) -> None:
        self.path: list[tuple[float, str]] = [(at, state)]

    def _to(self, at: float, state: str | None) -> None:
        if state is not None and state != self.path[-1][1]:
            self.path.append((at, state))

    def sends(self, at: float, flags: int, *, fin_got: bool) -> None:
        """`fin_got`: it acknowledges the other's FIN, which thus has reached it."""
        if fin_got:
            self._to(at, _ON_FIN.get(self.path[-1][1]))
        state = self.path[-1][1]
        if flags & RST:
            self._to(at, "CLOSED")
        elif flags & SYN:
            if flags & ACK and state in ("LISTEN", "SYN-SENT"):
                self._to(at, "SYN-RECEIVED")
            elif state == "CLOSED":
                self._to(at, "SYN-SENT")
        elif flags & FIN:
            self._to(at, _ON_FIN_SENT.get(state))

    def gets(self, at: float, flags: int, *, fin_acked: bool) -> None:
        state = self.path[-1][1]
        if flags & RST:
            self._to(at, "CLOSED" if state != "LISTEN" else None)
            return
        if flags & ACK and state == "SYN-RECEIVED":
            self._to(at, "ESTABLISHED")
        if flags & ACK and flags & SYN and state == "SYN-SENT":
            self._to(at, "ESTABLISHED")
        if fin_acked:
            self._to(at, _ON_FIN_ACKED.get(self.path[-1][1]))


def _first_states(first: Seen) -> tuple[str, str]:
    """Of the segment's sender and of who gets it, before it."""
    if not first.flags & SYN:
        return "ESTABLISHED", "ESTABLISHED"
    return ("LISTEN", "SYN-SENT") if first.flags & ACK else ("CLOSED", "LISTEN")


def compute(segments: Sequence[Seen], samples: Sequence[Sample] = ()) -> Series:
    """Of a connection's segments in order, one at least; `samples` are of its first end."""
    start = segments[0].at_ns
    senders = (_Sender(), _Sender())
    before = _first_states(segments[0])
    ends = before if segments[0].forth else before[::-1]
    paths = tuple(_StatePath(state, 0.0) for state in ends)
    for one in segments:
        at = (one.at_ns - start) / 1e9
        mine, other = (0, 1) if one.forth else (1, 0)
        senders[mine].sends(at, one)
        if one.flags & ACK:
            both = senders[mine].wscale is not None and senders[other].wscale is not None
            seen = senders[mine].base is not None and any(
                mark.name == "SYN" for mark in senders[mine].direction.marks
            )
            scale = (senders[mine].wscale if both else 0) if seen else None
            senders[other].hears(at, one, scale)
        fin = senders[other].fin
        acked = bool(one.flags & ACK) and fin is not None and senders[other].acked >= fin
        paths[mine].sends(at, one.flags, fin_got=acked)
        paths[other].gets(at, one.flags, fin_acked=acked)
    found = Series(senders[0].direction, senders[1].direction, (paths[0].path, paths[1].path))
    _add_samples(found, samples, start)
    return found


def _add_samples(series: Series, samples: Sequence[Sample], start: int) -> None:
    path: list[tuple[float, str]] = []
    for sample in samples:
        at = (sample.at_ns - start) / 1e9
        if not path or path[-1][1] != sample.state:
            path.append((at, sample.state))
        if sample.cwnd is not None:
            series.cwnd.append((at, sample.cwnd))
        if sample.ssthresh is not None:
            series.ssthresh.append((at, sample.ssthresh))
        if sample.srtt is not None:
            series.srtt.append((at, sample.srtt))
    if path:  # and what segments tell of the time before the first sample
        head = [point for point in series.states[0] if point[0] < path[0][0]]
        series.states = (head + path, series.states[1])
