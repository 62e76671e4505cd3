"""A program that may be slow, idle, rude or restless; and what of that it has done."""

import random
from contextlib import suppress
from dataclasses import dataclass, field

from support.transfer import Program
from usertcp.testing import SECOND, EngineError

WAKE = SECOND // 20  # when a call failed for want of memory
# What a restless program sets, now and then: an option of the connection, and values.
RESTLESS = {
    "nodelay": (0, 1),
    "cork": (0, 1, 2),
    "rcv_limit": (2048, 10_000, 1 << 20),
    "snd_limit": (2048, 10_000, 1 << 20),
    "snd_lowat": (1, 2000),
    "notsent_lowat": (0, 4096),
    "dscp": (0, 46),
    "ttl": (5, 64),
    "ecn": (0, 1),
    "mtu_discover": (0, 1, 2),
    "rto_min": (SECOND // 1000, SECOND // 5, SECOND),
}


@dataclass(kw_only=True)
class Application(Program):
    """`calm` once faults have stopped: it does what is left without further delay."""

    calm: bool = False
    idle: float = 0.0  # mean pause between writes, seconds
    late: bool = False  # does not read before it is calm
    polite: bool = False  # shuts down only when the other side has
    restless: random.Random | None = None
    aborts_after: int | None = None  # bytes written or read
    closes_after: int | None = None  # the same, without shutting down first
    keepalive: bool = False
    failed: bool = False  # ended before its time, by its own will
    set_up: bool = field(default=False, init=False)
    _writes_at: int = field(default=0, init=False)

    def turn(self) -> None:
        if self.connection is None or self.closed or self.host.is_stalled:
            return
        with suppress(EngineError):  # it has ended; the program finds out by reading
            self._prepare()
        if self._gives_up():
            return
        before = self.sent, len(self.got), self.ended
        super().turn()
        if self.calm and before != (self.sent, len(self.got), self.ended):
            self.host.simulator.call_at(self.host.simulator.now, lambda: None)  # and once more

    def _prepare(self) -> None:
        assert self.connection is not None
        if not self.set_up:
            self.set_up = True
            if self.keepalive:
                for name, value in (("idle", 10_000), ("interval", 1000), ("count", 5)):
                    self.connection.set_option(f"keepalive_{name}", value)
                self.connection.set_option("keepalive", 1)
        if self.restless is not None and self.restless.random() < 0.02:
            name = self.restless.choice(list(RESTLESS))
            self.connection.set_option(name, self.restless.choice(RESTLESS[name]))

    def _gives_up(self) -> bool:
        assert self.connection is not None
        done = self.sent + len(self.got)
        aborts = self.aborts_after is not None and done >= self.aborts_after
        if not aborts and (self.closes_after is None or done < self.closes_after):
            return False
        self.failed = self.closed = True
        with suppress(EngineError):
            if aborts:
                self.connection.abort()
            else:
                self.connection.close()
        return True

    def _may_shut(self) -> bool:
        return self.ended or not self.polite

    def _write(self) -> None:
        sim = self.host.simulator
        if not self.calm and sim.now < self._writes_at:
            return
        if self.idle and not self.calm:
            self._writes_at = sim.now + round(self.rng.expovariate(1 / self.idle) * SECOND)
            sim.call_at(self._writes_at, lambda: None)
        try:
            super()._write()
        except EngineError as exc:
            if exc.name != "NO_MEMORY":
                raise
            sim.call_at(sim.now + WAKE, lambda: None)

    def _pieces(self) -> int:
        return 1 if self.idle and not self.calm else len(self.text)

    def _read(self) -> None:
        if self.late and not self.calm:
            return
        if self.calm:
            self.slow, self._reads_at = 0.0, 0
        super()._read()
