"""Transport: a connection of a stack as `asyncio.Transport`.

    turn -> endpoint -> Waker -> _on_readable -> recv -> protocol.data_received

in one go: no future, no descriptor, no trip through the loop. The protocol is called in the context
in which the transport was made, as asyncio does it. Paused, nothing is taken from the ring, so the
window closes.
"""

import asyncio
import warnings
from asyncio import constants, trsock
from collections.abc import Mapping
from contextvars import copy_context
from threading import get_ident
from typing import TYPE_CHECKING, Any

from usertcp._errors import os_error
from usertcp.asyncio._calls import END_OF_STREAM, WOULD_BLOCK, gone, receive_into
from usertcp.asyncio._socket import Socket
from usertcp.asyncio._writing import WritingTransport, logger

if TYPE_CHECKING:
    from usertcp.asyncio._server import Server

CHUNK = 256 * 1024  # as asyncio's transports
READS = 4  # in one turn and for one connection; then it is others' turn


class Transport(WritingTransport, asyncio.Transport):
    """Made by the event loop. Extra information beside asyncio's: `usertcp.connection` is a
    `ConnectionInfo` of now, `usertcp.stack` the stack.
    """

    _start_tls_compatible = True  # asyncio's start_tls asks for it
    _sendfile_compatible = constants._SendfileMode.FALLBACK  # noqa: SLF001

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: Socket,
        protocol: asyncio.BaseProtocol,
        waiter: "asyncio.Future[None] | None" = None,
        *,
        extra: Mapping[str, Any] | None = None,
        server: "Server | None" = None,
    ) -> None:
        self._sock = None  # for __del__, if what follows fails
        super().__init__(loop, sock, extra or {}, copy_context())
        self._extra["socket"] = trsock.TransportSocket(sock)
        self._extra["sockname"] = sock.getsockname()
        self._extra["peername"] = sock.getpeername()
        self._thread = get_ident()
        self._paused = False
        self._started = False
        self._ended = False  # the peer's FIN was told
        self._again = False  # a reading is under way in the loop
        self._server = server
        self.set_protocol(protocol)
        if server is not None:
            server._attach(self)  # noqa: SLF001
        loop.call_soon(protocol.connection_made, self, context=self._context)
        loop.call_soon(self._start, waiter, context=self._context)

    def _start(self, waiter: "asyncio.Future[None] | None") -> None:
        """connection_made has been called: reading begins, and who waits for us goes on."""
        self._started = True
        if self._reading():
            self._resume()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # ---- what asyncio asks for -------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol: Any = protocol
        buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._read_once = self._read_buffer if buffered else self._read_data

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "usertcp.stack" and self._sock is not None:
            return self._sock.stack
        if name == "usertcp.connection" and self._sock is not None:
            try:
                return self._sock.info()
            except OSError:
                return default
        return super().get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._closing and not self._paused

    def _reading(self) -> bool:
        return not (self._paused or self._closing or self._ended) and self._started

    def pause_reading(self) -> None:
        if not self.is_reading():
            return
        self._paused = True
        if self._sock is not None:
            self._sock.set_reader(None)

    def resume_reading(self) -> None:
        if self._closing or not self._paused:
            return
        self._paused = False
        if self._reading():
            self._resume()

    def _resume(self) -> None:
        assert self._sock is not None
        self._sock.set_reader(self._on_readable)
        if self._end.readable or self._end.closed:
            self._read_soon()

    def _read_soon(self) -> None:
        if not self._again and not self._loop.is_closed():
            self._again = True
            self._loop.call_soon(self._read_again, context=self._context)

    def _read_again(self) -> None:
        self._again = False
        if self._reading() and (self._end.readable or self._end.closed):
            self._on_readable_in_context()

    # ---- reading ---------------------------------------------------------------------------------

    def _on_readable(self, _: None) -> None:
        if self._again or not self._reading():
            return
        if self._end.closed:  # told by a close, not by a turn: somebody may be running
            self._read_soon()
            return
        try:
            self._context.run(self._on_readable_in_context)
        except Exception as exc:
            self._fatal_error(exc, "Fatal read error on socket transport")

    def _on_readable_in_context(self) -> None:
        if self._end.closed:
            self._fatal_error(gone(self._end), "The stack under the transport is gone")
            return
        for _ in range(READS):
            if not self._read_once():
                break
            if not self._reading():
                break
        else:
            self._read_soon()
        if self._sock is not None:
            self._sock.show()

    def _read_data(self) -> bool:
        """One piece for the protocol. True: there may be more."""
        end = self._end
        data = self._engine.recv(end.handle, CHUNK, self._now())
        if isinstance(data, int):
            return self._read_failed(data)
        drained = self._engine.drained
        if drained:
            end.readable = False
        self._after_call()
        try:
            self._protocol.data_received(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.data_received() call failed.")
            return False
        return not drained

    def _read_buffer(self) -> bool:
        """As `_read_data`, into the protocol's own memory."""
        try:
            place = self._protocol.get_buffer(-1)
            if not len(place):
                raise RuntimeError("get_buffer() returned an empty buffer")  # noqa: TRY301
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.get_buffer() call failed.")
            return False
        end = self._end
        if self._conn_lost or end.closed:
            return False
        size = memoryview(place).nbytes
        try:
            count = receive_into(self._engine, end.handle, place, self._now())
        except (BufferError, ValueError, TypeError) as exc:
            self._fatal_error(exc, "Fatal read error on socket transport")
            return False
        if count < 0:
            return self._read_failed(count)
        drained = count < size
        if drained:
            end.readable = False
        self._after_call()
        try:
            self._protocol.buffer_updated(count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.buffer_updated() call failed.")
            return False
        return not drained

    def _read_failed(self, code: int) -> bool:
        if code == WOULD_BLOCK:
            self._end.readable = False
        elif code == END_OF_STREAM:
            self._on_eof()
        else:
            self._fatal_error(os_error(code), "Fatal read error on socket transport")
        return False

    def _on_eof(self) -> None:
        self._ended = True
        if self._sock is not None:
            self._sock.set_reader(None)
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()

    # ---- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """No more is received; what was written goes out, then FIN, then connection_lost(None)."""
        if self._closing:
            return
        self._closing = True
        if self._sock is not None:
            self._sock.set_reader(None)
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        """Drops what the stack has not taken. What it has taken is still delivered, then FIN."""
        self._force_close(None)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=exc)
        elif self._loop is not None:
            self._loop.call_exception_handler(
                {
                    "message": message,
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
        self._force_close(exc)

    def _force_close(self, exc: BaseException | None) -> None:
        """Also called by `asyncio.sslproto`."""
        if self._conn_lost:
            return
        self._drop_buffer()
        if not self._closing:
            self._closing = True
            if self._sock is not None:
                self._sock.set_reader(None)
        self._lose(exc)

    def _lose(self, exc: BaseException | None) -> None:
        """`connection_lost` soon, once."""
        if self._conn_lost:
            return
        self._conn_lost = 1
        self._loop.call_soon(self._call_connection_lost, exc, context=self._context)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        try:
            self._protocol.connection_lost(exc)
        finally:
            sock, self._sock = self._sock, None
            if sock is not None:
                sock.close()
            server, self._server = self._server, None
            if server is not None:
                server._detach(self)  # noqa: SLF001
            self._protocol = None
            self._loop = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        state = "closed" if self._sock is None else "closing" if self._closing else "open"
        local, remote = self._extra.get("sockname"), self._extra.get("peername")
        return f"<usertcp.asyncio.Transport {local} -> {remote} {state} unsent={self._size}>"

    def __del__(self) -> None:
        sock = self._sock
        if sock is None:
            return
        warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)
        if get_ident() == self._thread:
            sock.close()
        else:
            sock._close_elsewhere()  # noqa: SLF001
            sock._ends = []  # noqa: SLF001 - it need not warn too
        if self._server is not None:
            self._server._detach(self)  # noqa: SLF001
