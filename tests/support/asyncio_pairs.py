"""Transports of two stacks, in one of our event loops."""

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, NamedTuple

import pytest

import usertcp
import usertcp.asyncio
from aio.pairs import A4, A6, B4, B6, NOBODY4, Stacks, cables, eventually, two_stacks
from usertcp._open import _ambient
from usertcp.asyncio import Socket

__all__ = ["A4", "A6", "B4", "B6", "NOBODY4", "cables", "eventually", "two_stacks"]

BASES: dict[str, Any] = {"asyncio": None}
try:
    import uvloop
except ImportError:
    pass
else:
    BASES["uvloop"] = uvloop.Loop


def on_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test as a plain function, once on asyncio's loop and once on uvloop's."""

    @wraps(test)
    def run(loop_base: str, **fixtures: Any) -> None:
        async def main() -> None:
            async with asyncio.timeout(30):
                await test(**fixtures)

        usertcp.asyncio.run(main(), base=BASES[loop_base])

    own = inspect.signature(test)
    parameter = inspect.Parameter("loop_base", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*own.parameters.values(), parameter]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return pytest.mark.parametrize("loop_base", BASES)(run)


@contextmanager
def on(stack: usertcp.Stack) -> Iterator[None]:
    """Inside, the loop's TCP is this stack's."""
    token = _ambient.set(stack)
    try:
        yield
    finally:
        _ambient.reset(token)


class Recorder(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.keep_open = keep_open
        self.transport: Any = None
        self.lost: asyncio.Future[BaseException | None] = asyncio.Future()
        self.eof = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.calls.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        if self.calls[-1] != "data":
            self.calls.append("data")
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        self.eof.set()
        return self.keep_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    """The same, with memory of its own."""

    def __init__(self, size: int = 1000) -> None:
        self.memory = bytearray(size)
        self.data = bytearray()
        self.lost: asyncio.Future[BaseException | None] = asyncio.Future()

    def get_buffer(self, sizehint: int) -> Any:
        assert sizehint == -1
        return self.memory

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.memory)
        self.data += self.memory[:nbytes]

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set_result(exc)


class Ends(NamedTuple):
    """`a` is a transport of `pa`; `b` of `pb`."""

    a: Any
    pa: Any
    b: Any
    pb: Any
    stacks: Stacks


async def join(
    stacks: Stacks, pa: Any = None, pb: Any = None, *, host: str = B4, **options: Any
) -> Ends:
    """Connects stack a to a server on stack b that takes one connection."""
    pa, pb = pa or Recorder(), pb or Recorder()
    loop = asyncio.get_running_loop()
    made = loop.create_future()

    class Told(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.set_protocol(pb)
            pb.connection_made(transport)
            made.set_result(transport)

    with on(stacks.b):
        server = await loop.create_server(Told, host, 0)
    port = server.sockets[0].getsockname()[1]
    with on(stacks.a):
        a, _ = await loop.create_connection(lambda: pa, host, port, **options)
    b = await made
    server.close()
    return Ends(a, pa, b, pb, stacks)


@asynccontextmanager
async def joined(
    pa: Any = None, pb: Any = None, *, host: str = B4, **options: Any
) -> AsyncIterator[Ends]:
    """Two transports that are each other's peer; closed at the end."""
    async with two_stacks(**options) as stacks:
        ends = await join(stacks, pa, pb, host=host)
        try:
            yield ends
        finally:
            ends.a.abort()
            ends.b.abort()
            await asyncio.sleep(0)


async def spins(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@contextmanager
def handled() -> Iterator[list[dict[str, Any]]]:
    """What the loop's exception handler is told inside."""
    loop, found = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: found.append(context))
    try:
        yield found
    finally:
        loop.set_exception_handler(None)


def raises(code: int) -> Any:
    return pytest.raises(OSError, check=lambda exc: exc.errno == code)


async def listening(stack: usertcp.Stack, host: str = B4) -> Socket:
    sock = Socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, 0))
    with on(stack):
        sock.listen()
    return sock


async def pair(stacks: Stacks, host: str = B4) -> tuple[Socket, Socket]:
    loop = asyncio.get_running_loop()
    listener = await listening(stacks.b, host)
    client = Socket(listener.family)
    with on(stacks.a):
        await loop.sock_connect(client, listener.getsockname())
    server, peer = await loop.sock_accept(listener)
    assert peer == client.getsockname() == server.getpeername()
    listener.close()
    return client, server
