"""The listener's part of contract.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
from anyio import BusyResourceError, ClosedResourceError
from anyio.abc import ByteStream

Connect: TypeAlias = Callable[[], Awaitable[ByteStream]]
# A listener with accept(), serve() and aclose(): AnyIO's Listener has no accept in its interface.
ListenerMaker: TypeAlias = Callable[[], Awaitable[tuple[Any, Connect]]]


async def accepts(listener: Any, connect: Connect) -> None:
    async with await connect() as there, await listener.accept() as here:
        await there.send(b"x")
        assert await here.receive() == b"x"


async def serves_many(listener: Any, connect: Connect) -> None:
    async def handle(stream: ByteStream) -> None:
        async with stream:
            await stream.send((await stream.receive()).upper())

    async def ask() -> None:
        async with await connect() as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"X"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        async with anyio.create_task_group() as askers:
            for _ in range(10):
                askers.start_soon(ask)
        tasks.cancel_scope.cancel()


async def one_acceptor_at_a_time(listener: Any, _connect: Connect) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.accept)
        await anyio.wait_all_tasks_blocked()
        try:
            await listener.accept()
        except BusyResourceError:
            tasks.cancel_scope.cancel()
            return
        raise AssertionError("a second accept() must raise BusyResourceError")


async def close_wakes_the_acceptor(listener: Any, _connect: Connect) -> None:
    async def accept() -> None:
        try:
            await listener.accept()
        except ClosedResourceError:
            return
        raise AssertionError("accept() of a closed listener must raise ClosedResourceError")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept)
        await anyio.wait_all_tasks_blocked()
        await listener.aclose()
    await accept()


async def cancelled_accept_loses_nothing(listener: Any, connect: Connect) -> None:
    with anyio.move_on_after(0.05) as scope:
        await listener.accept()
    assert scope.cancelled_caught
    async with await connect() as there:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await listener.accept()
        assert scope.cancelled_caught
        async with await listener.accept() as here:
            await here.send(b"x")
            assert await there.receive() == b"x"


LISTENER_CHECKS = (
    accepts, serves_many, one_acceptor_at_a_time, close_wakes_the_acceptor,
    cancelled_accept_loses_nothing,
)  # fmt: skip
