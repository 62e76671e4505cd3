"""pytest plugin: whatever event loop a test asks for has its TCP on stacks.

Each loop has two stacks on a cable, which stand for the loopback interface: who listens is on B,
who connects is on A, and 127.0.0.1, like ::1, is what both show for their own addresses. Kernel
sockets that libraries bring along are adopted.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any
from weakref import WeakKeyDictionary

import uvloop

import usertcp
import usertcp.asyncio
from aio.pairs import A4, A6, A_ADDRESSES, B4, B6, B_ADDRESSES, cables
from usertcp import Stack
from usertcp._address import pack_text
from usertcp._stack import Endpoint
from usertcp.asyncio import EventLoop, Socket, _names
from usertcp.asyncio._loop import LoopMixin

pytest_plugins = ["foreign.counts"]

SHOWN = {A4: "127.0.0.1", B4: "127.0.0.1", A6: "::1", B6: "::1"}
BEHIND = {
    pack_text(asked): pack_text(real)
    for asked, real in (("127.0.0.1", B4), ("0.0.0.0", B4), ("::1", B6), ("::", B6))
}
"""Where who connects gets to: to connect to the wildcard is to connect to this host."""

connecting: WeakKeyDictionary[Stack, Stack] = WeakKeyDictionary()
"""The stack that connects, by the one that listens."""


class Loopback(AbstractAsyncContextManager[Stack]):
    """No generator: the loop would end it before its programs' last transports are closed."""

    def __init__(self) -> None:
        left, right = cables()
        options: dict[str, Any] = {"check_duplicates": False, "linger": 0.1}
        self._openings = (
            usertcp.open_stack(left, addresses=A_ADDRESSES, **options),
            usertcp.open_stack(right, addresses=B_ADDRESSES, **options),
        )

    async def __aenter__(self) -> Stack:
        a, b = [await opening.__aenter__() for opening in self._openings]
        connecting[b] = a
        return b

    async def __aexit__(self, *failure: object) -> None:
        for opening in self._openings:
            await opening.__aexit__(None, None, None)


def redirect_names() -> None:
    named, endpoint_name, begin = Socket._named, _names.endpoint_name, Socket.begin_connect

    def shown(self: Socket, host: str, port: int) -> Any:
        return named(self, SHOWN.get(host, host), port)

    def shown_endpoint(family: Any, endpoint: Any) -> Any:
        return endpoint_name(family, (SHOWN.get(endpoint[0], endpoint[0]), endpoint[1]))

    def begin_connect(self: Socket, packed: bytes, port: int) -> Endpoint:
        if packed in BEHIND:
            stack = self._own_stack("connect()")
            self._stack = connecting.get(stack, stack)
            packed = BEHIND[packed]
        return begin(self, packed, port)

    Socket._named, Socket.begin_connect = shown, begin_connect  # type: ignore[method-assign]
    _names.endpoint_name = shown_endpoint
    LoopMixin._tell_loopback = lambda *_: None  # type: ignore[method-assign]


class LoopbackLoop(EventLoop):
    """asyncio's default, for the time of the tests."""

    def __init__(self, selector: Any = None) -> None:
        super().__init__(selector, stack=Loopback, bypass="adopt")


LoopbackLoop.__name__ = asyncio.SelectorEventLoop.__name__  # it is in the names of tests


def redirect_loops() -> None:
    """At once: test suites take the functions and classes that they import."""
    asyncio.new_event_loop = asyncio.events.new_event_loop = LoopbackLoop
    asyncio.SelectorEventLoop = LoopbackLoop  # type: ignore[misc]
    asyncio.DefaultEventLoopPolicy._loop_factory = LoopbackLoop  # type: ignore[attr-defined]
    over_uvloop = usertcp.asyncio.loop_factory(uvloop.Loop, stack=Loopback, bypass="adopt")
    uvloop.new_event_loop = over_uvloop


redirect_names()
redirect_loops()
