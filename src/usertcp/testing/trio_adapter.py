"""An AnyIO byte stream as a trio one: for programs and checks written against trio's interfaces."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import ByteStream


@contextmanager
def _trio_errors() -> Iterator[None]:
    try:
        yield
    except anyio.ClosedResourceError:
        raise trio.ClosedResourceError from None
    except anyio.BusyResourceError as exc:
        raise trio.BusyResourceError(*exc.args) from None
    except anyio.BrokenResourceError as exc:
        raise trio.BrokenResourceError from exc


class TrioStreamAdapter(trio.abc.HalfCloseableStream):
    """`stream` with trio's methods and exceptions. Needs its `wait_writable`, if it has one."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._sent_eof = False
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._closed or self._sent_eof:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        with _trio_errors():
            await self.stream.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        if self._closed or self._sent_eof:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        wait = getattr(self.stream, "wait_writable", None)
        if wait is None:
            await trio.lowlevel.checkpoint()
            return
        with _trio_errors():
            await wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is None:
            max_bytes = 65536
        elif not isinstance(max_bytes, int):
            raise TypeError(f"max_bytes must be an integer, not {max_bytes!r}")
        if max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        with _trio_errors():
            try:
                return await self.stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    async def send_eof(self) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        with _trio_errors():
            await self.stream.send_eof()
        self._sent_eof = True

    async def aclose(self) -> None:
        self._closed = True
        await self.stream.aclose()
