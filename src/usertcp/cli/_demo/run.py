"""One run as the child sees it: checks with a time limit each, and what is told to the parent."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec

import anyio
from anyio.abc import ByteStream

import usertcp
from usertcp.cli._demo import site
from usertcp.cli._demo.ledger import Ledger
from usertcp.cli._http import serve_connection

P = ParamSpec("P")

NO_NAMESPACE = 3
"""Exit status of a child that could not have a private network."""

PORT = 8080
TRACE = 4096
"""Transitions a stack remembers until they are collected."""

SETTLE = 3.0
"""Seconds the last segments of closed connections may take."""


class MismatchError(Exception):
    """A check found something else than it expects."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the parent asks for. `size` bytes for bodies; `events`: the pipe's descriptor."""

    events: int
    backend: str
    uvloop: bool
    size: int
    pcap: str
    memory: bool
    why_memory: str


@dataclass(slots=True)
class Run:
    spec: Spec
    emit: Callable[[dict[str, Any]], None]
    ledger: Ledger = field(default_factory=Ledger)
    counters: dict[str, int] = field(default_factory=dict)
    stacks: tuple[usertcp.Stack, ...] = ()

    async def check(
        self,
        name: str,
        limit: float,
        trial: Callable[P, Awaitable[str]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Runs `trial` for at most `limit` seconds; what it returns is the detail of success."""
        self.emit({"event": "step", "name": name})
        self.ledger.purpose = name
        try:
            with anyio.fail_after(limit):
                detail, ok = await trial(*args, **kwargs), True
        except TimeoutError:
            detail, ok = f"not within {limit:g} s", False
        except Exception as error:  # any failure is a fact to report, not to die of
            said = str(error) or "no message"
            detail = said if isinstance(error, MismatchError) else f"{type(error).__name__}: {said}"
            ok = False
        self._collect()
        self.emit({"event": "check", "name": name, "ok": ok, "detail": detail})
        self.emit({"event": "connections", "rows": self.ledger.rows()})

    def _collect(self) -> None:
        for stack in self.stacks:
            self.ledger.collect(stack)

    async def serve(self, stream: ByteStream) -> None:
        """Handler of the listeners on usertcp."""
        async with stream:
            try:
                await serve_connection(stream, site.handle)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                pass  # the client's side of the check tells
            finally:
                self.note(stream)

    def note(self, stream: ByteStream) -> None:
        if isinstance(stream, usertcp.TCPStream):
            try:
                self.ledger.note(stream)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                pass

    async def settle(self) -> str:
        """Waits until every connection so far has ended, and says how they did."""
        with anyio.move_on_after(SETTLE):
            while True:
                self._collect()
                if not self.ledger.incomplete():
                    break
                await anyio.sleep(0.02)
        if left := self.ledger.incomplete():
            worst = left[0]
            path = " ".join(map(str, worst.path)) or "no transitions"
            raise MismatchError(f"{len(left)} not: {worst.local} to {worst.remote}: {path}")
        if not len(self.ledger):
            raise MismatchError("no connection left a trace")
        return f"{len(self.ledger)} connections opened and closed, both FINs acknowledged"

    @contextmanager
    def using(self, *stacks: usertcp.Stack) -> Iterator[None]:
        """Inside, checks look at these stacks; at the end their counters are added up."""
        self.stacks = stacks
        try:
            yield
        finally:
            self._add_counters()
            self.stacks = ()

    def _add_counters(self) -> None:
        for stack in self.stacks:
            for name, value in stack.statistics().counters.items():
                if value:
                    self.counters[name] = self.counters.get(name, 0) + value
        self.emit(
            {
                "event": "totals",
                "retransmissions": self.ledger.retransmissions,
                "counters": self.counters,
            }
        )
