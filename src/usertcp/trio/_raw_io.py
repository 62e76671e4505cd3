"""RawSocket: the I/O and the options of a non-blocking socket.

Each operation is there twice: `try_recv` gives None when it would have to wait, for `TCPSocket`;
`recv` raises `BlockingIOError`, for who holds the `_sock` of one.
"""

import errno
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, overload

from usertcp._binding import ffi, lib
from usertcp._errors import Code
from usertcp._info import ConnectionInfo
from usertcp._sockopts import FASTOPEN, MSG_FASTOPEN, refuse
from usertcp.streams import StreamOption
from usertcp.trio import _ports
from usertcp.trio._endpoint import SocketEndpoint
from usertcp.trio._names import SockName, errno_of, present, system_error
from usertcp.trio._raw import SocketState

if TYPE_CHECKING:
    from typing_extensions import Buffer

_WOULD_BLOCK = -Code.WOULD_BLOCK
_RECV_FLAGS = int(socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_WAITALL | socket.MSG_NOSIGNAL)
_SEND_FLAGS = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | socket.MSG_MORE | socket.MSG_EOR)
_SMALL = 4096
"""Up to this a copy is cheaper than lending the caller's memory to C."""


def _would_block() -> NoReturn:
    raise refuse(errno.EAGAIN)


