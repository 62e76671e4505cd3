"""Virtual time for asyncio: an event loop whose clock jumps when there is nothing else to do.

    asyncio.run(main(), loop_factory=virtual_loop_factory)
    anyio.run(main, backend_options={"loop_factory": virtual_loop_factory})

`network_loop_factory` makes such a loop whose TCP is that of the current host of a `Network`.
Descriptors are real (a stack's memory link signals by one): they are looked at before time moves.
For trio, `trio.testing.MockClock(autojump_threshold=0)` does the same.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple, Unpack

from usertcp.testing._hooks import NO_HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

STUCK_AFTER = 10.0
"""Seconds of real time without any event after which a loop that waits for ever gives up."""


class StuckError(RuntimeError):
    """All tasks wait, no timer runs, and nothing has come for a long (real) time."""


class _JumpingSelector(selectors.BaseSelector):
    """Looks at descriptors without waiting; what would be a wait moves the clock instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._real = selectors.DefaultSelector()
        self._loop = loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.threads_busy:
            return self._real.select(0.01)
        if timeout is not None:
            self._loop.jump(timeout)
            return ready
        ready = self._real.select(STUCK_AFTER)
        if not ready:
            raise StuckError(f"nothing has happened for {STUCK_AFTER} s and no timer runs")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and stands still while anything runs."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self.threads_busy: int = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Time passes."""
        # To the timer itself, not near it: a sum of rounded steps might stop just short of it.
        scheduled = self._scheduled  # type: ignore[attr-defined]
        target = self._now + seconds
        if scheduled and abs(scheduled[0].when() - target) < 1e-6:
            target = scheduled[0].when()
        self._now = max(self._now, target)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As ever, but without a time-out: virtual time would be past it at once."""
        del timeout
        await super().shutdown_default_executor()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """As ever; time stands still until the thread is done."""
        self.threads_busy += 1
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self.threads_busy -= 1
            raise
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self.threads_busy -= 1


def virtual_loop_factory() -> VirtualLoop:
    """For `asyncio.run(loop_factory=...)`, `anyio.run(backend_options=...)` and the like."""
    return VirtualLoop()


def network_loop_factory() -> asyncio.AbstractEventLoop:
    """A `VirtualLoop` that is a `usertcp.asyncio` loop as well: asyncio's own `open_connection`,
    `start_server` and all that is built on them use the stack of the current `Host`.
    """
    from usertcp.asyncio import loop_factory

    return loop_factory(VirtualLoop, stack=_no_host)()


def _no_host() -> NoReturn:
    raise RuntimeError(NO_HOST)
