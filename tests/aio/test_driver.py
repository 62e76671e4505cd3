"""Drivers: how many engine calls, which timers, fairness, and virtual time."""

import asyncio
import selectors
import time

import anyio
import pytest
import trio
import trio.testing
from anyio import BrokenResourceError

from aio.pairs import NOBODY4, connect, connected, eventually, two_stacks
from usertcp import _binding
from usertcp._stack import Engine

ECHOES = 200


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the engine calls of the hot path, as they are made."""
    made: list[str] = []

    def counted(name: str):
        real = getattr(_binding, name)

        def call(*args):
            made.append(name)
            return real(*args)

        return call

    for name in ("_poll", "_send", "_recv", "_recv_done"):
        monkeypatch.setattr(_binding, name, counted(name))
    return made


@pytest.mark.anyio
async def test_engine_calls_of_an_echo(calls):
    """One poll of each stack for its packet's arrival, one call per send and per receive."""
    async with connected() as (a, b, _), anyio.create_task_group() as tg:

        async def echo() -> None:
            async for part in b:
                await b.send(part)

        tg.start_soon(echo)
        await a.send(b"warm")
        await a.receive()
        calls.clear()
        for _ in range(ECHOES):
            await a.send(b"ping")
            assert await a.receive() == b"ping"
        assert calls.count("_send") <= 2 * ECHOES
        assert calls.count("_recv") <= 2 * ECHOES
        assert calls.count("_poll") <= 2 * ECHOES + 10 + 2 * 16  # and the quick ACKs of each end
        assert calls.count("_recv_done") == 0
        tg.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_send_that_waits_is_not_told_twice_that_it_must(monkeypatch):
    """The engine is called when there is room, not to hear that there is none."""
    real, taken = _binding._send, []

    def send(*args):
        taken.append(real(*args))
        return taken[-1]

    monkeypatch.setattr(_binding, "_send", send)
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        tg.start_soon(a.send, bytes(5_000_000))
        got = 0
        while got < 5_000_000:
            got += len(await b.receive())
    assert sum(taken) == 5_000_000
    assert min(taken) > 0


async def echoes(count: int) -> None:
    async with connected() as (a, b, _), anyio.create_task_group() as tg:

        async def echo() -> None:
            async for part in b:
                await b.send(part)

        tg.start_soon(echo)
        for _ in range(count):
            await a.send(b"ping")
            assert await a.receive() == b"ping"
        tg.cancel_scope.cancel()


def test_passes_of_the_asyncio_loop_per_echo():
    """Two: a task runs in the pass of the packet that woke it, then comes a send's yield."""
    passes = 0

    class Counting(selectors.DefaultSelector):
        def select(self, timeout=None):
            nonlocal passes
            passes += 1
            return super().select(timeout)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Counting())) as runner:
        runner.run(echoes(ECHOES))
    assert passes <= 2 * ECHOES + 100


def test_ticks_of_trio_per_echo():
    ticks = 0

    class Counting(trio.abc.Instrument):
        def before_io_wait(self, timeout):
            nonlocal ticks
            ticks += 1

    trio.run(echoes, ECHOES, instruments=[Counting()])
    assert ticks <= 2 * ECHOES + 100


@pytest.mark.anyio
async def test_turns_end_with_the_stack():
    """No instrument of ours stays in trio's loop, no callback in asyncio's."""
    async with connected():
        pass
    if trio.lowlevel.in_trio_task():
        hooks = trio._core._run.GLOBAL_RUN_CONTEXT.runner.instruments
        assert "after_io_wait" not in hooks


