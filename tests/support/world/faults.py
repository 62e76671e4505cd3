"""What happens to links, hosts and the clock: drawn by name, over at `World.faults_end`."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from support.world.draws import Draws
from usertcp._binding import lib
from usertcp.testing import SECOND, EngineHarness, Impairment
from usertcp.testing.impair import Pipe
from usertcp.testing.simulator import SimHost, Simulator

ALL_SUCCEED = 2**64 - 1
MTUS = {4: (576, 1000, 1400), 6: (1280, 1400)}


def link(draws: Draws, name: str, *, tidy: bool, brief: bool) -> Impairment:
    """One direction: what it is like, and unless it is tidy, which faults it has all along.
    `brief`: nothing waits long in it."""
    rng = draws.rng(f"{name} link")
    found = {
        "delay": rng.choice((0.0, 0.001, 0.02, 0.2)),
        "rate": rng.choice((None, None, 1e6, 1e7, 1e8)),
        "queue": 1 << 30 if tidy else rng.choice((6000, 30_000, 1 << 20)),
    }
    if brief:
        found["queue"] = 6000
    degree = rng.choice((0.0, 0.3, 1.0, 1.0))
    kinds: dict[str, Callable[[random.Random], dict[str, Any]]] = {
        "jitter": lambda r: {"jitter": r.choice((0.005, 0.05))},
        "loss": lambda r: {"loss": degree * r.choice((0.01, 0.05, 0.25))},
        "burst": lambda r: {"loss": degree * 0.1, "burst": r.choice((3.0, 20.0))},
        "duplicate": lambda r: {"duplicate": degree * r.choice((0.02, 0.2))},
        "reorder": lambda r: {
            "reorder": degree * r.choice((0.05, 0.3)),
            "reorder_delay": r.choice((0.001, 0.03, 0.3)),
        },
        "mark": lambda r: {"mark": degree * r.choice((0.02, 0.1))},
        "mark_above": lambda r: {"mark_above": r.choice((3000, 20_000))},
        "corrupt": lambda r: {"corrupt": degree * r.choice((0.01, 0.05))},
    }
    if degree and not tidy:
        for kind, draw in kinds.items():
            if (own := draws.feature(f"{name} {kind}", 0.35)) is not None:
                found |= draw(own)
    return Impairment(**found)


def calm_link(im: Impairment) -> Impairment:
    """The same link without faults; nothing is lost in its queue either."""
    return Impairment(delay=im.delay, rate=im.rate, queue=1 << 30)


class Faults:
    """Those that come and go; none begins at `until` or later, which may be set to now."""

    def __init__(self, sim: Simulator, draws: Draws, until: int) -> None:
        self.sim, self.draws, self.until = sim, draws, until

    def _when(self, rng: random.Random) -> int:
        """Some time before faults end, rather soon."""
        return self.sim.now + round((self.until - self.sim.now) * rng.random() ** 3)

    def pipe(self, name: str, pipe: Pipe, version: int) -> None:
        """Partitions, and an MTU that changes."""
        if (rng := self.draws.feature(f"{name} partition", 0.15)) is not None:
            for _ in range(rng.choice((1, 1, 5))):
                at, lasts = self._when(rng), rng.choice((0.05, 1.0, 20.0))
                self._for_a_while(pipe, at, round(lasts * SECOND), {"loss": 1.0, "burst": 1.0})
        if (rng := self.draws.feature(f"{name} mtu", 0.15)) is not None:
            change = {
                "mtu": rng.choice(MTUS[version]),
                "too_big": rng.choice(("silent", "report", "report", "lie")),
            }
            at = rng.choice((self.sim.now, self._when(rng)))
            self._for_a_while(pipe, at, rng.choice((SECOND, self.until)), change)

    def _for_a_while(self, pipe: Pipe, at: int, lasts: int, change: dict[str, Any]) -> None:
        def begin() -> None:
            before = {name: getattr(pipe.impairment, name) for name in change}
            pipe.impairment = replace(pipe.impairment, **change)
            self._at(at + lasts, lambda: restore(before))

        def restore(before: dict[str, Any]) -> None:
            pipe.impairment = replace(pipe.impairment, **before)

        self._at(at, begin)

    def stall(self, host: SimHost) -> None:
        """Its process stands still now and then."""
        if (rng := self.draws.feature(f"{host.name} stall", 0.15)) is not None:
            for _ in range(rng.choice((1, 3, 10))):
                lasts = round(rng.choice((0.01, 0.3, 3.0)) * SECOND)
                self._at(self._when(rng), partial(self._stall, host, lasts))

    def memory(self, host: SimHost) -> None:
        """It runs out."""
        if (rng := self.draws.feature(f"{host.name} memory", 0.2)) is None or not IS_TEST_BUILD:
            return
        for _ in range(rng.choice((1, 3, 20))):
            at, count = self._when(rng), rng.choice((0, 0, 1, 3, 10))
            lasts = round(rng.choice((0.001, 0.1, 2.0)) * SECOND)
            self._at(at, partial(fail_after, host.engine, count))
            self._at(at + lasts, partial(fail_after, host.engine, ALL_SUCCEED))

    def key(self, host: SimHost) -> None:
        """Of its Fast Open cookies: another one, and what the former made is good once more."""
        if (rng := self.draws.feature(f"{host.name} key", 0.1)) is not None:
            for _ in range(rng.choice((1, 2, 5))):
                self._at(self._when(rng), partial(self._set_key, host, rng.randbytes(16)))

    def _set_key(self, host: SimHost, key: bytes) -> None:
        host.engine.raw.set_fast_open_key(key, self.sim.now)

    def _at(self, at: int, function: Callable[[], None]) -> None:
        """Then, unless faults are over."""
        self.sim.call_at(at, lambda: function() if self.sim.now < self.until else None)

    def _stall(self, host: SimHost, lasts: int) -> None:
        host.stall(min(self.sim.now + lasts, self.until))

    def clock(self) -> None:
        """It jumps ahead."""
        if (rng := self.draws.feature("clock", 0.1)) is not None:
            for _ in range(rng.choice((1, 3))):
                ahead = round(rng.choice((0.05, 1.0, 30.0)) * SECOND)
                self._at(self._when(rng), partial(self.sim.jump, ahead))


def fail_after(engine: EngineHarness, successes: int) -> None:
    """Of the engine's allocations so many more succeed. Only in the test build."""
    lib.wb_stack_fail_after(engine.raw._stack, successes)


IS_TEST_BUILD = hasattr(lib, "wb_stack_fail_after")
