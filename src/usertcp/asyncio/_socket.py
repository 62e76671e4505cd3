"""Socket: what asyncio, and programs that ask a transport for its socket, take for a kernel's.

Its life: made -> bound -> connecting -> connected, or made -> bound -> listening; closed. The stack
is known from the connect or listen on. All calls return at once; who waits leaves a function with
`set_reader` or `set_writer`, which a turn of the driver calls.
"""

import errno
import os
from collections.abc import Iterable
from socket import AF_INET, AF_INET6, SHUT_RD, SHUT_RDWR, SHUT_WR
from typing import TYPE_CHECKING, Any

from usertcp._address import ANY, ANY_V4, family_of, is_loopback, text_of
from usertcp._binding import Bytes
from usertcp._errors import Code, code_of, exception, os_error
from usertcp._stack import Endpoint
from usertcp.asyncio import _names, _socket_options
from usertcp.asyncio._calls import (
    END_OF_STREAM,
    WOULD_BLOCK,
    gone,
    receive_into,
    settle,
)
from usertcp.asyncio._descriptorless import blocking_error, closed_error
from usertcp.asyncio._names import Name
from usertcp.asyncio._options import FASTOPEN_CONNECT, MSG_FASTOPEN, REUSEPORT, Key
from usertcp.asyncio._socket_state import SocketState

if TYPE_CHECKING:
    from usertcp.stacks import Stack

_LISTEN_TRIES = 10


