"""Bulk flows through one bottleneck in virtual time, in C: what a congestion control achieves.

Packets go from stack to stack as they are, so that minutes of virtual time take seconds
(csrc/api/whitebox_dumbbell.c). The same path and seed give the same run, packet by packet. Where a
path must do more (marks, jitter, bursts of losses) there is `support.bulk`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from support.whitebox import ffi, lib
from usertcp._congestion import congestion_index

SECOND = 1_000_000_000
MSS = 1448
HEADERS = MSS / 1500
"""What is left of a link's rate for data."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """A bottleneck. `rate` bits per second; `rtt` s, of the empty path; `queue` bytes that wait at
    most; `loss` a probability, or each `period`-th packet, of those with data."""

    rate: float
    rtt: float
    queue: int = 1 << 22
    loss: float = 0.0
    period: int = 0

    @property
    def bdp(self) -> int:
        """Bytes that fill the empty path."""
        return round(self.rate * self.rtt / 8)


class Dumbbell:
    """Flows from one stack to another. A context manager; freed at its end."""

    def __init__(self, path: Path, *, seed: int = 1) -> None:
        self.path = path
        buffer = 1 << 16
        while buffer < min(4 * (path.bdp + path.queue), 1 << 25):
            buffer *= 2
        told: Any = ffi.new("wb_path *")
        told.rate = round(path.rate)
        told.delay_ns = round(path.rtt * SECOND / 2)
        told.queue = path.queue
        told.loss = round(path.loss * 2**32)
        told.period = path.period
        told.seed = seed
        told.buffer = buffer
        self._d: Any = lib.wb_dumbbell_new(told)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        lib.wb_dumbbell_free(self._d)
        self._d = ffi.NULL

    def add(self, congestion: str = "cubic") -> int:
        """Another flow, from now on; its number."""
        flow: int = lib.wb_dumbbell_add(self._d, congestion_index(congestion))
        if flow < 0:
            raise RuntimeError(f"no flow: {flow}")
        self.count += 1
        return flow

    def run(self, seconds: float) -> None:
        """So much virtual time passes."""
        code = lib.wb_dumbbell_run(self._d, round(seconds * SECOND))
        if code < 0:
            raise RuntimeError(f"a flow ended: {code}")

    def received(self, flow: int) -> int:
        """Bytes of a flow that its receiver has read."""
        return int(lib.wb_dumbbell_received(self._d, flow))

    def info(self, flow: int) -> Any:
        """`ut_info` of its sender."""
        out = ffi.new("ut_info *")
        code = lib.wb_dumbbell_info(self._d, flow, out)
        if code < 0:
            raise RuntimeError(f"no such flow: {code}")
        return out

    def congestion(self, flow: int) -> dict[str, int]:
        """What its congestion control keeps, by name."""
        info = self.info(flow)
        rows = [info.congestion[i] for i in range(info.congestion_count)]
        return {ffi.string(row.name).decode(): int(row.value) for row in rows}

    @property
    def stats(self) -> Any:
        """`wb_path_stats`: what the bottleneck did."""
        out = ffi.new("wb_path_stats *")
        lib.wb_dumbbell_stats(self._d, out)
        return out

    def goodputs(self, warm: float, seconds: float) -> list[float]:
        """Bits per second of each flow, from `warm` s on."""
        self.run(warm)
        before = [self.received(flow) for flow in range(self.count)]
        self.run(seconds)
        return [(self.received(i) - had) * 8 / seconds for i, had in enumerate(before)]

    def watch(self, seconds: float, every: float, each: Callable[[], None]) -> None:
        """Time passes; `each` is called again and again."""
        for _ in range(round(seconds / every)):
            self.run(every)
            each()
