"""SocketFactory, trio's official hook, and the `open_stack` that installs one."""

import errno
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, AddressFamily, SocketKind
from typing import TYPE_CHECKING, Any

import trio

import usertcp
from usertcp import current_stack
from usertcp._address import IPAddress, IPInterface
from usertcp._bypass import Policy, policy
from usertcp._sockopts import refuse
from usertcp.stacks import LINGER, Stack
from usertcp.trio._raw_io import RawSocket
from usertcp.trio._socket import TCPSocket, check_stack
from usertcp.trio._tokens import watched

if TYPE_CHECKING:
    from usertcp._binding import LinkHolder

_TYPE_MASK = ~(getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0))


class SocketFactory(trio.abc.SocketFactory):
    """Makes TCP sockets of a stack; for `trio.socket.set_custom_socket_factory`.

    Without a `stack`, each socket is of the stack that is ambient where it is made
    (`usertcp.current_stack`, `RuntimeError` where there is none). Other sockets (UDP, UNIX, ...)
    are the kernel's: `kernel_sockets` counts them. `bypass`: what `open_stack` does with kernel TCP
    sockets that libraries bring along: `adopt`, `kernel` or `error`; `USERTCP_BYPASS`, else
    `error`, when None.
    """

    def __init__(self, stack: Stack | None = None, *, bypass: Policy | None = None) -> None:
        self._stack = stack
        self.bypass = policy(bypass)
        self.kernel_sockets: int = 0

    @property
    def stack(self) -> Stack:
        """The stack of a socket made here and now."""
        return current_stack() if self._stack is None else self._stack

    def socket(
        self,
        family: AddressFamily | int = AF_INET,
        type: SocketKind | int = SOCK_STREAM,  # noqa: A002
        proto: int = 0,
    ) -> trio.socket.SocketType:
        """`OSError`: EAFNOSUPPORT without an address of the family, ENETDOWN when closed."""
        is_ip = family in (AF_INET, AF_INET6)
        if not is_ip or type & _TYPE_MASK != SOCK_STREAM or proto not in (0, IPPROTO_TCP):
            made = trio.socket.from_stdlib_socket(socket.socket(family, type, proto))
            self.kernel_sockets += 1
            return made
        stack = self.stack
        if family not in stack.families:
            raise refuse(errno.EAFNOSUPPORT, f"the usertcp stack has no {_NAMES[family]} address")
        check_stack(stack)
        return TCPSocket(RawSocket(stack, family))

    def __repr__(self) -> str:
        return f"<usertcp.trio.SocketFactory {self._stack or 'of the ambient stack'}>"


_NAMES: dict[int, str] = {AF_INET: "IPv4", AF_INET6: "IPv6"}


def open_stack(
    link: "str | LinkHolder | Sequence[str | LinkHolder] | None" = None,
    *,
    addresses: Sequence[str | IPInterface] | None = None,
    gateway: "str | IPAddress | Sequence[str | IPAddress] | None" = None,
    resolver: trio.abc.HostnameResolver | None = None,
    bypass: Policy | None = None,
    linger: float = LINGER,
    **options: Any,
) -> AbstractAsyncContextManager[Stack]:
    """`usertcp.open_stack`, and trio's sockets are the stack's while it is open.

        async with usertcp.trio.open_stack("packet:v1", addresses=["10.7.0.2/24"]):
            stream = await trio.open_tcp_stream("10.7.0.1", 80)

    Without a link the environment says which stack, as for `usertcp.open_stack`. The factory holds
    for the whole run, in every task; the former one is put back at the end.
    `resolver`: names are looked up by it meanwhile. `bypass`: what is done with kernel TCP sockets
    that libraries bring to `trio.socket.from_stdlib_socket` (AnyIO's listener, hypercorn): `adopt`,
    `kernel` or `error`; `USERTCP_BYPASS`, else `error`, when None. `RuntimeError` outside
    `trio.run`.
    """
    opening = usertcp.open_stack(
        link, addresses=addresses, gateway=gateway, linger=linger, **options
    )
    return in_use(opening, resolver, bypass)


@asynccontextmanager
async def in_use(
    opening: AbstractAsyncContextManager[Stack],
    resolver: trio.abc.HostnameResolver | None = None,
    bypass: Policy | None = None,
) -> AsyncIterator[Stack]:
    """Opens a stack, which is this run's TCP until the end."""
    trio.lowlevel.current_task()  # RuntimeError outside a run
    policy(bypass)  # ValueError before anything is opened
    async with opening as stack:
        ours = SocketFactory(stack, bypass=bypass)
        former = trio.socket.set_custom_socket_factory(ours)
        former_resolver = None
        if resolver is not None:
            former_resolver = trio.socket.set_custom_hostname_resolver(resolver)
        try:
            with watched(ours):
                yield stack
        finally:
            last = trio.socket.set_custom_socket_factory(former)
            if last is not ours:  # who set it after us keeps it
                trio.socket.set_custom_socket_factory(last)
            if resolver is not None:
                trio.socket.set_custom_hostname_resolver(former_resolver)