class Socket(SocketState):
    """A TCP socket of a usertcp stack; `socket.socket`'s methods, never blocking.

    `fileno()` makes a descriptor that is readable when the socket is, for programs that poll; it is
    no socket, and cannot be read from or sent on. What needs a kernel socket is EOPNOTSUPP.
    """

    __slots__ = ()

    @classmethod
    def accepted(
        cls, stack: "Stack", endpoint: Endpoint, local: Name, remote: Name, options: dict[Key, int]
    ) -> "Socket":
        """For a connection that the stack has accepted."""
        made = cls(AF_INET6 if ":" in local[0] else AF_INET)
        made._stack = stack
        made._end = endpoint
        made._ends = [endpoint]
        made._local, made._remote = local, remote
        made._options = dict(options)
        return made

    # ---- beginning -------------------------------------------------------------------------------

    def bind(self, address: Any, /) -> None:
        """Takes note: that the stack has the address, and the port is free, shows at listen() or
        connect().
        """
        if self._is_closed:
            raise closed_error()
        if self._bound is not None or self._ends:
            raise OSError(errno.EINVAL, "the socket is bound already")
        self._bound = _names.pack_name(self._family, address, passive=True)
        self._local = self._named(text_of(self._bound[0]), self._bound[1])

    def _named(self, host: str, port: int) -> Name:
        return _names.name_of(self._family, host, port)

    def attach(self, stack: "Stack") -> None:
        """The stack on which it will connect or listen."""
        if self._is_closed:
            raise closed_error()
        if self._stack is None:
            stack.check_open()
            self._stack = stack

    def _own_stack(self, what: str) -> "Stack":
        if self._is_closed:
            raise closed_error()
        if self._stack is None:
            from usertcp.asyncio._opening import running_stack

            self.attach(running_stack(what))
        assert self._stack is not None
        return self._stack

    def begin_connect(self, packed: bytes, port: int, *, fast_open: bool = False) -> Endpoint:
        """Sends SYN, or holds it back (`fast_open`, TCP_FASTOPEN_CONNECT). How it ends: see
        `finish_connect`.
        """
        stack = self._own_stack("connect()")
        if self._ends:
            number = errno.EISCONN if self._remote else errno.EALREADY
            raise OSError(number, os.strerror(number))
        engine, (source, local_port) = stack.engine, self._bound or (b"", 0)
        if not source.strip(b"\0") or source == ANY_V4 or is_loopback(source):
            source = ANY_V4 if family_of(packed) == AF_INET else ANY
        fast_open = fast_open or bool(_socket_options.remembered(self, FASTOPEN_CONNECT))
        code, handle = engine.connect(
            (source, local_port), (packed, port), stack.driver.now(), fast_open=fast_open
        )
        if code < 0:
            about = f"connect to {text_of(packed)} port {port}"
            if source not in (ANY, ANY_V4):
                about += f" from {text_of(source)} port {local_port}"
            if code_of(code) is Code.BAD_DESTINATION:
                about += " (of this host or no host's; no packet leaves for it on a link)"
            raise exception(code, about)
        self._end = end = Endpoint(engine, handle)
        end.connected = code > 0  # the SYN waits for data: RFC 7413
        self._ends = [end]
        self._rewire()
        self._settle()
        return end

    def finish_connect(self, packed: bytes, port: int) -> bool:
        """True: connected; False: not yet. Raises why not."""
        end = self._end
        assert end is not None
        assert self._stack is not None
        if end.closed:
            raise gone(end)
        if end.connected:
            local = end.engine.local_endpoint(end.handle)
            self._local = self._named(*local)
            self._remote = self._named(text_of(packed), port)
            for key, value in self._options.items():
                _socket_options.apply(self, key, value)
            return True
        if not end.ended:
            return False
        self._end, self._ends = None, []
        end.close(self._now())
        self._settle()
        raise exception(end.error or Code.ABORTED, f"connect to {text_of(packed)} port {port}")

    def connect(self, address: Any, /) -> None:
        """Begins, raises `BlockingIOError` (EINPROGRESS); `loop.sock_connect` waits for the end."""
        packed, port = _names.pack_name(self._family, address, passive=False)
        if self._end is None or self._remote is not None:
            self.begin_connect(packed, port)
        if not self.finish_connect(packed, port):
            raise BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))

    def connect_ex(self, address: Any, /) -> int:
        try:
            self.connect(address)
        except OSError as exc:
            return exc.errno or errno.EIO
        return 0

    def set_only_v6(self, wanted: int = 1) -> None:
        """`IPV6_V6ONLY`, of an IPv6 socket."""
        if self._family == AF_INET6:
            self._options[_socket_options.V6ONLY] = wanted

    def check_bound(self, stack: "Stack") -> list[bytes]:
        """The engine's addresses that listening would take; `OSError` for one that is not there."""
        packed = (self._bound or (ANY_V4 if self._family == AF_INET else ANY, 0))[0]
        only_v6 = bool(_socket_options.remembered(self, _socket_options.V6ONLY))
        return _names.listen_addresses(stack, packed, only_v6=only_v6)

    def listen(self, backlog: int = 128, /) -> None:
        """On the bound address, any free port when that is 0. Again: nothing."""
        stack = self._own_stack("listen()")
        if self._remote is not None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self._ends:
            return
        self._backlog = backlog = max(1, min(backlog, 65536))
        addresses = self.check_bound(stack)
        wanted = self._bound[1] if self._bound else 0
        for left in reversed(range(_LISTEN_TRIES)):
            try:
                self._ends, port = self._listen_on(stack, addresses, wanted)
                break
            except OSError as exc:  # free on the first address, taken on another one
                if exc.errno != errno.EADDRINUSE or wanted or len(addresses) == 1 or not left:
                    raise
        self._end = self._ends[0]
        host = self._local[0]
        if self._bound is not None and is_loopback(self._bound[0]):
            host = text_of(addresses[0])
        self._local = self._named(host, port)
        self._rewire()

    def _listen_on(
        self, stack: "Stack", addresses: list[bytes], port: int
    ) -> tuple[list[Endpoint], int]:
        engine, now, ends = stack.engine, stack.driver.now(), list[Endpoint]()
        share = bool(_socket_options.remembered(self, REUSEPORT))
        for packed in addresses:
            code, handle = engine.listen(packed, port, self._backlog, now, share=share)
            if code < 0:
                for end in ends:
                    end.close(now)
                raise exception(code, f"listen on {text_of(packed)} port {port}")
            ends.append(Endpoint(engine, handle))
            port = engine.local_endpoint(handle)[1]
        _socket_options.serve_fast_open(self, ends)
        settle(stack.driver)
        return ends, port

    # ---- accepting -------------------------------------------------------------------------------

    def accept(self) -> "tuple[Socket, Name]":
        if self._is_closed:
            raise closed_error()
        if not self.listening:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        stack = self._stack
        assert stack is not None
        for end in self._ends:
            if end.closed:
                raise gone(end)
            made = stack.engine.accept(end.handle, stack.driver.now())
            if isinstance(made, tuple):
                settle(stack.driver)
                handle, local, remote = made
                family = AF_INET6 if ":" in local[0] else AF_INET
                socket = Socket.accepted(
                    stack,
                    Endpoint(stack.engine, handle, readable=True),
                    _names.endpoint_name(family, local),
                    _names.endpoint_name(family, remote),
                    self._options,
                )
                for key, value in self._options.items():
                    _socket_options.apply(socket, key, value)
                self._show()
                return socket, socket.getpeername()
            end.readable = False
            if made != WOULD_BLOCK:
                raise os_error(made, "accept")
        self._show()
        raise blocking_error()

    # ---- data ------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        end = self.endpoint
        self._no_flags(flags)
        if bufsize <= 0 or self._closed_reading:
            if bufsize < 0:
                raise ValueError("negative buffersize in recv")
            return b""
        got = end.engine.recv(end.handle, bufsize, self._now())
        self._after_read()
        if isinstance(got, bytes):
            return got
        self._check_end(got)
        return b""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        end = self.endpoint
        self._no_flags(flags)
        view = memoryview(buffer).cast("B")
        if nbytes:
            view = view[:nbytes]
        if not len(view) or self._closed_reading:
            return 0
        got = receive_into(end.engine, end.handle, view, self._now())
        self._after_read()
        if got < 0:
            self._check_end(got)
            return 0
        return got

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        return self.recv(bufsize, flags), None

    @staticmethod
    def _check_end(code: int) -> None:
        """Nothing at the end of the stream; else raises what keeps from receiving."""
        if code == WOULD_BLOCK:
            raise blocking_error()
        if code != END_OF_STREAM:
            raise os_error(code)

    @staticmethod
    def _no_flags(flags: int) -> None:
        if flags & ~(0x4000 | 0x40):  # MSG_NOSIGNAL, MSG_DONTWAIT: as ever
            raise OSError(errno.EOPNOTSUPP, "usertcp sockets know no flags (MSG_PEEK and the like)")

    def _after_read(self) -> None:
        self._settle()
        self._show()

    def send(self, data: Bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        end = self.endpoint
        self._no_flags(flags)
        exported = end.engine.export(data)
        taken = end.engine.send_from(end.handle, exported, 0, self._now())
        self._settle()
        if taken >= 0:
            return taken
        if taken == WOULD_BLOCK:
            raise blocking_error()
        raise os_error(taken)

    def sendto(self, data: Bytes, *args: Any) -> int:  # type: ignore[override]
        """With MSG_FASTOPEN: connect, and the data with the SYN where a cookie is known; else
        `BlockingIOError` (EINPROGRESS).
        """
        flags = args[0] if len(args) > 1 else 0
        if not flags & MSG_FASTOPEN:
            return super().sendto(data, *args)
        packed, port = _names.pack_name(self._family, args[-1], passive=False)
        self.begin_connect(packed, port, fast_open=True)
        if not self.finish_connect(packed, port):
            raise BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))
        return self.send(data, flags & ~MSG_FASTOPEN)

    def sendall(self, data: Bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        """As a kernel's non-blocking one: `BlockingIOError` when not all was taken."""
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self.send(view, flags) :]

    def sendmsg(self, buffers: Iterable[Any], *rest: Any) -> int:
        if any(rest):
            raise OSError(errno.EOPNOTSUPP, "usertcp sockets have no ancillary data")
        return self.send(b"".join(buffers))

    def shutdown(self, how: int, /) -> None:
        end = self.endpoint
        if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if how != SHUT_WR:
            self._closed_reading = True
        if how != SHUT_RD:
            code = end.engine.shutdown(end.handle, self._now())
            self._settle()
            if code < 0:
                raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
