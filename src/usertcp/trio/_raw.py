"""RawSocket, the one without I/O: a non-blocking TCP socket of a stack as a `socket.socket`.

    fresh -> bind -> Claim -> listen -> one endpoint per address of the engine
    fresh -> [bind ->] start_connect -> an endpoint: connecting, connected, dead
    accept -> an endpoint, connected

A `socket.socket` only for `isinstance`: the kernel knows nothing of it. `fileno()` makes a
descriptor on demand, readable when the socket is.
"""

import errno
import os
import socket
import warnings
from socket import AddressFamily, SocketKind
from threading import get_ident
from typing import Any, NoReturn, Self

import trio

from usertcp._address import ANY, ANY_V4, text_of
from usertcp._binding import lib
from usertcp._driver import Driver  # noqa: TC001 a block of its own for one annotation is too much
from usertcp._errors import Code
from usertcp._sockopts import (
    BIND_NO_PORT,
    FASTOPEN_CONNECT,
    REUSEADDR,
    REUSEPORT,
    V6ONLY,
    Options,
    refuse,
)
from usertcp._stack import Endpoint, Engine
from usertcp.stacks import Stack
from usertcp.trio import _ports
from usertcp.trio._endpoint import SocketEndpoint
from usertcp.trio._names import (
    SockName,
    connect_error,
    errno_of,
    numeric,
    present,
    system_error,
    wildcard,
)

MAX_BACKLOG = 65536


