"""trio's hooks: host names, TCP sockets of the current host, and a schedule that a seed repeats."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM
from typing import TYPE_CHECKING, Any

import trio

from usertcp._open import _ambient
from usertcp.testing._hooks import NO_HOST
from usertcp.trio import SocketFactory
from usertcp.trio._tokens import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from usertcp._bypass import Policy
    from usertcp.stacks import Stack
    from usertcp.testing._names import Names

_TYPE_MASK = ~(getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0))


class _Resolver(trio.abc.HostnameResolver):
    def __init__(self, names: Names) -> None:
        self._names = names

    async def getaddrinfo(self, host: bytes | None, port: Any, *how: int) -> Any:
        """`how`: family, type, proto, flags."""
        await trio.lowlevel.checkpoint()
        return self._names.getaddrinfo(host, port, *how)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return self._names.getnameinfo(sockaddr, flags)


class _HostSockets(trio.abc.SocketFactory):
    """TCP sockets are the current host's; others (UDP, UNIX, ...) the kernel's."""

    def __init__(self, policy: Callable[[], Policy]) -> None:
        self._policy = policy

    @property
    def stack(self) -> Stack | None:
        return _ambient.get()

    @property
    def bypass(self) -> Policy:
        return self._policy()

    def socket(
        self,
        family: socket.AddressFamily | int = AF_INET,
        type: socket.SocketKind | int = SOCK_STREAM,  # noqa: A002
        proto: int = 0,
    ) -> trio.socket.SocketType:
        stack = _ambient.get()
        if stack is not None:
            return SocketFactory(stack).socket(family, type, proto)
        is_tcp = type & _TYPE_MASK == SOCK_STREAM and proto in (0, IPPROTO_TCP)
        if family in (AF_INET, AF_INET6) and is_tcp:
            raise RuntimeError(NO_HOST)
        return trio.socket.from_stdlib_socket(socket.socket(family, type, proto))


@contextmanager
def installed_on_trio(names: Names, policy: Callable[[], Policy]) -> Iterator[None]:
    ours = _HostSockets(policy)
    resolver = trio.socket.set_custom_hostname_resolver(_Resolver(names))
    factory = trio.socket.set_custom_socket_factory(ours)
    try:
        with _repeatable_schedule(), watched(ours):
            yield
    finally:
        trio.socket.set_custom_socket_factory(factory)
        trio.socket.set_custom_hostname_resolver(resolver)


@contextmanager
def _repeatable_schedule() -> Iterator[None]:
    """The tasks of a tick are shuffled by trio; what it made for hypothesis makes that repeatable.

    Where trio has it no longer, tasks that run in the same instant come in any order.
    """
    run: Any = getattr(getattr(trio, "_core", None), "_run", None)
    shuffler = getattr(run, "_r", None)
    if shuffler is None or not hasattr(run, "_ALLOW_DETERMINISTIC_SCHEDULING"):
        yield
        return
    former, state = run._ALLOW_DETERMINISTIC_SCHEDULING, shuffler.getstate()  # noqa: SLF001
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    shuffler.seed(0)
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = former  # noqa: SLF001
        shuffler.setstate(state)
