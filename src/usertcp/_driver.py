"""Drivers: give an engine its time and its turns on one event loop, and park tasks for streams.

One driver per stack. This file has the common part and asyncio's; trio's is in `_driver_trio`.

    descriptor readable, timer, or kick -> turn(): engine.poll(now) -> waiters are resolved
    an API call of a stream             -> after_call(): an earlier deadline re-arms the timer,
                                           events the call left make a turn soon

    a turn, where busy polling is on    -> soon, if nothing else is to be done, `engine.busy_poll`

There is one timer, moved only when the engine's deadline becomes earlier than it; when it comes
too early it costs one turn. Time is the loop's where that is virtual, else CLOCK_MONOTONIC in ns.
"""

import asyncio
import logging
import sys
import time
from abc import ABC, abstractmethod
from asyncio import CancelledError, current_task
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from functools import partial
from types import coroutine
from typing import Protocol, Self

import anyio.lowlevel

from usertcp._errors import Code, os_error
from usertcp._events import NEVER
from usertcp._stack import Engine, Waiter

logger = logging.getLogger("usertcp")

PUT_OFF = 3
"""Passes of the loop after a turn in which the program may be found busy: then the loop sleeps."""

Checkpoint = Callable[[], Awaitable[None]]


class AwaitableWaiter(Waiter, Awaitable[None], Protocol):
    """What `new_waiter` makes: awaited by one task, resolved by a turn or a close."""


class Driver(ABC):
    """Bound to the event loop it was made in; nothing of it may be called from elsewhere.

    `check` raises a pending cancellation and does not yield otherwise; `settle` yields once and
    lets a scope's cancellation wait for the next checkpoint; `checkpoint` does both, as AnyIO's.
    """

    __slots__ = (
        "armed",
        "busy_ns",
        "check",
        "checkpoint",
        "engine",
        "new_waiter",
        "now",
        "real_time",
        "settle",
    )

    now: Callable[[], int]
    real_time: bool  # `now` is CLOCK_MONOTONIC, rather than a clock that a test moves
    new_waiter: Callable[[], AwaitableWaiter]
    check: Checkpoint
    settle: Checkpoint
    checkpoint: Checkpoint

    def __init__(self, engine: Engine) -> None:
        self.engine: Engine = engine
        self.armed: int = NEVER
        self.busy_ns: int = 0
        """How long the loop may look at the link instead of going to sleep; 0: it sleeps."""

    def after_call(self) -> None:
        """To be called after every engine call that may send, or may leave an event.

        `shared[1] or shared[0] < armed` in the caller saves the call where it does nothing.
        """
        shared = self.engine.shared
        if shared[1]:
            self._kick()
        elif shared[0] < self.armed:
            self._arm(shared[0])

    @abstractmethod
    def start(self) -> None:
        """Begins to watch the link."""

    @abstractmethod
    async def stop(self) -> None:
        """Lets go of the link's descriptor; it may be closed afterwards."""

    @abstractmethod
    def call_in_loop(self, function: Callable[[], object]) -> None:
        """From any thread: calls `function` in the loop soon; nothing when the loop is closed."""

    @abstractmethod
    def _arm(self, deadline: int) -> None:
        """Makes a turn happen at `deadline`, which is earlier than what is armed."""

    @abstractmethod
    def _kick(self) -> None:
        """Makes a turn happen soon, after what else the loop has to do now."""

    def _turn(self) -> bool:
        """One turn of the engine. True: it has more to do at once."""
        engine = self.engine
        now = self.now()
        try:
            engine.poll(now)
        except Exception:
            engine.fail(-Code.LINK_DOWN)  # nobody may wait for a stack that takes no more turns
            raise
        if engine.failed:
            logger.error("usertcp: %s; its connections are lost", os_error(engine.failed))
            return False
        return bool(engine.shared[1]) or engine.shared[0] <= now


