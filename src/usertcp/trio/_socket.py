"""TCPSocket: trio's socket interface over a `RawSocket`.

Every async method is a full checkpoint, with trio's own sandwich: a cancellation is looked for
before anything is done; what succeeds or fails at once yields afterwards, shielded, so that nothing
done is ever taken for undone; what has to wait parks, and is cancelled before it took anything.
"""

import errno
from collections.abc import Callable, Iterable
from socket import AddressFamily, SocketKind
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import anyio
import trio
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled
from trio.socket import SocketType

from usertcp._sockopts import MSG_FASTOPEN, V6ONLY
from usertcp.stacks import Stack
from usertcp.trio._names import SockName, resolve
from usertcp.trio._raw_io import RawSocket, no_descriptor

if TYPE_CHECKING:
    from typing_extensions import Buffer

_T = TypeVar("_T")
_Side = Literal["reader", "writer"]
_UNTOLD = 0.01
"""Seconds between two looks at a send queue whose engine was not asked to tell of room."""


def check_stack(stack: Stack) -> None:
    """`OSError` (ENETDOWN) when it is closed or its link has failed."""
    try:
        stack.check_open()
    except anyio.ClosedResourceError as exc:
        raise OSError(errno.ENETDOWN, str(exc)) from None


class TCPSocket(SocketType):
    """A TCP socket of a usertcp stack: what `trio.socket.socket()` gives under a `SocketFactory`.

    `_sock` is the non-blocking socket behind it, as AnyIO expects.
    """

    def __init__(self, raw: RawSocket) -> None:
        super().__init__()
        self._sock = raw
        self._did_shutdown_wr = False

    # ---- facts, options, names ---------------------------------------------------------------

    @property
    def family(self) -> AddressFamily:
        return self._sock.family

    @property
    def type(self) -> SocketKind:
        return self._sock.type

    @property
    def proto(self) -> int:
        return self._sock.proto

    @property
    def did_shutdown_SHUT_WR(self) -> bool:  # noqa: N802
        return self._did_shutdown_wr

    def fileno(self) -> int:
        return self._sock.fileno()

    def getsockname(self) -> SockName:
        return self._sock.getsockname()

    def getpeername(self) -> SockName:
        return self._sock.getpeername()

    @overload
    def getsockopt(self, level: int, optname: int) -> int: ...
    @overload
    def getsockopt(self, level: int, optname: int, buflen: int) -> bytes: ...
    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> int | bytes:
        if buflen is None:
            return self._sock.getsockopt(level, optname)
        return self._sock.getsockopt(level, optname, buflen)

    @overload
    def setsockopt(self, level: int, optname: int, value: "int | Buffer") -> None: ...
    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int) -> None: ...
    def setsockopt(
        self, level: int, optname: int, value: "int | Buffer | None", optlen: int | None = None
    ) -> None:
        if (value is None) == (optlen is None):
            need = "must not be None when specifying" if optlen is None else "must be None with"
            if optlen is not None:
                need = f"{value!r}, must be None when specifying"
            raise TypeError(f"invalid value for argument 'value': {need} optlen")
        self._sock.setsockopt(level, optname, value, optlen)

    def get_inheritable(self) -> bool:
        return self._sock.get_inheritable()

    def set_inheritable(self, inheritable: bool) -> None:
        self._sock.set_inheritable(inheritable)

    def is_readable(self) -> bool:
        """Whether `recv` or `accept` would return, or fail, at once."""
        return self._sock.is_readable()

    def detach(self) -> int:
        raise no_descriptor("to detach")

    def dup(self) -> SocketType:
        raise no_descriptor("to duplicate")

    def __repr__(self) -> str:
        return repr(self._sock).replace("usertcp", "usertcp.trio", 1)

    # ---- beginning and end -------------------------------------------------------------------

    def close(self) -> None:
        """Who waits on it gets `trio.ClosedResourceError`. Idempotent."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shutdown(self, flag: int) -> None:
        self._sock.shutdown(flag)
        if flag in (trio.socket.SHUT_WR, trio.socket.SHUT_RDWR):
            self._did_shutdown_wr = True

    def listen(self, backlog: int = 128) -> None:
        self._sock.listen(backlog)

    async def bind(self, address: Any) -> None:
        resolved = await self._resolve_address_nocp(address, local=True)
        await trio.lowlevel.checkpoint()
        self._sock.bind(resolved)

    async def connect(self, address: Any) -> None:
        """Cancelled, it has closed the socket, as trio's own: nobody could tell its state."""
        await self._connect(address, fast_open=False)

    async def _connect(self, address: Any, *, fast_open: bool) -> None:
        raw = self._sock
        try:
            resolved = await self._resolve_address_nocp(address, local=False)
            await checkpoint_if_cancelled()
            try:
                end = raw.start_connect(resolved, fast_open=fast_open)
            except BaseException:
                await cancel_shielded_checkpoint()
                raise
            if end.connected:
                await cancel_shielded_checkpoint()
            while not (end.connected or end.ended or end.closed):
                await self._park("writer")
        except trio.Cancelled:
            self.close()
            raise
        except trio.ClosedResourceError:
            check_stack(raw.stack)  # closed with it: trio's open_tcp_stream expects an OSError
            raise
        if not end.connected:
            self._check_not_closed()
            raw.connect_failed(end, resolved)
        self._check_not_closed()

    async def _resolve_address_nocp(self, address: Any, *, local: bool) -> Any:
        v6only = bool(self._sock.options.remembered.get(V6ONLY))
        return await resolve(self._sock.family, address, v6only=v6only, local=local)

    # ---- waiting -----------------------------------------------------------------------------

    def _check_not_closed(self) -> None:
        if self._sock.is_closed():
            raise trio.ClosedResourceError("another task closed this socket")

    async def _park(self, side: _Side) -> None:
        """Waits for an event; `trio.ClosedResourceError` when the socket is closed meanwhile."""
        ends = self._sock.ends
        for end in ends:
            if getattr(end, side) is not None:
                doing = "reading from" if side == "reader" else "writing to"
                raise trio.BusyResourceError(f"another task is already {doing} this socket")
        waiter = self._sock.driver.new_waiter()
        for end in ends:
            setattr(end, side, waiter)
        try:
            await waiter
        finally:
            for end in ends:
                setattr(end, side, None)
        self._check_not_closed()

    async def _do(self, side: _Side, attempt: Callable[..., _T | None], *args: Any) -> _T:
        await checkpoint_if_cancelled()
        try:
            result = attempt(*args)
        except BaseException:
            await cancel_shielded_checkpoint()
            raise
        if result is not None:
            await cancel_shielded_checkpoint()
            return result
        while True:
            await self._park(side)
            result = attempt(*args)
            if result is not None:
                return result

    async def wait_writable(self) -> None:
        """Returns when `send` would take something, or fail."""
        raw = self._sock
        raw.check_open()
        await trio.lowlevel.checkpoint()
        self._check_not_closed()
        while not raw.is_writable():
            until = float("inf") if raw.ends[0].armed else _UNTOLD
            with trio.move_on_after(until):
                await self._park("writer")

    # ---- I/O ---------------------------------------------------------------------------------

    async def accept(self) -> tuple[SocketType, SockName]:
        raw, peer = await self._do("reader", self._sock.try_accept)
        return TCPSocket(raw), peer

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        return await self._do("reader", self._sock.try_recv, buflen, flags)

    async def recv_into(self, buffer: "Buffer", nbytes: int = 0, flags: int = 0) -> int:
        return await self._do("reader", self._sock.try_recv_into, buffer, nbytes, flags)

    async def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """(data, None): as the kernel's for TCP."""
        return await self.recv(bufsize, flags), None

    async def recvfrom_into(
        self, buffer: "Buffer", nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Any]:
        return await self.recv_into(buffer, nbytes, flags), None

    async def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        """(data, [], 0, None): TCP has no ancillary data."""
        _check_ancillary(ancbufsize)
        return await self.recv(bufsize, flags), [], 0, None

    async def recvmsg_into(
        self, buffers: "Iterable[Buffer]", ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[tuple[int, int, bytes]], int, object]:
        _check_ancillary(ancbufsize)
        targets = list(buffers)
        count = await self._do("reader", self._sock.try_recvmsg_into, targets, flags)
        return count, [], 0, None

    async def send(self, data: "Buffer", flags: int = 0, /) -> int:
        return await self._do("writer", self._sock.try_send, data, flags)

    @overload
    async def sendto(self, data: "Buffer", address: Any, /) -> int: ...
    @overload
    async def sendto(self, data: "Buffer", flags: int, address: Any, /) -> int: ...
    async def sendto(self, *args: Any) -> int:
        """`send`: a connected socket ignores the address, as the kernel's does for TCP.

        With MSG_FASTOPEN: connects first, and the data goes with the SYN where a cookie is known.
        """
        if len(args) not in (2, 3):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(args)} given)")
        flags = await self._fast_open(args[1] if len(args) == 3 else 0, args[-1])
        return await self.send(args[0], flags)

    async def _fast_open(self, flags: int, address: Any) -> int:
        """Connects for MSG_FASTOPEN; the other flags."""
        if flags & MSG_FASTOPEN:
            await self._connect(address, fast_open=True)
        return flags & ~MSG_FASTOPEN

    async def sendmsg(
        self,
        buffers: "Iterable[Buffer]",
        ancdata: "Iterable[tuple[int, int, Buffer]]" = (),
        flags: int = 0,
        address: Any = None,
        /,
    ) -> int:
        """`sendto` of the buffers as one; ancillary data is refused."""
        parts, ancillary = list(buffers), list(ancdata)
        flags = await self._fast_open(flags, address)
        return await self._do("writer", self._sock.try_sendmsg, parts, ancillary, flags)


def _check_ancillary(size: int) -> None:
    if size < 0:
        raise ValueError("invalid ancillary data buffer length")
