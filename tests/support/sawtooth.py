"""What Reno and CUBIC achieve when losses do not depend on them: formulas, and a fluid model.

The formulas (RFC 5348 3.1 without time-outs; RFC 8312 5.2) leave out what small windows feel:
that a loss is noticed a round trip after three further segments left, that its repair takes
another in which nothing grows, and that only whole segments leave. `fluid` has these three, and
else only the RFCs' equations, in floats.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, sqrt
from random import Random

MSS = 1448
DUP_THRESH = 3
C, BETA = 0.4, 0.7
ALPHA = 3 * (1 - BETA) / (1 + BETA)


def reno_window(p: float) -> float:
    """Mean window, segments: Mathis et al."""
    return sqrt(1.5 / p)


def cubic_window(p: float, rtt: float) -> float:
    """Mean window, segments: CUBIC's own region, or that of Reno where it is larger."""
    return max(1.054 * (rtt / p) ** 0.75, reno_window(p))


def goodput(name: str, p: float, rtt: float) -> float:
    """Bits per second, by the formula."""
    window = reno_window(p) if name == "reno" else cubic_window(p, rtt)
    return window * MSS * 8 / rtt


def every(period: int) -> Iterator[int]:
    """Distances between losses: each `period`-th segment."""
    while True:
        yield period


def bernoulli(p: float, seed: int) -> Iterator[int]:
    """Distances between losses of each segment with probability p."""
    rng = Random(seed)
    while True:
        yield floor(rng.expovariate(1) / p) + 1


@dataclass
class Reno:
    """Congestion avoidance of RFC 5681 3.1 with byte counting."""

    window: float = 10.0
    credit: float = 0.0

    def grow(self, acked: float, _now: float, _rtt: float) -> None:
        self.credit += acked
        if self.credit >= self.window:
            self.credit -= self.window
            self.window += 1

    def reduce(self, flight: float) -> float:
        return flight / 2

    def begin(self, window: float, _now: float) -> None:
        self.window, self.credit = window, 0.0


@dataclass
class Cubic:
    """RFC 9438 4.2 to 4.7."""

    window: float = 10.0
    w_max: float = 10.0
    prior: float = 10.0
    w_est: float = 10.0
    since: float = 0.0
    k: float = 0.0

    def at(self, t: float) -> float:
        return C * (t - self.k) ** 3 + self.w_max

    def grow(self, acked: float, now: float, rtt: float) -> None:
        t = now - self.since
        self.w_est += (ALPHA if self.w_est < self.prior else 1.0) * acked / self.window
        if self.at(t) < self.w_est:
            self.window = max(self.window, self.w_est)
            return
        target = min(max(self.at(t + rtt), self.window), 1.5 * self.window)
        self.window += (target - self.window) / self.window * acked

    def reduce(self, flight: float) -> float:
        fast = self.window < self.w_max
        self.w_max = self.window * (1 + BETA) / 2 if fast else self.window
        self.prior = self.window
        return flight * BETA

    def begin(self, window: float, now: float) -> None:
        self.window = self.w_est = window
        self.since = now
        self.k = ((self.w_max - window) / C) ** (1 / 3) if self.w_max > window else 0.0


def fluid(name: str, rtt: float, losses: Iterator[int], warm: float, seconds: float) -> float:
    """Bits per second from `warm` s on; `losses`: distances between lost segments."""
    flow = Reno() if name == "reno" else Cubic()
    step = rtt / 32
    now = sent = counted = lost = 0.0
    next_loss = float(next(losses))
    gone: deque[float] = deque()  # lost segments, and then when they are known to be
    noticed: deque[tuple[float, float]] = deque()
    recovering_until, recovery_point, after = 0.0, 0.0, 0.0
    while now < warm + seconds:
        recovering = now < recovering_until
        out = (after if recovering else float(floor(flow.window))) * step / rtt
        sent += out
        while sent >= next_loss:
            gone.append(next_loss)
            next_loss += next(losses)
            lost += now >= warm
        while gone and sent >= gone[0] + DUP_THRESH:
            noticed.append((now + rtt, gone.popleft()))
        now += step
        if not recovering:
            if recovering_until:
                flow.begin(after, now)
                recovering_until = 0.0
            flow.grow(out, now, rtt)
        while noticed and noticed[0][0] <= now:
            _, segment = noticed.popleft()
            if segment >= recovery_point:  # another window's: another reduction
                if recovering_until:
                    flow.begin(after, now)
                after = max(flow.reduce(floor(flow.window)), 2.0)
                recovery_point = sent
            recovering_until = now + rtt
        counted += out * (now > warm)
    return (counted - lost) * MSS * 8 / seconds
