"""What a socket is between its calls: names, options, who waits for it, its descriptor, its end."""

import errno
import os
import warnings
from socket import AF_INET, AF_INET6
from threading import get_ident
from typing import TYPE_CHECKING, Any

from usertcp._errors import os_error
from usertcp._info import ConnectionInfo
from usertcp._stack import Endpoint, Waiter
from usertcp.asyncio import _names, _socket_options
from usertcp.asyncio._calls import WOULD_BLOCK, Told, Waker, gone, settle
from usertcp.asyncio._descriptorless import Descriptorless, closed_error
from usertcp.asyncio._names import Name
from usertcp.asyncio._ready import Readiness

if TYPE_CHECKING:
    from usertcp.asyncio._options import Key
    from usertcp.stacks import Stack


class SocketState(Descriptorless):
    """See `Socket`, which adds the calls."""

    __slots__ = ("_backlog", "_bound", "_closed_reading", "_end", "_ends", "_local", "_options",
                 "_reader", "_readiness", "_remote", "_stack", "_thread", "_token",
                 "_writer")  # fmt: skip

    def __init__(
        self,
        family: int = AF_INET,
        type: int = -1,  # noqa: A002
        proto: int = 0,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._stack: Stack | None = None
        self._end: Endpoint | None = None
        self._ends: list[Endpoint] = []
        self._bound: tuple[bytes, int] | None = None
        self._local: Name = _names.name_of(
            self._family, "::" if family == AF_INET6 else "0.0.0.0", 0
        )
        self._remote: Name | None = None
        self._options: dict[Key, int] = {}
        self._readiness: Readiness | None = None
        self._reader: Told | None = None
        self._writer: Told | None = None
        self._closed_reading = False
        self._backlog = 0
        self._token: Any = None  # a kernel's socket, or what stands for one
        """A kernel socket that stands for this one, kept open as long."""
        self._thread = get_ident()

    # ---- names -----------------------------------------------------------------------------------

    @property
    def stack(self) -> "Stack | None":
        """The stack it belongs to, once it is connecting or listening."""
        return self._stack

    @property
    def endpoint(self) -> Endpoint:
        """Of the connection; `OSError` when there is none or it is gone."""
        end = self._end
        if self._is_closed:
            raise closed_error()
        if end is None or self._remote is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        if end.closed:
            raise gone(end)
        return end

    def getsockname(self) -> Name:
        if self._is_closed:
            raise closed_error()
        return self._local

    def getpeername(self) -> Name:
        if self._is_closed:
            raise closed_error()
        if self._remote is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._remote

    def info(self) -> ConnectionInfo:
        """A snapshot of the connection or listener; `OSError` when there is none."""
        if self._is_closed or self._end is None:
            raise closed_error() if self._is_closed else OSError(errno.ENOTCONN, "not connected")
        if self._end.closed:
            raise gone(self._end)
        info = self._end.engine.info(self._end.handle)
        if isinstance(info, int):
            raise os_error(info)
        return info

    def _settle(self) -> None:
        assert self._stack is not None
        settle(self._stack.driver)

    def _now(self) -> int:
        assert self._stack is not None
        return self._stack.driver.now()

    # ---- options ---------------------------------------------------------------------------------

    def setsockopt(self, level: int, optname: int, value: Any, _optlen: Any = None, /) -> None:
        if self._is_closed:
            raise closed_error()
        _socket_options.set_option(self, (level, optname), value)

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        if self._is_closed:
            raise closed_error()
        return _socket_options.get_option(self, (level, optname), buflen)

    @property
    def listening(self) -> bool:
        return bool(self._ends) and self._backlog > 0

    # ---- who waits -------------------------------------------------------------------------------

    def set_reader(self, told: Told | None) -> None:
        """`told(None)` is called in each turn that brings data, the end, an error or a connection.

        What has come before is not told again: try first.
        """
        self._reader = told
        if self._readiness is not None:
            self._readiness.callback = told
        else:
            waker: Waiter | None = None if told is None else Waker(told)
            for end in self._ends:
                end.reader = waker

    def set_writer(self, told: Told | None) -> None:
        """`told(None)` is called when a send that was refused may go on, or a connect has ended."""
        self._writer = told
        waker: Waiter | None = None if told is None else Waker(told)
        for end in self._ends:
            end.writer = waker

    def _rewire(self) -> None:
        """For endpoints that are new."""
        if self._readiness is not None:
            waker: Waiter = Waker(self._readiness.told)
            for end in self._ends:
                end.reader = waker
            self._show()
        else:
            self.set_reader(self._reader)
        self.set_writer(self._writer)

    def fileno(self) -> int:
        """A descriptor to poll for reading, made when first asked for; -1 once closed."""
        if self._is_closed:
            return -1
        if self._readiness is None:
            self._readiness = Readiness(self._reader)
            self._rewire()
        return self._readiness.fd

    def _show(self) -> None:
        """Brings the descriptor in step with the socket."""
        if self._readiness is not None:
            self._readiness.show(self._is_readable())

    show = _show

    def _is_readable(self) -> bool:
        assert self._stack is not None or not self._ends
        for end in self._ends:
            if end.closed:
                return True
            if self._remote is None:
                info = end.engine.info(end.handle)
                if isinstance(info, int) or info.accept_queue:
                    return True
            elif end.engine.peek(end.handle, self._now()) != WOULD_BLOCK:
                return True
        return False

    # ---- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """What was sent is still delivered, then FIN; unread data makes it a reset. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = self._closed = True
        ends, self._ends, self._end = self._ends, [], None
        self._reader = self._writer = None
        for end in ends:
            end.reader = end.writer = None
            if not end.closed and not end.engine.freed:
                end.close(self._now())
        if ends:
            self._settle()
        if self._readiness is not None:
            self._readiness.close()
            self._readiness = None
        token, self._token = self._token, None
        if token is not None:
            token.close()

    def _close_elsewhere(self) -> None:
        """As `close`, from a thread that is not the loop's."""
        stack, ends = self._stack, self._ends
        if stack is None or not ends:
            return
        engine, now = stack.engine, stack.driver.now

        def close() -> None:
            for end in ends:
                if not engine.freed:
                    end.close(now())

        stack.driver.call_in_loop(close)

    def __repr__(self) -> str:
        words = [f"{type(self).__name__} {self._family.name}"]
        if self._is_closed:
            words.append("closed")
        else:
            words.append(f"{self._local}")
            if self._remote is not None:
                words.append(f"-> {self._remote}")
            elif self._ends:
                words.append("listening" if self._backlog else "connecting")
        return f"<usertcp.asyncio.{' '.join(words)}>"

    def __del__(self) -> None:
        if getattr(self, "_is_closed", True):
            return
        if any(not end.closed for end in self._ends):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if get_ident() == self._thread:
            self.close()
        else:
            self._close_elsewhere()