class RawSocket(SocketState):
    """What `_sock` of a `TCPSocket` is: a non-blocking socket of a stack."""

    __slots__ = ()

    # ---- receiving ---------------------------------------------------------------------------

    def try_recv(self, size: int, flags: int = 0) -> bytes | None:
        if size < 0:
            raise ValueError("negative buffersize in recv")
        end = self.connection()
        if size == 0:
            return b""
        if flags:
            if flags & ~_RECV_FLAGS:
                raise refuse(errno.EOPNOTSUPP)
            if flags & socket.MSG_PEEK:
                return self._try_peek(end, size)
        data = self.engine.recv(end.handle, size, self.driver.now())
        if isinstance(data, bytes):
            if self._fd >= 0:
                self.sync_ready()
            self._after_call()
            return data
        return None if self._ends_at(data) is None else b""

    def _ends_at(self, code: int) -> int | None:
        """0 at the end of the stream, None when there is nothing yet; raises what it died of."""
        if code == -Code.END_OF_STREAM:
            return 0
        if code == _WOULD_BLOCK:
            if self._shut_rd:
                return 0
            if self._fd >= 0:
                self.sync_ready()
            self._after_call()  # a SYN that waited for data has left
            return None
        raise system_error(code)

    def _try_peek(self, end: SocketEndpoint, size: int) -> bytes | None:
        engine, now = self.engine, self.driver.now()
        stack, span = engine._stack, engine._span  # noqa: SLF001
        code = lib.ut_recv(stack, end.handle, engine._scratch, 0, size, span, now)  # noqa: SLF001
        if code < 0:
            return None if self._ends_at(code) is None else b""
        data = ffi.buffer(span.data, span.len)[:]
        lib.ut_recv_done(stack, end.handle, 0, now)
        return data

    def try_recv_into(self, buffer: "Buffer", nbytes: int = 0, flags: int = 0) -> int | None:
        with memoryview(buffer) as view, view.cast("B") as target:
            if nbytes < 0:
                raise ValueError("negative buffersize in recv_into")
            if nbytes > len(target):
                raise ValueError("buffer too small for requested bytes")
            size = nbytes or len(target)
            if flags:
                data = self.try_recv(size, flags)
                if data is not None:
                    target[: len(data)] = data
                return None if data is None else len(data)
            end = self.connection()
            if size == 0:
                return 0
            engine = self.engine
            exported = ffi.from_buffer("uint8_t[]", target, require_writable=True)
            stack, span = engine._stack, engine._span  # noqa: SLF001
            now = self.driver.now()
            count: int = lib.ut_recv(stack, end.handle, exported, size, size, span, now)
            ffi.release(exported)
            if count <= 0:
                return self._ends_at(count)
            if self._fd >= 0:
                self.sync_ready()
            self._after_call()
            return count

    def try_recvmsg(self, size: int, flags: int) -> bytes | None:
        return self.try_recv(size, flags)

    def try_recvmsg_into(self, buffers: Iterable["Buffer"], flags: int = 0) -> int | None:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data = self.try_recv(sum(map(len, views)), flags)
        if data is None:
            return None
        offset = 0
        for view in views:
            part = data[offset : offset + len(view)]
            view[: len(part)] = part
            offset += len(part)
        return len(data)

    # ---- sending -----------------------------------------------------------------------------

    def try_send(self, data: "Buffer", flags: int = 0) -> int | None:
        if flags and flags & ~_SEND_FLAGS:
            raise refuse(errno.EOPNOTSUPP)
        with memoryview(data) as view:
            if view.format != "B" or view.ndim != 1:
                with view.cast("B") as octets:
                    return self.try_send(octets, flags)
            end = self.connection(errno.EPIPE)
            if self._shut_wr:
                raise refuse(errno.EPIPE)
            if not end.connected and not end.ended:
                return None
            size = len(view)
            if size <= _SMALL:
                return self._send(end, bytes(view)) if size else 0
            return self._send(end, view)

    def _send(self, end: SocketEndpoint, data: bytes | memoryview) -> int | None:
        size, now = len(data), self.driver.now()
        if isinstance(data, bytes):
            taken = self.engine.send(end.handle, data, now)
        else:
            exported = self.engine.export(data)
            taken = self.engine.send_from(end.handle, exported, 0, now)
            ffi.release(exported)
        self._after_call()
        if taken > 0:
            end.armed = taken < size
            return taken
        if taken == _WOULD_BLOCK:
            end.armed = True
            return None
        raise system_error(taken)

    def is_writable(self) -> bool:
        """Whether send would take something, or fail."""
        if self.is_closed() or self.is_listener or not self.ends or self._shut_wr:
            return True
        end = self.ends[0]
        if end.closed or end.ended:
            return True
        if not end.connected:
            return False
        info = self.info()
        if info is None:
            return True
        lowat = self.engine_option(StreamOption.NOTSENT_LOWAT)
        unsent = info.snd_queued - info.flight_size
        return info.snd_free > 0 and (not lowat or unsent < lowat)

    def try_sendmsg(
        self, buffers: Iterable["Buffer"], ancdata: Iterable[Any] = (), flags: int = 0
    ) -> int | None:
        if list(ancdata):
            raise refuse(errno.EINVAL, "TCP has no ancillary data")
        return self.try_send(b"".join(map(memoryview, buffers)), flags)

    # ---- accepting ---------------------------------------------------------------------------

    def try_accept(self) -> "tuple[RawSocket, SockName] | None":
        if self._is_closed:
            raise refuse(errno.EBADF)
        if not self.is_listener:
            raise refuse(errno.EINVAL)
        for end in self.ends:
            if end.closed:
                raise refuse(errno.ENODEV if end.link_failed else errno.EBADF)
            made = self.engine.accept(end.handle, self.driver.now())
            if isinstance(made, tuple):
                handle, local, remote = made
                accepted = type(self)(self.stack, self._family, self.options)
                peer = present(self._family, *remote)
                accepted.adopt(handle, present(self._family, *local), peer)
                self.sync_ready()
                self._after_call()
                return accepted, peer
            if made != _WOULD_BLOCK:
                raise system_error(made)
        self.sync_ready()
        return None

    # ---- options -----------------------------------------------------------------------------

    def setsockopt(
        self, level: int, name: int, value: "int | Buffer | None", optlen: int | None = None, /
    ) -> None:
        self.check_open()
        told = self.options.set(level, name, value, optlen)
        if self.is_listener and (level, name) == FASTOPEN:
            _ports.serve_fast_open(self.stack, self.ends, self.options)
        if told is None or self.is_listener or not self.ends or self.ends[0].closed:
            return
        option, number = told
        end = self.ends[0]
        code = self.engine.set_option(end.handle, option, number, self.driver.now())
        if code < 0 and code != -Code.STALE_HANDLE:
            raise system_error(code)
        self._after_call()

    @overload
    def getsockopt(self, level: int, name: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, name: int, buflen: int, /) -> bytes: ...
    def getsockopt(self, level: int, name: int, buflen: int | None = None, /) -> int | bytes:
        self.check_open()
        return self.options.get(self, level, name, buflen or None)

    def engine_option(self, option: StreamOption) -> int | None:
        if self.is_listener or not self.ends or self.ends[0].closed:
            return None
        code, value = self.engine.get_option(self.ends[0].handle, option)
        return None if code < 0 else value

    def info(self) -> ConnectionInfo | None:
        if not self.ends or self.ends[0].closed:
            return None
        info = self.engine.info(self.ends[0].handle)
        return None if isinstance(info, int) else info

    def is_listening(self) -> bool:
        return self.is_listener

    def take_error(self) -> int:
        if not self.is_listener and self.ends and self.ends[0].error:
            error, self.ends[0].error = self.ends[0].error, 0
            return errno_of(error)
        return 0

    # ---- as a non-blocking socket.socket -----------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = self.try_recv(bufsize, flags)
        return _would_block() if data is None else data

    def recv_into(self, buffer: "Buffer", nbytes: int = 0, flags: int = 0) -> int:
        count = self.try_recv_into(buffer, nbytes, flags)
        return _would_block() if count is None else count

    def send(self, data: "Buffer", flags: int = 0, /) -> int:
        count = self.try_send(data, flags)
        return _would_block() if count is None else count

    def accept(self) -> tuple["RawSocket", SockName]:
        made = self.try_accept()
        return _would_block() if made is None else made

    def connect(self, address: Any, /) -> None:
        """Begins to: `BlockingIOError` (EINPROGRESS), unless the SYN waits for data (RFC 7413)."""
        if not self.start_connect(address).connected:
            raise refuse(errno.EINPROGRESS)

    def connect_ex(self, address: Any, /) -> int:
        try:
            end = self.start_connect(address)
        except OSError as exc:
            return exc.errno or errno.EIO
        return 0 if end.connected else errno.EINPROGRESS

    def sendto(self, data: "Buffer", *args: Any) -> int:
        """With MSG_FASTOPEN: connect, and the data with the SYN where a cookie is known.

        Else it is `send`: a connected socket ignores the address, as the kernel's does for TCP.
        """
        flags = int(args[0]) if len(args) > 1 else 0
        if flags & MSG_FASTOPEN:
            end = self.start_connect(args[-1], fast_open=True)
            if not end.connected:
                raise refuse(errno.EINPROGRESS)
            flags &= ~MSG_FASTOPEN
        return self.send(data, flags)

    def get_inheritable(self) -> bool:
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        if inheritable:
            raise no_descriptor("to pass on")

    def detach(self) -> int:
        raise no_descriptor("to detach")

    def dup(self) -> "RawSocket":
        raise no_descriptor("to duplicate")


def no_descriptor(purpose: str) -> OSError:
    return refuse(errno.EOPNOTSUPP, f"a usertcp socket has no kernel descriptor {purpose}")
