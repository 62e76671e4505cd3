"""Sockets of two stacks, on trio."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, NamedTuple

import pytest
import trio

from aio.pairs import A4, A6, B4, B6, NOBODY4, Stacks, cables, eventually, two_stacks
from usertcp.trio import SocketFactory, TCPSocket

__all__ = ["A4", "A6", "B4", "B6", "NOBODY4", "cables", "eventually", "on_trio"]


def on_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test as a plain function; a fixture whose value is a clock becomes the run's."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        async def main() -> None:
            with trio.fail_after(float("inf") if clocks else 60):
                await test(**fixtures)

        clocks = [f for f in fixtures.values() if isinstance(f, trio.abc.Clock)]
        trio.run(main, clock=clocks[0] if clocks else None)

    return run


def raises(code: int) -> Any:
    """Expects an `OSError` with this errno."""
    return pytest.raises(OSError, check=lambda exc: exc.errno == code)


class Net(NamedTuple):
    stacks: Stacks
    a: SocketFactory
    b: SocketFactory


@asynccontextmanager
async def net(**options: Any) -> AsyncIterator[Net]:
    async with two_stacks(**options) as stacks:
        yield Net(stacks, SocketFactory(stacks.a), SocketFactory(stacks.b))


async def listen(factory: SocketFactory, host: str = B4, port: int = 0) -> TCPSocket:
    sock = make(factory, host)
    await sock.bind((host, port))
    sock.listen()
    return sock


def make(factory: SocketFactory, host: str = B4) -> TCPSocket:
    sock = factory.socket(trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET)
    assert isinstance(sock, TCPSocket)
    return sock


async def connect(net: Net, host: str = B4) -> tuple[TCPSocket, TCPSocket]:
    """Client on `net.a`, server on `net.b`."""
    with await listen(net.b, host) as listener:
        client = make(net.a, host)
        await client.connect(listener.getsockname())
        server, _ = await listener.accept()
        assert isinstance(server, TCPSocket)
        return client, server


@asynccontextmanager
async def connected(*, host: str = B4, **options: Any) -> AsyncIterator[tuple[TCPSocket, ...]]:
    async with net(**options) as both:
        client, server = await connect(both, host)
        with client, server:
            yield client, server


async def fill(sock: TCPSocket) -> int:
    """Sends until no more goes for a while."""
    sent = 0
    with trio.move_on_after(0.2) as patience:
        while True:
            sent += await sock.send(bytes(50_000))
            patience.deadline = trio.current_time() + 0.2
    return sent


@contextmanager
def using(factory: SocketFactory) -> Iterator[None]:
    """trio's own functions make sockets of this one."""
    former = trio.socket.set_custom_socket_factory(factory)
    try:
        yield
    finally:
        trio.socket.set_custom_socket_factory(former)
