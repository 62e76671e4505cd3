"""What a bad network does to packets: `Impairment` says how bad, `Pipe` does it, by a seed.

A pipe is one direction. It is told the time and says when each packet comes out, if at all; so the
same pipes serve the simulator (no event loop) and `Network` (async).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from usertcp.testing._router import mark_ce, may_fragment, packet_too_big

if TYPE_CHECKING:
    import random

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """One direction of a link. Times are seconds, probabilities 0 to 1, sizes bytes."""

    delay: float = 0.0
    """Of every packet."""
    jitter: float = 0.0
    """Up to this much more delay; packets keep their order."""
    loss: float = 0.0
    """Probability of being lost."""
    burst: float = 1.0
    """Mean number of packets lost together."""
    duplicate: float = 0.0
    """Probability of arriving twice."""
    reorder: float = 0.0
    """Probability of being held back by `reorder_delay`, so that later packets overtake."""
    reorder_delay: float = 0.01
    """The longest time a packet is held back."""
    mark: float = 0.0
    """Probability of being marked with congestion experienced (CE) if the packet says that its ends
    understand it (ECT, RFC 3168 5)."""
    mark_above: int | None = None
    """With a `rate`: what finds more bytes than this waiting is marked if it may be, else lost."""
    corrupt: float = 0.0
    """Probability that one bit flips; checksums are not repaired."""
    rate: float | None = None
    """Bits per second."""
    queue: int = 1 << 20
    """Bytes that wait for a link with a `rate`; what comes when it is full is lost."""
    mtu: int | None = None
    """Larger packets do not pass, unless they may be fragmented."""
    too_big: Literal["silent", "report", "lie"] = "silent"
    """What becomes of larger packets: they vanish without a word, as in a black hole; their sender
    is told so by ICMP (RFC 1191, RFC 8201); or they pass, and it is told nevertheless."""


@dataclass(slots=True)
class PipeStatistics:
    offered: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    marked: int = 0
    corrupted: int = 0
    queue_full: int = 0
    too_large: int = 0
    reports: int = 0


@dataclass(slots=True)
class Pipe:
    """Packets in with `offer`, out at the times it returns. `impairment` may be changed."""

    impairment: Impairment
    """What happens to packets offered from now on."""
    rng: random.Random
    """Decides; the same state, the same fates."""
    statistics: PipeStatistics = field(default_factory=PipeStatistics)
    """What happened to packets so far."""
    _reports: list[tuple[int, bytes]] = field(default_factory=list)
    _busy_until: int = 0  # of the serialising sender
    _last_out: int = 0
    _losing: bool = False

    def offer(self, packet: bytes, now: int) -> list[tuple[int, bytes]]:
        """(time, packet) pairs to deliver: none when it is lost, two when it is duplicated."""
        im, st, rng = self.impairment, self.statistics, self.rng
        st.offered += 1
        if im.mtu is not None and len(packet) > im.mtu and not may_fragment(packet):
            st.too_large += 1
            if im.too_big != "silent":
                st.reports += 1
                self._reports.append((now + round(im.delay * _NS), packet_too_big(packet, im.mtu)))
            if im.too_big != "lie":
                return []
        above = im.mark_above is not None and self._waiting(now) > im.mark_above
        if above or (im.mark and rng.random() < im.mark):
            marked = mark_ce(packet)
            if marked is None and above:
                st.lost += 1
                return []
            st.marked += marked is not None
            packet = marked or packet
        left_at = self._serialise(len(packet), now)
        if left_at is None:
            st.queue_full += 1
            return []
        if self._is_lost():
            st.lost += 1
            return []
        if im.corrupt and rng.random() < im.corrupt:
            st.corrupted += 1
            packet = flip_bit(packet, rng.randrange(len(packet) * 8))
        out = [(self._arrival(left_at), packet)]
        if im.duplicate and rng.random() < im.duplicate:
            st.duplicated += 1
            out.append((self._arrival(left_at), packet))
        st.delivered += len(out)
        return out

    def take_reports(self) -> list[tuple[int, bytes]]:
        """(time, packet) pairs of ICMP for the sender, about what was offered since."""
        taken, self._reports = self._reports, []
        return taken

    def _serialise(self, size: int, now: int) -> int | None:
        rate = self.impairment.rate
        if rate is None:
            return now
        if self._waiting(now) + size > self.impairment.queue:
            return None
        self._busy_until = max(now, self._busy_until) + round(size * 8 * _NS / rate)
        return self._busy_until

    def _waiting(self, now: int) -> float:
        """Bytes that wait for the link."""
        return max(0, self._busy_until - now) * (self.impairment.rate or 0) / (8 * _NS)

    def _is_lost(self) -> bool:
        im = self.impairment
        if not im.loss:
            self._losing = False
            return False
        if self._losing:
            self._losing = self.rng.random() < 1 - 1 / max(im.burst, 1.0)
        if not self._losing:
            self._losing = self.rng.random() < im.loss / max(im.burst, 1.0)
        return self._losing

    def _arrival(self, left_at: int) -> int:
        im, rng = self.impairment, self.rng
        at = left_at + round(im.delay * _NS)
        if im.reorder and rng.random() < im.reorder:
            self.statistics.reordered += 1
            return at + round(rng.uniform(0, im.reorder_delay) * _NS)
        if im.jitter:
            at += round(rng.uniform(0, im.jitter) * _NS)
        self._last_out = max(at, self._last_out)
        return self._last_out


def flip_bit(packet: bytes, bit: int) -> bytes:
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
