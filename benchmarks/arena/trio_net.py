"""trio's own sockets in the shape that arena.programs wants: the methods are trio's, renamed."""

from collections.abc import Awaitable, Callable
from typing import Any, Self

import trio


class Stream:
    """`send`, `receive` and so on are the `trio.SocketStream`'s methods themselves."""

    __slots__ = ("aclose", "receive", "send", "send_eof")

    def __init__(self, stream: trio.SocketStream) -> None:
        self.send = stream.send_all
        self.receive = stream.receive_some
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Listener:
    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.aclose()

    async def serve(self, handler: Callable[[Any], Awaitable[None]]) -> None:
        async def handle(stream: trio.SocketStream) -> None:
            try:
                await handler(Stream(stream))
            except trio.BrokenResourceError:  # as arena.programs does with AnyIO's
                pass

        await trio.serve_listeners(handle, [self._listener])


async def connect_tcp(host: str, port: int) -> Stream:
    return Stream(await trio.open_tcp_stream(host, port))


async def create_tcp_listener(*, local_host: str, local_port: int) -> Listener:
    (listener,) = await trio.open_tcp_listeners(local_port, host=local_host)
    return Listener(listener)
