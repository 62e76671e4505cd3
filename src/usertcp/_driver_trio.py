"""The driver on trio: turns are made between the loop's wait and the choice of who runs next.

    descriptor readable -> trio wakes the watcher --+
    kick -> the timer task, which keeps the loop ---+-> after_io_wait: turn(): waiters are resolved,
            from sleeping                           |   their tasks run in this same tick
    deadline -> the timer task, cancelled ----------+-> its own turn
    busy polling: the timer task keeps the loop from sleeping, after_io_wait looks at the link

Two system tasks: the watcher waits for the descriptor and makes nothing of it (that is done by the
time it runs), the timer has one cancel scope over many turns, whose deadline is the timer.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

import trio
from trio.lowlevel import Abort, Task

from usertcp._driver import PUT_OFF, Driver
from usertcp._events import NEVER
from usertcp._stack import Engine

BULK = 64 * 1024
"""Bytes over the link between two turns, from which on a busy loop makes fewer of them."""
PAUSE, PAUSE_NS = 5, 300_000
"""Ticks of a busy loop, and ns, that a link with bulk on it waits at most for its next turn. A turn
costs task steps and an epoll_ctl(2) beside its work; a receiver has a few ticks' worth in the ring.
"""


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


class _TurnsBeforeTasks(trio.abc.Instrument):
    """Sees that the watcher was woken: trio clears `custom_sleep_data` when it wakes a task."""

    __slots__ = ("_driver",)

    def __init__(self, driver: "TrioDriver") -> None:
        self._driver = driver

    def after_io_wait(self, timeout: float) -> None:
        driver = self._driver
        watcher = driver.watcher
        if watcher is not None and watcher.custom_sleep_data is None:
            driver.watcher = None
            driver.turn()
            driver.set_pace(is_busy=timeout <= 0)
        elif driver.kicked:
            driver.turn()
        elif driver.busy_due:
            driver.busy_poll()


class TrioDriver(Driver):
    """The two tasks and the instrument, from `start` until `stop` or the link's failure."""

    __slots__ = (
        "_fault", "_idle", "_instrument", "_moved", "_pause", "_pause_end", "_put_off", "_scope",
        "_stopped", "_stopping", "_token", "busy_due", "kicked", "watcher",
    )  # fmt: skip

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._token = trio.lowlevel.current_trio_token()
        self._instrument = _TurnsBeforeTasks(self)
        self._scope: trio.CancelScope | None = None  # of the timer task
        self._idle: TrioWaiter | None = None  # where the timer task is parked
        self._stopping = False
        self._stopped: trio.Event | None = None
        self._fault: BaseException | None = None
        self.kicked = False
        self.busy_due = False  # the loop is kept awake, to look at the link when it is idle
        self._put_off = 0
        self._moved = 0  # bytes over the link until the watcher's last turn
        self._pause = 0  # ticks until the watcher looks at the link again,
        self._pause_end = 0  # and when it does at the latest
        self.watcher: Task | None = None
        """The watcher while it waits for the descriptor, and until the turn it was woken for."""
        self.new_waiter = TrioWaiter
        self.check = trio.lowlevel.checkpoint_if_cancelled
        self.settle = trio.lowlevel.cancel_shielded_checkpoint
        self.checkpoint = trio.lowlevel.checkpoint
        self.real_time = type(trio.lowlevel.current_clock()).__name__ == "SystemClock"
        self.now = time.monotonic_ns if self.real_time else _trio_ns

    def start(self) -> None:
        self._stopped = trio.Event()
        trio.lowlevel.spawn_system_task(self._run, name="usertcp driver")

    async def stop(self) -> None:
        if self._stopped is None:
            return
        self._stopping = True
        self._kick()
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
        self.kicked = True
        self._stay_awake()

    def _stay_awake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result()

    def _trio_time(self, deadline: int) -> float:
        if deadline == NEVER:
            return float("inf")
        return trio.current_time() + (deadline - self.now() + 1000) * 1e-9

    def turn(self) -> None:
        """One turn and what follows from it. Raises nothing: the timer task does, later."""
        self.kicked = self.busy_due = False
        if self._is_over():
            return
        engine = self.engine
        try:
            more = self._turn()
        except BaseException as exc:
            self._fault = exc
            self._kick()
            return
        if more or engine.failed:
            self._kick()
            return
        if engine.shared[0] < self.armed:
            self._arm(engine.shared[0])
        if self.busy_ns:
            self.busy_due, self._put_off = True, PUT_OFF
            self._stay_awake()

    def busy_poll(self) -> None:
        """The loop would sleep now, but for the timer task; or it has others to run first."""
        engine = self.engine
        is_idle = trio.lowlevel.current_statistics().tasks_runnable <= 1
        frames = engine.busy_poll(self.busy_ns) if is_idle else -1
        if frames > 0 or engine.shared[1] or engine.shared[3]:
            self.turn()
        elif frames == 0 or not self._put_off:
            self.busy_due = False
            self.after_call()
        else:
            self._put_off -= 1

    def set_pace(self, *, is_busy: bool) -> None:
        """After a turn of the watcher's: how soon it is to look again. At once, but for bulk."""
        moved = self.engine.shared[2]
        is_bulk = moved - self._moved > BULK
        self._moved = moved
        if is_busy and is_bulk:
            self._pause, self._pause_end = PAUSE, self.now() + PAUSE_NS
        else:
            self._pause = 0

    # ---- tasks -------------------------------------------------------------------------------

    async def _run(self) -> None:
        assert self._stopped is not None
        trio.lowlevel.add_instrument(self._instrument)
        try:
            async with trio.open_nursery() as nursery:
                if self.engine.fd >= 0:
                    nursery.start_soon(self._watch)
                if self.engine.pump_fd >= 0:
                    nursery.start_soon(self._watch_pump)
                self.turn()
                while not self._is_over():
                    await self._until_deadline()
                nursery.cancel_scope.cancel()
        finally:
            self.watcher = None
            self.kicked = self.busy_due = False
            trio.lowlevel.remove_instrument(self._instrument)
            self._stopped.set()
        if self._fault is not None:
            raise self._fault

    def _is_over(self) -> bool:
        return self._stopping or bool(self.engine.failed) or self._fault is not None

    async def _watch(self) -> None:
        fd, task = self.engine.fd, trio.lowlevel.current_task()
        wait_readable = trio.lowlevel.wait_readable
        try:
            while True:
                task.custom_sleep_data = self
                self.watcher = task
                await wait_readable(fd)
                for _ in range(self._pause):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    if self.now() >= self._pause_end:
                        break
        finally:
            self.watcher = None

    async def _watch_pump(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self.engine.pump_fd)
            self._kick()  # the turn takes the events, and the descriptor's readiness with them
            await trio.lowlevel.checkpoint()

    async def _until_deadline(self) -> None:
        """Keeps the loop awake when kicked; returns when the deadline came, after its turn."""
        self.armed = self.engine.shared[0]
        with trio.CancelScope(deadline=self._trio_time(self.armed)) as scope:
            self._scope = scope
            while not self._is_over():
                if self.kicked or self.busy_due:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    continue
                self._idle = TrioWaiter()
                await self._idle
        self._scope = self._idle = None
        if scope.cancelled_caught:
            self.turn()


def _trio_ns() -> int:
    return int(trio.current_time() * 1e9)