# ---- asyncio -------------------------------------------------------------------------------------


@coroutine
def _yield() -> Generator[None, None, None]:
    yield


async def _asyncio_checkpoint() -> None:
    await _yield()


# Told the loop, for which `current_task` would otherwise ask: up to CPython 3.11 a `getpid` each.
async def _asyncio_settle(loop: asyncio.AbstractEventLoop) -> None:
    task = current_task(loop)
    before = 0 if task is None else task.cancelling()
    try:
        await _yield()
    except CancelledError as exc:
        # A cancel scope tells again at the next checkpoint; the work that was done here is not
        # to be taken for undone. Task.cancel() speaks once only, also when both came together.
        if task is None or task.cancelling() - before != 1 or not _is_scope_cancellation(exc):
            raise


try:
    from anyio._backends._asyncio import _task_states
    from anyio._backends._asyncio import is_anyio_cancellation as _is_scope_cancellation

    async def _asyncio_check(loop: asyncio.AbstractEventLoop) -> None:
        task = current_task(loop)
        if task is None or (state := _task_states.get(task)) is None:
            return
        scope = state.cancel_scope
        while scope is not None:
            if scope.cancel_called:
                await _yield()
                return
            if scope.shield:
                return
            scope = scope._parent_scope  # noqa: SLF001

except ImportError:  # AnyIO has moved its insides: slower, same meaning

    async def _asyncio_check(loop: asyncio.AbstractEventLoop) -> None:  # noqa: ARG001
        await anyio.lowlevel.checkpoint_if_cancelled()

    def _is_scope_cancellation(exc: CancelledError) -> bool:  # noqa: ARG001
        return False


