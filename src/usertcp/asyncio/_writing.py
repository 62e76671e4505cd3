"""The sending half of a transport: what the stack has not taken yet, and its watermarks.

The write buffer is only what the stack's send queue had no room for, so that a drained buffer means
"all handed over"; the queue itself is bounded, so that back-pressure works.
"""

import asyncio
import logging
from asyncio import transports
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

from usertcp._binding import Bytes, Exported
from usertcp._errors import os_error
from usertcp.asyncio._calls import WOULD_BLOCK, gone
from usertcp.asyncio._socket import Socket

if TYPE_CHECKING:
    from usertcp._driver import Driver
    from usertcp._stack import Endpoint, Engine

logger = logging.getLogger("usertcp.asyncio")

WARN_AFTER = 5
"""Writes after the end of a connection that are dropped in silence."""
_GATHER = 256 * 1024


class WritingTransport(transports._FlowControlMixin):  # noqa: SLF001 - sendfile asks for it
    """See `Transport`, which adds receiving and the end."""

    _loop: asyncio.AbstractEventLoop
    _protocol_paused: bool
    _extra: dict[str, Any]

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: Socket, extra: Mapping[str, Any], ctx: Context
    ) -> None:
        super().__init__(extra, loop)
        stack = sock.stack
        assert stack is not None
        self._sock: Socket | None = sock
        self._driver: Driver = stack.driver
        self._engine: Engine = stack.engine
        self._now = stack.driver.now
        self._end: Endpoint = sock.endpoint
        self._context = ctx
        self._buffer: deque[bytes] = deque()
        self._size = 0  # bytes in _buffer that the stack has not taken
        self._head: Exported = None  # the first of them, lent to C
        self._offset = 0  # into _head
        self._eof = False
        self._closing = False
        self._conn_lost = 0

    # ---- for Transport ---------------------------------------------------------------------------

    def _fatal_error(self, exc: BaseException, message: str) -> None:
        raise NotImplementedError

    def _lose(self, exc: BaseException | None) -> None:
        raise NotImplementedError

    def _after_call(self) -> None:
        shared = self._engine.shared
        if shared[1] or shared[0] < self._driver.armed:
            self._driver.after_call()

    # ---- asyncio.WriteTransport ------------------------------------------------------------------

    def write(self, data: Bytes) -> None:
        """Gives `data` to the stack; what has no room there waits here. Never blocks."""
        if type(data) is not bytes and not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        if self._conn_lost:
            if self._conn_lost >= WARN_AFTER:
                logger.warning("a transport was written to after its connection was lost")
            self._conn_lost += 1
            return
        if self._buffer:
            self._keep(bytes(data))
        else:
            self._write_now(data)

    def _write_now(self, data: Bytes) -> None:
        end, engine = self._end, self._engine
        if end.closed:
            self._fatal_error(gone(end), "Fatal write error on socket transport")
            return
        if type(data) is bytes:
            size = len(data)
            taken = engine.send(end.handle, data, self._now())
        else:
            exported = engine.export(data)
            size = len(exported)
            taken = engine.send_from(end.handle, exported, 0, self._now())
        self._after_call()
        if taken == size:
            return
        if taken < 0:
            if taken != WOULD_BLOCK:
                self._fatal_error(os_error(taken), "Fatal write error on socket transport")
                return
            taken = 0
        if type(data) is bytes:
            self._offset = taken
            self._buffer.append(data)
            self._size = size - taken
        else:  # the caller may change it
            self._offset = 0
            self._buffer.append(bytes(memoryview(data).cast("B")[taken:]))
            self._size = size - taken
        self._head = None
        assert self._sock is not None
        self._sock.set_writer(self._on_writable)
        self._maybe_pause_protocol()  # type: ignore[attr-defined]

    def _keep(self, data: bytes) -> None:
        self._buffer.append(data)
        self._size += len(data)
        self._maybe_pause_protocol()  # type: ignore[attr-defined]

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """One `write` of all of it."""
        if self._eof:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        """Bytes that the stack has not taken yet."""
        return self._size

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """FIN when all was taken; receiving goes on."""
        if self._closing or self._eof:
            return
        self._eof = True
        if not self._buffer:
            self._send_fin()

    def _send_fin(self) -> None:
        if not self._end.closed:  # of a dead connection: its end is told by receiving
            self._engine.shutdown(self._end.handle, self._now())
            self._after_call()

    # ---- from a turn -----------------------------------------------------------------------------

    def _on_writable(self, _: None) -> None:
        """There is room again, or the connection has ended."""
        if not self._buffer or self._end.closed:
            if self._end.closed and self._conn_lost == 0 and not self._loop.is_closed():
                self._loop.call_soon(self._end_is_gone, context=self._context)
            return
        if not self._send_buffered():
            return
        if self._protocol_paused:
            try:
                self._context.run(self._maybe_resume_protocol)  # type: ignore[attr-defined]
            except Exception as exc:
                self._fatal_error(exc, "Fatal write error on socket transport")
        if self._buffer or self._conn_lost:
            return
        if self._sock is not None:
            self._sock.set_writer(None)
        if self._closing:
            self._lose(None)
        elif self._eof:
            self._send_fin()

    def _end_is_gone(self) -> None:
        """The stack was closed, or its link failed, under an open transport."""
        if self._conn_lost == 0 and self._end.closed:
            self._fatal_error(gone(self._end), "The stack under the transport is gone")

    def _send_buffered(self) -> bool:
        """As much as there is room for. False: the connection is lost."""
        end, engine, buffer = self._end, self._engine, self._buffer
        while buffer:
            if self._head is None:
                if len(buffer) > 1 and self._size <= _GATHER:
                    joined = b"".join([memoryview(buffer.popleft())[self._offset :], *buffer])
                    buffer.clear()
                    buffer.append(joined)
                    self._offset = 0
                self._head = engine.export(buffer[0])
            taken = engine.send_from(end.handle, self._head, self._offset, self._now())
            if taken < 0:
                if taken == WOULD_BLOCK:
                    break
                self._after_call()
                self._fatal_error(os_error(taken), "Fatal write error on socket transport")
                return False
            self._size -= taken
            self._offset += taken
            if self._offset < len(self._head):
                break  # we are told when there is room
            buffer.popleft()
            self._head, self._offset = None, 0
        self._after_call()
        return True

    def _drop_buffer(self) -> None:
        self._buffer.clear()
        self._size = self._offset = 0
        self._head = None
        if self._sock is not None:
            self._sock.set_writer(None)
