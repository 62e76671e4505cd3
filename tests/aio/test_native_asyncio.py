"""asyncio's own cancellation, which speaks once only, and the one AnyIO makes of it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from aio.pairs import connected, eventually, fill

Main = Callable[[], Coroutine[Any, Any, None]]
FACTORIES: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
try:
    import uvloop
except ImportError:
    pass
else:
    FACTORIES.append(uvloop.new_event_loop)


@pytest.fixture(params=FACTORIES, ids=lambda f: f.__module__)
def run(
    request: pytest.FixtureRequest,
) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    def runs(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return runs


def test_wait_for_loses_no_byte(run):
    async def main() -> None:
        async with connected() as (a, b, _):
            for i in range(30):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(b.receive(), 0.001)
                await a.send(b"%03d" % i)
                assert await b.receive() == b"%03d" % i

    run(main)


def test_cancel_that_meets_the_data_loses_none(run):
    async def main() -> None:
        async with connected() as (a, b, _):
            got = bytearray()

            async def receives() -> None:
                got.extend(await b.receive())

            for i in range(60):
                task = asyncio.ensure_future(receives())
                await asyncio.sleep(0)
                await a.send(b"%02d" % i)
                for _ in range(i % 6):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            await a.send_eof()
            async for part in b:
                got += part
            assert got == b"".join(b"%02d" % i for i in range(60))

    run(main)


def test_cancel_after_all_was_taken_is_raised(run):
    """Nobody would say it again, so it is raised although the bytes are on their way."""

    async def main() -> None:
        async with connected() as (a, b, _):
            task = asyncio.ensure_future(a.send(b"sent"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await b.receive() == b"sent"

    run(main)


def test_both_cancellations_at_once(run):
    """A scope's and a task's own in one turn: asyncio makes one exception of them, to be raised."""

    async def main() -> None:
        async with connected() as (a, b, _):
            scope = anyio.CancelScope()
            after: list[str] = []

            async def sends() -> None:
                with scope:
                    await a.send(b"sent")
                    after.append("send returned")
                after.append("scope left")

            task = asyncio.ensure_future(sends())
            await asyncio.sleep(0)
            scope.cancel()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert after == []
            assert await b.receive() == b"sent"

    run(main)


def test_scopes_cancellation_waits_for_the_next_checkpoint(run):
    async def main() -> None:
        async with connected() as (a, b, _):
            scope = anyio.CancelScope()
            after: list[str] = []

            async def sends() -> None:
                with scope:
                    await a.send(b"sent")
                    after.append("send returned")
                    await asyncio.sleep(1)
                    after.append("never")

            task = asyncio.ensure_future(sends())
            await asyncio.sleep(0)
            scope.cancel()
            await task
            assert after == ["send returned"]
            assert scope.cancelled_caught
            assert task.cancelling() == 0
            assert await b.receive() == b"sent"

    run(main)


def test_cancel_while_blocked_in_send(run):
    async def main() -> None:
        async with connected() as (a, b, _):
            await fill(a)
            task = asyncio.ensure_future(a.send(b"x" * 5_000_000))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda: b.statistics().rcv_readable > 0)
            assert len(await b.receive()) > 0

    run(main)


def test_timeout_block(run):
    async def main() -> None:
        async with connected() as (_, b, _):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await b.receive()
            current = asyncio.current_task()
            assert current is not None
            assert current.cancelling() == 0

    run(main)


def test_debug_mode(run):
    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        async with connected() as (a, b, _):
            await a.send(b"x")
            assert await b.receive() == b"x"

    run(main)
