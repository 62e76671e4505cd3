"""Two stacks on one cable, inside one event loop; what most tests here begin with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import trio.testing
from anyio.abc import SocketAttribute

import usertcp
from usertcp._core import ffi, lib

A4, A6 = "10.7.0.1", "fd07::1"
B4, B6 = "10.7.0.2", "fd07::2"
A_ADDRESSES = [f"{A4}/24", f"{A6}/64"]
B_ADDRESSES = [f"{B4}/24", f"{B6}/64"]
NOBODY4, NOBODY6 = "10.7.0.9", "fd07::9"  # on the cable's network, but at no end of it


class Cable:
    """One end of a memory link, as a stack takes it."""

    def __init__(self, *, ethernet: bool = False, mtu: int = 1500) -> None:
        options, error = ffi.new("ut_link_options *"), ffi.new("int *")
        options.ethernet, options.mtu = ethernet, mtu
        self.pointer: Any = lib.ut_link_memory(options, error)
        assert self.pointer, error[0]
        self.owned = True

    def release(self) -> Any:
        self.owned = False
        return self.pointer

    def close(self) -> None:
        if self.owned:
            lib.ut_link_close(self.release())


def cables(**options: Any) -> tuple[Cable, Cable]:
    a, b = Cable(**options), Cable(**options)
    assert lib.ut_memory_join(a.pointer, b.pointer) == 0
    return a, b


class Stacks(NamedTuple):
    a: usertcp.Stack
    b: usertcp.Stack


@asynccontextmanager
async def two_stacks(*, ethernet: bool = False, **options: Any) -> AsyncIterator[Stacks]:
    """`options` are those of `open_stack`, for both ends."""
    options = {"check_duplicates": False, "linger": 1.0, **options}
    left, right = cables(ethernet=ethernet)
    async with (
        usertcp.open_stack(left, addresses=A_ADDRESSES, **options) as a,
        usertcp.open_stack(right, addresses=B_ADDRESSES, **options) as b,
    ):
        yield Stacks(a, b)


class Pair(NamedTuple):
    a: usertcp.TCPStream
    b: usertcp.TCPStream
    stacks: Stacks


async def connect(stacks: Stacks, *, host: str = B4) -> tuple[usertcp.TCPStream, usertcp.TCPStream]:
    """A connection from `stacks.a` to `stacks.b`."""
    multi = await stacks.b.create_tcp_listener(local_host=host)
    (listener,) = multi.listeners
    assert isinstance(listener, usertcp.TCPListener)
    client = await stacks.a.connect_tcp(host, listener.extra(SocketAttribute.local_port))
    server = await listener.accept()
    await listener.aclose()
    return client, server


@asynccontextmanager
async def connected(*, host: str = B4, **options: Any) -> AsyncIterator[Pair]:
    """Two streams that are each other's peer; closed at the end."""
    async with two_stacks(**options) as stacks:
        client, server = await connect(stacks, host=host)
        try:
            yield Pair(client, server, stacks)
        finally:
            await anyio.aclose_forcefully(client)
            await anyio.aclose_forcefully(server)


async def receive_all(stream: usertcp.TCPStream) -> bytes:
    """Until the peer's FIN."""
    parts = [part async for part in stream]
    return b"".join(parts)


async def fill(stream: usertcp.TCPStream) -> int:
    """Sends until no more goes; how much was taken is at most what this returns."""
    sent = 0
    with anyio.move_on_after(0.2) as patience:
        while True:
            await stream.send(bytes(50_000))
            sent += 50_000
            patience.deadline = anyio.current_time() + 0.2
    return sent + 50_000


async def eventually(condition: Callable[[], bool], seconds: float = 2.0) -> None:
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.002)


async def counts_as_checkpoint(operation: Callable[[], Awaitable[object]]) -> bool:
    """Whether another task could run before the operation was over."""
    if trio.lowlevel.in_trio_task():  # its order of tasks is random
        with trio.testing.assert_checkpoints():
            await operation()
        return True
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    await operation()
    return bool(ran)


async def raises_cancelled(operation: Callable[[], Awaitable[object]]) -> bool:
    """Whether the operation, begun in a cancelled scope, raises the cancellation."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await operation()
        return False
    return scope.cancelled_caught
