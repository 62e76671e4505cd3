"""trio's checks of streams, on the streams that trio makes: of the kernel's sockets or of ours.

python -m pytest trio_checks.py -p trio._tests.pytest_plugin [-p foreign.trio_runs_plugin]
"""

import socket
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio import SocketStream

Pair = tuple[SocketStream, SocketStream]
BUFFER = 8 * 1448
CHECKS = (
    trio.testing.check_one_way_stream,
    trio.testing.check_two_way_stream,
    trio.testing.check_half_closeable_stream,
)


async def pair(buffer: int | None = None) -> Pair:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = trio.socket.socket()
    if buffer is not None:
        for sock in (listener.socket, client):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    async with listener:
        await client.connect(listener.socket.getsockname())
        return SocketStream(client), await listener.accept()


async def clogged_pair() -> Pair:
    """Neither end can send a byte: the buffers are full, both ways."""
    ends = await pair(BUFFER)
    refused = 0
    while refused < 2 * len(ends):  # one end's acknowledgements can make room at the other
        for end in ends:
            with trio.move_on_after(0.05) as scope:
                await end.socket.send(bytes(BUFFER))
            refused = refused + 1 if scope.cancelled_caught else 0
    return ends


@pytest.mark.parametrize("clogged", [None, clogged_pair], ids=["plain", "clogged"])
@pytest.mark.parametrize("check", CHECKS)
async def test_streams(
    check: Callable[..., Awaitable[None]], clogged: Callable[[], Awaitable[Pair]] | None
) -> None:
    await check(pair, clogged)
