"""The loop's `sock_*` methods for our sockets; kernel sockets go on to the base loop."""

import asyncio
import errno
import socket
from collections.abc import Callable
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeVar

from usertcp.asyncio import _sendfile
from usertcp.asyncio._connecting import connect_socket
from usertcp.asyncio._opening import LoopStack
from usertcp.asyncio._options import REUSEPORT
from usertcp.asyncio._resolving import resolve
from usertcp.asyncio._socket import Socket
from usertcp.asyncio._tokens import Tokens, family_of, give_name, is_kernel_tcp

if TYPE_CHECKING:
    _Base = asyncio.SelectorEventLoop
else:
    _Base = object

_T = TypeVar("_T")
_CLOSED_CHECKS = (0.0, 0.01, 0.1, 1.0)


def _wake(waiter: "asyncio.Future[None]", _: None) -> None:
    if not waiter.done():
        waiter.set_result(None)


class SockCalls(_Base):
    """Mixed into an event loop's class."""

    usertcp: LoopStack
    _tokens: Tokens

    def _ours(self, sock: object) -> Socket | None:
        return sock if type(sock) is Socket else self._find(sock)

    def _find(self, sock: object) -> Socket | None:
        return sock if isinstance(sock, Socket) else self._tokens.find(sock)

    async def _readable(self, sock: Socket, take: Callable[[], _T]) -> _T:
        while True:
            try:
                return take()
            except BlockingIOError:
                pass
            waiter: asyncio.Future[None] = self.create_future()
            sock.set_reader(partial(_wake, waiter))
            try:
                await waiter
            finally:
                sock.set_reader(None)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Of our socket: connects on the stack. Of a kernel's TCP socket: as the policy says."""
        ours = self._ours(sock)
        if ours is not None:
            await self._connect_ours(ours, address)
        elif not is_kernel_tcp(sock) or self._tokens.decide("sock_connect") == "kernel":
            await super().sock_connect(sock, address)
        else:
            made = Socket(family_of(sock))
            try:
                local = sock.getsockname()
                if local[1] or local[0] not in ("0.0.0.0", "::"):
                    made.bind(local)
                await self._connect_ours(made, address)
            except BaseException:
                made.close()
                raise
            self._tokens.adopt(sock, made, "sock_connect")

    async def _connect_ours(self, sock: Socket, address: Any) -> None:
        sock.attach(await self.usertcp.get())
        host, port = address[:2]
        ((_, packed, number), *_) = await resolve(self, (host, port), family=sock.family)
        await connect_socket(self, sock, packed, number)

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """From our listening socket; a kernel's: as the policy says."""
        ours = self._ours(sock)
        if ours is None:
            if not is_kernel_tcp(sock) or self._tokens.decide("sock_accept") == "kernel":
                return await super().sock_accept(sock)
            ours = await self.listen_for(sock, "sock_accept")
            self._tokens.adopt(sock, ours, "sock_accept")
        try:
            return await self._readable(ours, ours.accept)
        finally:
            if ours is not sock:
                self._close_with(sock, _CLOSED_CHECKS)

    async def listen_for(self, token: socket.socket, what: str, backlog: int = 128) -> Socket:
        """A listening socket of ours in place of a kernel's bound one."""
        stack = await self.usertcp.get()
        family = family_of(token)
        made = Socket(family)
        try:
            made.attach(stack)
            if family == socket.AF_INET6:
                made.set_only_v6(token.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
            made.setsockopt(*REUSEPORT, token.getsockopt(*REUSEPORT))
            made.bind(token.getsockname())
            made.listen(backlog)
            give_name(token, made)
        except OSError as exc:
            made.close()
            raise OSError(exc.errno, f"{what}: {exc.strerror}") from exc
        except BaseException:
            made.close()
            raise
        return made

    def _close_with(self, token: socket.socket, when: tuple[float, ...]) -> None:
        """Our socket ends when its ticket is closed, which nothing tells us."""
        if self.is_closed() or self._tokens.find(token) is None or not when:
            return
        self.call_later(when[0], self._close_with, token, when[1:])

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        ours = self._ours(sock)
        if ours is None:
            return await super().sock_recv(sock, nbytes)
        return await self._readable(ours, partial(ours.recv, nbytes))

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        ours = self._ours(sock)
        if ours is None:
            return await super().sock_recv_into(sock, buf)
        return await self._readable(ours, partial(ours.recv_into, buf))

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        ours = self._ours(sock)
        if ours is None:
            return await super().sock_recvfrom(sock, bufsize)
        return await self._readable(ours, partial(ours.recvfrom, bufsize))

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Returns when the stack has taken all of it."""
        ours = self._ours(sock)
        if ours is None:
            await super().sock_sendall(sock, data)
            return
        view = memoryview(data).cast("B")
        while len(view):
            try:
                view = view[ours.send(view) :]
                continue
            except BlockingIOError:
                pass
            waiter: asyncio.Future[None] = self.create_future()
            ours.set_writer(partial(_wake, waiter))
            try:
                await waiter
            finally:
                ours.set_writer(None)

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        ours = self._ours(sock)
        if ours is None:
            return await super().sock_sendto(sock, data, address)
        raise OSError(errno.EISCONN, "sock_sendto: a TCP socket has one peer; use sock_sendall")

    async def sock_sendfile(
        self,
        sock: socket.socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> int:
        ours = self._ours(sock)
        if ours is None:
            return await super().sock_sendfile(sock, file, offset, count, fallback=fallback)
        _sendfile.check(file, offset, count)
        if not fallback:
            raise asyncio.SendfileNotAvailableError("a usertcp socket has no sendfile of its own")
        return await _sendfile.copy(self, file, partial(self.sock_sendall, ours), offset, count)