class SocketState(socket.socket):
    """Names, options, beginning and end of a socket. `RawSocket` adds the I/O."""

    __slots__ = (
        "_claim", "_error", "_family", "_fd", "_is_closed", "_remote", "_shut_rd", "_shut_wr",
        "_thread", "driver", "ends", "engine", "is_listener", "local", "options", "stack",
    )  # fmt: skip

    def __init__(self, stack: Stack, family: int, options: Options | None = None) -> None:
        # Not super().__init__: there is no descriptor to make.
        self.stack: Stack = stack
        self.driver: Driver = stack.driver
        self.engine: Engine = stack.engine
        self.options: Options = Options(options)
        self.ends: list[SocketEndpoint] = []
        """Of a connection one; of a listener one per address of the engine; else none."""
        self.is_listener: bool = False
        self.local: SockName = present(family, text_of(wildcard(family)), 0)
        self._family = AddressFamily(family)
        self._claim: _ports.Claim | None = None
        self._remote: SockName | None = None
        self._is_closed = False
        self._shut_rd = self._shut_wr = False
        self._error = 0
        self._fd = -1
        self._thread = get_ident()

    @property
    def family(self) -> AddressFamily:
        return self._family

    @property
    def type(self) -> SocketKind:
        return SocketKind.SOCK_STREAM

    @property
    def proto(self) -> int:
        return socket.IPPROTO_TCP

    @property
    def timeout(self) -> float | None:
        return 0.0

    def gettimeout(self) -> float | None:
        return 0.0

    def getblocking(self) -> bool:
        return False

    def settimeout(self, value: float | None, /) -> None:
        if value != 0:
            raise refuse(errno.EOPNOTSUPP, "a usertcp socket never blocks")

    def setblocking(self, flag: bool, /) -> None:
        self.settimeout(None if flag else 0)

    def _after_call(self) -> None:
        shared = self.engine.shared
        if shared[1] or shared[0] < self.driver.armed:
            self.driver.after_call()

    # ---- whether something can be done -------------------------------------------------------

    def is_closed(self) -> bool:
        """By its user, or with its stack."""
        return self._is_closed or any(end.closed and not end.link_failed for end in self.ends)

    def check_open(self) -> None:
        if self.is_closed():
            raise refuse(errno.EBADF)

    def connection(self, otherwise: int = errno.ENOTCONN) -> SocketEndpoint:
        """Its endpoint; raises EBADF, ENETDOWN, or `otherwise` when there is no connection."""
        if self._is_closed:
            raise refuse(errno.EBADF)
        if self.is_listener or not self.ends:
            raise refuse(otherwise)
        end = self.ends[0]
        if end.closed:
            raise system_error(Code.LINK_DOWN) if end.link_failed else refuse(errno.EBADF)
        return end

    def is_readable(self) -> bool:
        """Whether recv or accept would not wait; what is not connected never does."""
        if self.is_listener and not self._is_closed:
            return any(end.closed or self._queue(end) > 0 for end in self.ends)
        if self._is_closed or not self.ends or self.ends[0].closed or self._shut_rd:
            return True
        end = self.ends[0]
        return self.engine.peek(end.handle, self.driver.now()) != -Code.WOULD_BLOCK

    def _queue(self, end: Endpoint) -> int:
        raw = self.engine._info  # noqa: SLF001
        lib.ut_get_info(self.engine._stack, end.handle, raw)  # noqa: SLF001
        return int(raw.accept_queue)

    # ---- bind, listen, connect ---------------------------------------------------------------

    def bind(self, address: Any, /) -> None:
        """Of a resolved address. `OSError`: EINVAL when bound already, EADDRINUSE, ..."""
        self.check_open()
        packed, port = numeric(self._family, address)
        if self._claim is not None or self.ends:
            raise refuse(errno.EINVAL)
        v6only = self._v6only()
        if v6only and ":" not in text_of(packed):
            raise refuse(errno.EINVAL)
        reuse = bool(self.options.remembered.get(REUSEADDR))
        claim = _ports.bind_address(self.stack, packed, v6only=v6only, reuse=reuse)
        claim.share = bool(self.options.remembered.get(REUSEPORT))
        if port or not self.options.remembered.get(BIND_NO_PORT):
            _ports.choose_port(self.stack, claim, port)
        self._claim = claim
        self.local = present(self._family, text_of(packed), claim.port)

    def _v6only(self) -> bool:
        return self._family == socket.AF_INET6 and bool(self.options.remembered.get(V6ONLY))

    def listen(self, backlog: int = 128, /) -> None:
        """Also for a socket that is not bound: on any address, a free port."""
        self.check_open()
        if self.is_listener:
            return  # the kernel would change the backlog
        if self.ends:
            raise refuse(errno.EINVAL)
        if self._claim is None:
            self.bind(self.local)
        claim = self._claim
        assert claim is not None
        if claim.port == 0:
            _ports.choose_port(self.stack, claim, 0)
            self.local = (self.local[0], claim.port, *self.local[2:])
        _ports.listens(self.stack, claim)
        most = MAX_BACKLOG if backlog < 0 else min(backlog, MAX_BACKLOG)
        for packed in claim.addresses:
            code, handle = self.engine.listen(
                packed, claim.port, most, self.driver.now(), share=claim.share
            )
            if code < 0:
                self._close_ends()
                claim.is_listening = False
                raise system_error(code)
            self._add_end(SocketEndpoint(self.engine, handle))
        self.is_listener = True
        _ports.serve_fast_open(self.stack, self.ends, self.options)
        self._after_call()

    def start_connect(self, address: Any, *, fast_open: bool = False) -> SocketEndpoint:
        """Sends SYN, or holds it back for data (`fast_open`), and is connected at once; else the
        endpoint tells the rest. `OSError` when that cannot be.
        """
        self.check_open()
        packed, port = numeric(self._family, address)
        if self.ends:
            connecting = not self.is_listener and not self.ends[0].connected
            raise refuse(errno.EALREADY if connecting else errno.EISCONN)
        if self._v6only() and ":" not in text_of(packed):
            raise connect_error(errno.ENETUNREACH, address)
        claim = self._claim
        source = claim.packed if claim else wildcard(self._family)
        if source in (ANY, ANY_V4):  # the engine's wildcard is of the target's family
            source = ANY_V4 if ":" not in text_of(packed) else ANY
        fast_open = fast_open or bool(self.options.remembered.get(FASTOPEN_CONNECT))
        local, now = (source, claim.port if claim else 0), self.driver.now()
        code, handle = self.engine.connect(local, (packed, port), now, fast_open=fast_open)
        if code < 0:
            raise connect_error(errno_of(code), address)
        end = SocketEndpoint(self.engine, handle)
        end.connected = code > 0
        self._add_end(end)
        self.local = present(self._family, *self.engine.local_endpoint(handle))
        self._remote = present(self._family, text_of(packed), port)
        for option, value in self.options.for_connection():
            self.engine.set_option(handle, option, value, self.driver.now())
        self._after_call()
        return end

    def connect_failed(self, end: SocketEndpoint, address: Any) -> NoReturn:
        """Back to an unconnected socket, and the reason."""
        code = errno_of(end.error or Code.ABORTED)
        if end.link_failed:
            code = errno.ENETDOWN
        self._close_ends()
        self._remote = None
        raise connect_error(code, address)

    def adopt(self, handle: int, local: SockName, remote: SockName) -> None:
        """Makes a fresh socket that of an accepted connection."""
        self._add_end(SocketEndpoint(self.engine, handle, accepted=True))
        self.local, self._remote = local, remote
        for option, value in self.options.for_connection():
            self.engine.set_option(handle, option, value, self.driver.now())

    def _add_end(self, end: SocketEndpoint) -> None:
        end.ready = self._fd
        self.ends.append(end)

    # ---- shutdown, close ---------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """`OSError`: ENOTCONN without a living connection."""
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise refuse(errno.EINVAL)
        if self.is_listener and how != socket.SHUT_WR:
            self.check_open()
            self._close_ends()
            self.is_listener = False
            return
        end = self.connection()
        if not end.connected or (end.ended and end.error):
            raise refuse(errno.ENOTCONN)
        if how != socket.SHUT_RD and not self._shut_wr:
            self._shut_wr = True
            self.engine.shutdown(end.handle, self.driver.now())
            self._wake(end.writer)
        if how != socket.SHUT_WR:
            self._shut_rd = True
            self._wake(end.reader)
            self.sync_ready()
        self._after_call()

    @staticmethod
    def _wake(waiter: Any) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def close(self) -> None:
        """What was accepted is delivered, then FIN; RST when received bytes were left unread."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            for end in self.ends:
                end.ready = -1
            try:
                trio.lowlevel.notify_closing(fd)
            except RuntimeError:  # outside a run nobody waits
                pass
            os.close(fd)
        self._close_ends()

    def _close_ends(self) -> None:
        ends, self.ends = self.ends, []
        for end in ends:
            connecting = not self.is_listener and not end.connected
            end.close(self.driver.now(), abort=connecting)
        if self._claim is not None and (self._is_closed or self.is_listener):
            _ports.release(self.stack, self._claim)
            self._claim = None
        if ends and not self.engine.freed:
            self._after_call()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "ends", None) or all(end.closed for end in self.ends):
            if getattr(self, "_fd", -1) >= 0:
                os.close(self._fd)
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if get_ident() == self._thread:
            self.close()
        else:  # collected by another thread: the loop's closes
            engine, now, ends = self.engine, self.driver.now, self.ends

            def close() -> None:
                for end in ends if not engine.freed else ():
                    end.close(now())

            self.driver.call_in_loop(close)
            if self._fd >= 0:
                os.close(self._fd)

    # ---- names, descriptor -------------------------------------------------------------------

    def getsockname(self) -> SockName:
        if self._is_closed:
            raise refuse(errno.EBADF)
        return self.local

    def getpeername(self) -> SockName:
        if self._is_closed:
            raise refuse(errno.EBADF)
        if self._remote is None or not self.ends or not self.ends[0].connected:
            raise refuse(errno.ENOTCONN)
        return self._remote

    def fileno(self) -> int:
        """A descriptor that is readable when recv or accept would not wait; -1 once closed.

        For `select` and the like only, and always writable. Made when this is called first.
        """
        if self.is_closed():
            return -1
        if self._fd < 0:
            self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            for end in self.ends:
                end.ready = self._fd
            if self.is_readable():
                os.eventfd_write(self._fd, 1)
        return self._fd

    def sync_ready(self) -> None:
        """After something was taken: the descriptor as readable as the socket."""
        if self._fd < 0:
            return
        if self.is_readable():
            os.eventfd_write(self._fd, 1)
            return
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            pass

    def __repr__(self) -> str:
        if self._is_closed:
            return "<usertcp socket closed>"
        peer = f", raddr={self._remote}" if self._remote else ""
        return f"<usertcp socket family={self._family.name}, laddr={self.local}{peer}>"
