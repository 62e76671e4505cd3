"""The driver on trio: one system task that waits for the link's descriptor or the deadline."""

import time
from collections.abc import Callable, Generator
from typing import Any

import trio
from trio.lowlevel import Abort, Task

from usertcp._driver import Driver
from usertcp._events import NEVER
from usertcp._stack import Engine


class TrioWaiter:
    """As a future, for one trio task: awaited at once after it is made, resolved at most once."""

    __slots__ = ("_done", "_task")

    def __init__(self) -> None:
        self._task: Task | None = None
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, _value: None = None, /) -> None:
        self._done = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    def _abort(self, _raise_cancel: object) -> Abort:
        self._done = True
        return Abort.SUCCEEDED

    def __await__(self) -> Generator[Any, Any, None]:
        self._task = trio.lowlevel.current_task()
        yield from trio.lowlevel.wait_task_rescheduled(self._abort).__await__()  # noqa: ASYNC105


class TrioDriver(Driver):
    """The task keeps one cancel scope over many turns; its deadline is the timer."""

    __slots__ = ("_scope", "_stopped", "_stopping", "_token")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._token = trio.lowlevel.current_trio_token()
        self._scope: trio.CancelScope | None = None
        self._stopping = False
        self._stopped: trio.Event | None = None
        self.new_waiter = TrioWaiter
        self.check = trio.lowlevel.checkpoint_if_cancelled
        self.settle = trio.lowlevel.cancel_shielded_checkpoint
        self.checkpoint = trio.lowlevel.checkpoint
        real = type(trio.lowlevel.current_clock()).__name__ == "SystemClock"
        self.now = time.monotonic_ns if real else _trio_ns

    def start(self) -> None:
        self._stopped = trio.Event()
        trio.lowlevel.spawn_system_task(self._run, name="usertcp driver")

    async def stop(self) -> None:
        if self._stopped is None:
            return
        self._stopping = True
        if self._scope is not None:
            self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._stopped.wait()

    def call_in_loop(self, function: Callable[[], object]) -> None:
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            pass

    def _arm(self, deadline: int) -> None:
        self.armed = deadline
        if self._scope is not None:
            self._scope.deadline = self._trio_time(deadline)

    def _kick(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def _trio_time(self, deadline: int) -> float:
        if deadline == NEVER:
            return float("inf")
        return trio.current_time() + (deadline - self.now() + 1000) * 1e-9

    async def _run(self) -> None:
        assert self._stopped is not None
        try:
            while not self._stopping and not self.engine.failed:
                more = self._turn()
                if more:
                    await trio.lowlevel.checkpoint()
                else:
                    await self._turns_until_deadline()
        finally:
            self._scope = None
            self._stopped.set()

    async def _turns_until_deadline(self) -> None:
        """Turns while the link has frames; returns when the deadline came or someone kicked."""
        engine = self.engine
        self.armed = engine.shared[0]
        with trio.CancelScope(deadline=self._trio_time(self.armed)) as self._scope:
            while True:
                await self._link_readable()
                more = self._turn()
                if more or engine.failed:
                    break
                deadline = engine.shared[0]
                if deadline < self.armed:
                    self._arm(deadline)
        self._scope = None
        await trio.lowlevel.checkpoint()  # others first, when we come back for more

    async def _link_readable(self) -> None:
        if self.engine.fd >= 0:
            await trio.lowlevel.wait_readable(self.engine.fd)
        else:
            await trio.sleep_forever()


def _trio_ns() -> int:
    return int(trio.current_time() * 1e9)