def test_a_fault_in_a_turn_of_trio_wakes_all_and_is_raised(monkeypatch, caplog):
    """Trio itself would only log what an instrument raises."""
    caught = []

    async def main() -> None:
        async with connected() as (a, b, _):

            async def receive() -> None:
                with pytest.raises(BrokenResourceError):
                    await b.receive()
                caught.append(True)

            async with anyio.create_task_group() as tg:
                tg.start_soon(receive)
                await anyio.wait_all_tasks_blocked()
                monkeypatch.setattr(Engine, "poll", lambda self, now: 1 // 0)
                await a.send(b"data")

    with pytest.raises(trio.TrioInternalError) as raised:
        trio.run(main)
    assert caught
    causes, error = [], raised.value
    while error is not None:
        causes.append(type(error))
        error = error.__cause__ or (getattr(error, "exceptions", None) or [None])[0]
    assert ZeroDivisionError in causes
    assert not caplog.records


@pytest.mark.anyio
async def test_one_of_two_that_a_turn_woke_cancels_the_other():
    """Both were woken by the same turn; who is cancelled then has taken nothing."""
    async with two_stacks() as stacks:
        (a, b), (c, d) = await connect(stacks), await connect(stacks)
        scopes = [anyio.CancelScope(), anyio.CancelScope()]
        got: list[bytes] = []

        async def receive(stream, mine: int) -> None:
            with scopes[mine]:
                got.append(await stream.receive())
                scopes[1 - mine].cancel()

        async with anyio.create_task_group() as tg:
            tg.start_soon(receive, b, 0)
            tg.start_soon(receive, d, 1)
            await anyio.wait_all_tasks_blocked()
            engine, now = stacks.a.engine, stacks.a.driver.now
            engine.send(a._end.handle, b"data", now())  # no yield between them: one turn of b's
            engine.send(c._end.handle, b"data", now())
        assert got[0] == b"data"
        for stream, scope in zip((b, d), scopes, strict=True):
            if scope.cancelled_caught:
                assert await stream.receive() == b"data"
                got.append(b"data")
        assert len(got) == 2
        for stream in (a, b, c, d):
            await stream.aclose()


@pytest.mark.anyio
async def test_close_wakes_a_receiver_from_another_task():
    """Not in the closer's step: no task runs within another's."""
    async with connected() as (a, _, _), anyio.create_task_group() as tg:
        closing = False

        async def receive() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await a.receive()
            assert not closing

        tg.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        closing = True
        a._close()
        closing = False


def test_exit_from_a_woken_task_leaves_none_behind():
    """SystemExit leaves through the turn that stepped the task; the others are stepped as well."""
    ended: list[str] = []

    async def main() -> None:
        async with two_stacks() as stacks:
            (a, b), (c, d) = await connect(stacks), await connect(stacks)

            async def leave() -> None:
                await b.receive()
                raise SystemExit(3)

            async def stay() -> None:
                try:
                    await d.receive()
                finally:
                    ended.append("stay")

            tasks = [asyncio.create_task(leave()), asyncio.create_task(stay())]
            await asyncio.sleep(0.01)
            engine, now = stacks.a.engine, stacks.a.driver.now
            engine.send(a._end.handle, b"data", now())
            engine.send(c._end.handle, b"data", now())
            try:
                await asyncio.wait(tasks)
            finally:
                for stream in (a, b, c, d):
                    stream._close()

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert ended == ["stay"]


@pytest.mark.anyio
async def test_engine_calls_of_a_large_receive(calls):
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        tg.start_soon(a.send, bytes(2_000_000))
        got = receives = 0
        while got < 2_000_000:
            got += len(await b.receive(1_000_000))
            receives += 1
        assert calls.count("_recv_done") <= receives
        assert calls.count("_recv") <= 2 * receives + 1


@pytest.mark.anyio
async def test_who_took_all_makes_no_call_to_find_nothing(calls):
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        await a.send(bytes(50_000))
        await eventually(lambda: b.statistics().rcv_readable == 50_000)
        assert len(await b.receive()) == 50_000
        calls.clear()
        tg.start_soon(b.receive)
        await anyio.wait_all_tasks_blocked()
        assert calls.count("_recv") == 0
        await a.send(b"x")
    assert calls.count("_recv") == 1


@pytest.mark.anyio
async def test_idle_stack_makes_no_calls():
    async with connected() as (_, _, stacks):
        await anyio.sleep(0.3)  # delayed acknowledgements and the like are over
        before = stacks.a.engine.polls
        await anyio.sleep(0.2)
        assert stacks.a.engine.polls == before


@pytest.mark.anyio
async def test_timer_does_not_come_early_again_and_again():
    async with two_stacks(rto_initial=0.3, linger=0.0) as stacks, anyio.create_task_group() as tg:
        before = stacks.a.engine.polls
        tg.start_soon(stacks.a.connect_tcp, NOBODY4, 80)
        await anyio.sleep(0.5)
        assert stacks.a.statistics().link.tx_frames == 2  # SYN, and once more
        assert stacks.a.engine.polls - before <= 5
        tg.cancel_scope.cancel()


@pytest.mark.anyio
async def test_busy_stack_lets_others_run():
    """A bulk transfer takes turns with a task that only wants its turn."""
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        turns, over = 0, False

        async def other() -> None:
            nonlocal turns
            while not over:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async def reader() -> None:
            nonlocal over
            got = 0
            while got < 5_000_000:
                got += len(await b.receive())
            over = True

        tg.start_soon(other)
        tg.start_soon(reader)
        await a.send(bytes(5_000_000))
    assert turns > 20


@pytest.mark.anyio
async def test_stacks_of_one_loop_do_not_disturb_each_other():
    async with connected() as (a, b, _), connected() as (c, d, _):
        await a.send(b"ab")
        await c.send(b"cd")
        assert await d.receive() == b"cd"
        assert await b.receive() == b"ab"


# -- virtual time ----------------------------------------------------------------------------------


class VirtualSelector(selectors.DefaultSelector):
    """Never sleeps: when no descriptor is ready, the time there was to wait is over at once."""

    now = 1000.0

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = VirtualSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


async def waits_for_timeouts() -> None:
    began, really = anyio.current_time(), time.monotonic()
    async with two_stacks(user_timeout=60.0, connect_timeout=30.0, linger=0.0) as stacks:
        with pytest.raises(OSError, match="All") as caught:
            await stacks.a.connect_tcp(NOBODY4, 80)
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert 25 <= anyio.current_time() - began <= 70
        a, b = await connect(stacks)
        await a.send(b"works in virtual time too")
        assert await b.receive() == b"works in virtual time too"
        stacks.b.engine.fail(-16)
        await stacks.b.driver.stop()
        began = anyio.current_time()
        await a.send(b"is anybody there?")
        with pytest.raises(BrokenResourceError) as broken:
            await a.receive()
        assert isinstance(broken.value.__cause__, TimeoutError)
        assert 50 <= anyio.current_time() - began <= 130
        await a.aclose()
        await b.aclose()
    assert time.monotonic() - really < 5


def test_virtual_asyncio_loop():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(waits_for_timeouts())


def test_trio_mock_clock():
    trio.run(waits_for_timeouts, clock=trio.testing.MockClock(autojump_threshold=0))


def test_trio_mock_clock_with_a_rate():
    async def main() -> None:
        async with connected() as (a, b, _):
            await a.send(b"x")
            assert await b.receive() == b"x"

    trio.run(main, clock=trio.testing.MockClock(rate=10))