def _is_real_time(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether `loop.time()` is the machine's clock, rather than one that a test moves."""
    known = [asyncio.BaseEventLoop.time]
    if uvloop := sys.modules.get("uvloop"):
        known.append(uvloop.Loop.time)
    return type(loop).time in known and "time" not in getattr(loop, "__dict__", ())


class AsyncioWaiter(asyncio.Future[None]):
    """A future for one task, which a turn steps itself, without another pass of the loop.

    A turn is always a callback of the loop, and a task's step is one too: `add_done_callback` keeps
    the task's, `set_result` leaves it to the turn's end, or to the loop when no turn made it.
    """

    __slots__ = ("_context", "_driver", "_step")

    def __init__(self, driver: "AsyncioDriver") -> None:
        super().__init__(loop=driver.loop)
        self._driver = driver
        self._step: Callable[..., object] | None = None
        self._context: Context | None = None

    def add_done_callback(
        self, fn: Callable[[Self], object], /, *, context: Context | None = None
    ) -> None:
        if self._step is not None or context is None:
            super().add_done_callback(fn, context=context)
        else:
            self._step, self._context = fn, context

    def set_result(self, result: None, /) -> None:
        super().set_result(result)
        woken = self._driver.woken
        if woken is not None:
            woken.append(self)
        else:
            self.step_soon()

    def cancel(self, msg: object = None) -> bool:
        if not super().cancel(msg):
            return False
        self.step_soon()
        return True

    def step(self) -> None:
        """Runs the task. To be called as by the loop: not from a task."""
        if self._step is not None and self._context is not None:
            self._context.run(self._step, self)

    def step_soon(self) -> None:
        if self._step is not None:
            self._driver.loop.call_soon(self._step, self, context=self._context)


def _step_all(woken: list[AsyncioWaiter]) -> None:
    steps = iter(woken)
    try:
        for waiter in steps:
            waiter.step()
    except BaseException:  # SystemExit or KeyboardInterrupt, on its way out of the loop
        for waiter in steps:
            waiter.step_soon()
        raise


class AsyncioDriver(Driver):
    """`add_reader` on the link's descriptor and one timer."""

    __slots__ = ("_busy", "_put_off", "_ready", "_soon", "_timer", "_watching", "loop", "woken")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.loop = loop = asyncio.get_running_loop()
        self.woken: list[AsyncioWaiter] | None = None
        """Who the turn has woken; None between turns."""
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._busy: asyncio.Handle | None = None
        self._put_off = 0
        self._watching = False
        # uvloop runs what a callback left before it looks at descriptors again: nothing to gain.
        own = isinstance(loop, asyncio.BaseEventLoop)
        self._ready = getattr(loop, "_ready", ())  # what it runs next; uvloop does not tell
        self.new_waiter = partial(AsyncioWaiter, self) if own else loop.create_future
        self.check = partial(_asyncio_check, loop)
        self.settle = partial(_asyncio_settle, loop)
        self.checkpoint = _asyncio_checkpoint
        self.real_time = _is_real_time(loop)
        self.now = time.monotonic_ns if self.real_time else self._loop_ns

    def _loop_ns(self) -> int:
        return int(self.loop.time() * 1e9)

    def start(self) -> None:
        if self.engine.fd >= 0:
            self.loop.add_reader(self.engine.fd, self._on_ready)
        if self.engine.pump_fd >= 0:
            self.loop.add_reader(self.engine.pump_fd, self._on_ready)
        self._watching = True
        self._kick()

    async def stop(self) -> None:
        self._detach()

    def _detach(self) -> None:
        if self._watching:
            self._watching = False
            if self.engine.fd >= 0:
                self.loop.remove_reader(self.engine.fd)
            if self.engine.pump_fd >= 0:
                self.loop.remove_reader(self.engine.pump_fd)
        for handle in (self._timer, self._soon, self._busy):
            if handle is not None:
                handle.cancel()
        self._timer = self._soon = self._busy = None

    def call_in_loop(self, function: Callable[[], object]) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function)

    def _on_ready(self) -> None:
        engine = self.engine
        woken = self.woken = []
        try:
            more = self._turn()
            if more:
                self._kick()
            elif engine.shared[0] < self.armed:
                self._arm(engine.shared[0])
        finally:
            self.woken = None
            if engine.failed:
                self._detach()
            if woken:
                _step_all(woken)
            if self.busy_ns and self._busy is None and self._watching:
                self._put_off = PUT_OFF
                self._busy = self.loop.call_soon(self._on_busy)

    def _on_busy(self) -> None:
        """The loop would sleep now, or has others to run first."""
        self._busy = None
        engine = self.engine
        frames = -1 if self._ready else engine.busy_poll(self.busy_ns)
        if frames > 0 or engine.shared[1] or engine.shared[3]:
            self._on_ready()
        elif frames == 0:
            self.after_call()  # a timer may have come and led to an earlier one
        elif self._put_off:
            self._put_off -= 1
            self._busy = self.loop.call_soon(self._on_busy)

    def _on_timer(self) -> None:
        self._timer = None
        self.armed = NEVER
        self._on_ready()

    def _on_soon(self) -> None:
        self._soon = None
        self._on_ready()

    def _arm(self, deadline: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.armed = deadline
        # Rounded up, so that we are not brought back before it is due: to the next millisecond,
        # which is what loops count in, or to a microsecond more where time is exact.
        left = max(deadline - self.now(), 0)
        delay = (left // 1_000_000 + 1) * 1e-3 if self.real_time else (left + 1000) * 1e-9
        self._timer = self.loop.call_later(delay, self._on_timer) if self._watching else None

    def _kick(self) -> None:
        if self._soon is None and self._watching:
            self._soon = self.loop.call_soon(self._on_soon)


def new_driver(engine: Engine) -> Driver:
    """A driver for the event loop that runs now."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from usertcp._driver_trio import TrioDriver

        return TrioDriver(engine)
    try:
        return AsyncioDriver(engine)
    except RuntimeError:
        raise RuntimeError(
            "open_stack() needs a running event loop: asyncio, uvloop or trio"
        ) from None
