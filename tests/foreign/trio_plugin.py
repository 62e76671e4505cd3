"""pytest plugin: trio's own networking tests with our sockets as the default.

    PYTHONPATH=tests python -m pytest --pyargs trio._tests.test_highlevel_socket \
        -p trio._tests.pytest_plugin -p foreign.trio_plugin --run-slow

Each test's run has two stacks on a cable. What the tests think to be the loopback interface is the
way between them: who listens is on B, who connects is on A, and 127.0.0.1 is B's name.
"""

import inspect
import socket as stdlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import pytest
import trio

from aio.pairs import A4, A6, B4, B6, Stacks, two_stacks
from usertcp import Stack
from usertcp.trio import SocketFactory, TCPSocket
from usertcp.trio._raw_io import RawSocket

pytest_plugins = ["foreign.counts"]

SHOWN = {B4: "127.0.0.1", A4: "127.0.0.2", B6: "::1"}
REAL = {shown: real for real, shown in SHOWN.items()}
ON_A = (A4, A6)
THIS_HOST = {"0.0.0.0": B4, "::": B6}
"""What it means to connect to the wildcard."""


def mapped(names: dict[str, str], address: Any) -> Any:
    return (names.get(address[0], address[0]), *address[1:])


class LoopbackRaw(RawSocket):
    """Shows the stacks' addresses by the names the tests expect."""

    __slots__ = ()

    def getsockname(self) -> Any:
        return mapped(SHOWN, super().getsockname())

    def getpeername(self) -> Any:
        return mapped(SHOWN, super().getpeername())

    def try_accept(self) -> Any:
        made = super().try_accept()
        return made and (made[0], mapped(SHOWN, made[1]))


class LoopbackSocket(TCPSocket):
    """On stack B until it turns out to be the one that connects."""

    stacks: Stacks

    async def _resolve_address_nocp(self, address: Any, *, local: bool) -> Any:
        resolved = mapped(REAL, await super()._resolve_address_nocp(address, local=local))
        if not local:
            resolved = mapped(THIS_HOST, resolved)
        on_a = resolved[0] in ON_A
        if (local and on_a) or (not local and not on_a):
            self._move(self.stacks.a)
        return resolved

    def _move(self, stack: Stack) -> None:
        raw = self._sock
        if raw.stack is stack or raw.ends or raw.is_closed():
            return
        self._sock = LoopbackRaw(stack, raw.family, raw.options)
        if raw._claim is not None:
            self._sock.bind(raw.local)
        raw.close()

    async def connect(self, address: Any) -> None:
        try:
            await super().connect(await self._resolve_address_nocp(address, local=False))
        except trio.Cancelled:
            self.close()
            raise
        except OSError as exc:
            text = str(exc.strerror)
            for real, shown in SHOWN.items():
                text = text.replace(f"'{real}'", f"'{shown}'")
            raise type(exc)(exc.errno, text) from None


class LoopbackFactory(SocketFactory):
    def __init__(self, stacks: Stacks) -> None:
        super().__init__(stacks.b, bypass="adopt")
        self.stacks = stacks

    def socket(self, family: int = 2, type: int = 1, proto: int = 0) -> Any:  # noqa: A002
        made = super().socket(family, type, proto)
        return self.wrap(LoopbackRaw(self.stack, family)) if isinstance(made, TCPSocket) else made

    def wrap(self, raw: LoopbackRaw) -> LoopbackSocket:
        made = LoopbackSocket(raw)
        made.stacks = self.stacks
        return made

    def socketpair(
        self,
        family: int | None = None,
        type: int = stdlib.SOCK_STREAM,  # noqa: A002
        proto: int = 0,
    ) -> tuple[Any, Any]:
        """A connection; the packets of its handshake are carried here and now."""
        if family is not None or type != stdlib.SOCK_STREAM or proto:
            left, right = stdlib.socketpair(family, type, proto)
            return trio.socket.from_stdlib_socket(left), trio.socket.from_stdlib_socket(right)
        a, b = self.stacks
        with LoopbackRaw(b, stdlib.AF_INET) as listener:
            listener.bind((B4, 0))
            listener.listen()
            client = LoopbackRaw(a, stdlib.AF_INET)
            client.start_connect(listener.local)
            for _ in range(4):
                b.engine.poll(b.driver.now())
                a.engine.poll(a.driver.now())
            made = listener.try_accept()
        assert made is not None
        assert client.ends[0].connected
        return self.wrap(client), self.wrap(made[0])


class Stdlib:
    """The module `socket`, but for its sockets: a probe must look where the listeners are."""

    def __init__(self, factory: LoopbackFactory) -> None:
        self._factory = factory

    def __getattr__(self, name: str) -> Any:
        return getattr(stdlib, name)

    def socket(self) -> Any:
        class Probe(LoopbackRaw):
            def bind(self, address: Any) -> None:
                super().bind(mapped(REAL, address))

        return Probe(self._factory.stack, stdlib.AF_INET)


PROBING = {"test_open_tcp_listeners_rebind"}


@asynccontextmanager
async def loopback() -> AsyncIterator[LoopbackFactory]:
    # Not paced: what is asleep has filled its stream for good, even where a busy machine makes
    # round trips of milliseconds.
    async with two_stacks(linger=0.05, congestion="reno") as stacks:
        factory = LoopbackFactory(stacks)
        former, kernels = trio.socket.set_custom_socket_factory(factory), trio.socket.socketpair
        trio.socket.socketpair = factory.socketpair
        try:
            yield factory
        finally:
            trio.socket.socketpair = kernels
            trio.socket.set_custom_socket_factory(former)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):

        @wraps(test)
        async def inside(**fixtures: Any) -> None:
            async with loopback() as factory:
                with pytest.MonkeyPatch.context() as patch:
                    if pyfuncitem.name in PROBING:
                        patch.setattr(pyfuncitem.module, "stdlib_socket", Stdlib(factory))
                    await test(**fixtures)

        pyfuncitem.obj = inside
    return (yield)
