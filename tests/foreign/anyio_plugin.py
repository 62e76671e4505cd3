"""pytest plugin: AnyIO's own TCP tests with our event loops and sockets, the kernel as their peer.

    python tools/foreign_network.py cable HOSTS python -m pytest tests/test_sockets.py \
        -k "TestTCPStream or TestTCPListener" -p foreign.anyio_plugin

asyncio and uvloop: the functions that make event loops are replaced. trio: each test runs inside
`usertcp.trio.open_stack`. AnyIO makes sockets that listen by itself: it is given ours.

What the tests open themselves are kernel sockets, and `localhost` is the kernel, on the other end
of a cable. Where a test means its own side of a connection, by listening or binding, loopback
names become the stack's address.
"""

import asyncio
import inspect
import os
import socket
from functools import wraps
from typing import Any, Self

import anyio._core._sockets as core
import pytest
import trio
import uvloop
from anyio._backends._asyncio import AsyncIOBackend
from anyio._backends._trio import TrioBackend

import usertcp
import usertcp.asyncio
import usertcp.trio
from usertcp._address import pack_text
from usertcp._stack import Endpoint
from usertcp.asyncio import Socket
from usertcp.trio import TCPSocket
from usertcp.trio._endpoint import SocketEndpoint
from usertcp.trio._raw_io import RawSocket

pytest_plugins = ["foreign.counts"]

LINK = os.environ.get("FOREIGN_LINK", "packet:ours7")


class Alias(str):
    """An address that a test takes for the loopback address that it expects."""

    __slots__ = ("means",)

    def __new__(cls, address: str, means: str) -> Self:
        made = super().__new__(cls, address)
        made.means = means
        return made

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) or self.means == other

    __hash__ = str.__hash__


KERNEL = {
    "127.0.0.1": Alias("10.8.0.1", means="127.0.0.1"),
    "::1": Alias("fd08::1", means="::1"),
}
OURS = {"127.0.0.1": "10.8.0.2", "::1": "fd08::2"}
LOOPBACK = {"127.0.0.1": "10.8.0.3"}
"""What the network rewrites to the kernel's loopback address: peers may listen there, too."""
OPTIONS: dict[str, Any] = {
    "addresses": ("10.8.0.2/24", "fd08::2/64"),
    "linger": 0.5,
    "check_duplicates": False,
}
OWN_NAME = "usertcp.test"
# Parameters of tests that hold loopback addresses: of the kernel's side, of ours.
PARAMETERS = {"local_addr": KERNEL, "target": KERNEL, "expected_client_addr": OURS}


def new_stack() -> Any:
    return usertcp.open_stack(LINK, **OPTIONS)


class Listening(type):
    """Stands for `socket.socket` where AnyIO makes listening sockets."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, socket.socket)

    def __call__(cls, family: int = -1, kind: int = -1, proto: int = -1) -> socket.socket:
        if family not in (socket.AF_INET, socket.AF_INET6) or kind != -1:
            return socket.socket(family, kind, proto)
        if trio.lowlevel.in_trio_run():
            return trio.socket.socket(family)._sock  # type: ignore[attr-defined]
        return usertcp.asyncio.Socket(family)


class CoreSockets:
    """The module `socket` for AnyIO's core."""

    class socket(metaclass=Listening):  # noqa: N801
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)


def own_names(backend: Any) -> None:
    lookup = backend.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        host = host.decode() if isinstance(host, bytes) else host
        if host == "localhost" and options.get("flags", 0) & socket.AI_PASSIVE:
            host = OWN_NAME
        return await lookup(OURS.get(host, host), port, **options)

    backend.getaddrinfo = getaddrinfo


def own_trio_sockets() -> None:
    kernels = trio.socket.from_stdlib_socket

    def from_stdlib_socket(sock: Any) -> Any:
        return TCPSocket(sock) if isinstance(sock, RawSocket) else kernels(sock)

    trio.socket.from_stdlib_socket = from_stdlib_socket


def to_loopback() -> None:
    """Who connects to 127.0.0.1 gets to the kernel's."""
    begin, start = Socket.begin_connect, RawSocket.start_connect
    packed_loopback = {pack_text(asked): pack_text(real) for asked, real in LOOPBACK.items()}

    def begin_connect(self: Socket, packed: bytes, port: int, **options: Any) -> Endpoint:
        return begin(self, packed_loopback.get(packed, packed), port, **options)

    def start_connect(self: RawSocket, address: Any, **options: Any) -> SocketEndpoint:
        return start(self, (LOOPBACK.get(address[0], address[0]), *address[1:]), **options)

    Socket.begin_connect = begin_connect  # type: ignore[method-assign]
    RawSocket.start_connect = start_connect  # type: ignore[method-assign]


def redirect() -> None:
    """At once: AnyIO's conftest takes the functions that it imports."""
    loops = usertcp.asyncio.loop_factory(stack=new_stack)
    asyncio.new_event_loop = asyncio.events.new_event_loop = loops
    uvloop.new_event_loop = usertcp.asyncio.loop_factory(uvloop.Loop, stack=new_stack)
    core.socket = CoreSockets()  # type: ignore[attr-defined]
    own_trio_sockets()
    to_loopback()
    for backend in (AsyncIOBackend, TrioBackend):
        own_names(backend)


redirect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters = getattr(item, "callspec", None) and item.callspec.params
        for name, addresses in PARAMETERS.items():
            if parameters and parameters.get(name) in addresses:
                parameters[name] = addresses[parameters[name]]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):

        @wraps(test)
        async def inside(**fixtures: Any) -> None:
            if trio.lowlevel.in_trio_run():
                async with usertcp.trio.open_stack(LINK, **OPTIONS):
                    await test(**fixtures)
            else:
                own: Any = asyncio.get_running_loop()
                await own.usertcp.get()
                await test(**fixtures)

        pyfuncitem.obj = inside
    return (yield)
