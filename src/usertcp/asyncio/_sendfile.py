"""Files to transports and sockets: read in a thread, large blocks, with back-pressure."""

import asyncio
from asyncio import base_events
from collections.abc import Awaitable, Callable
from typing import IO, Any

BLOCK = 256 * 1024


async def copy(
    loop: asyncio.AbstractEventLoop,
    file: IO[bytes],
    put: Callable[[bytes], Awaitable[None]],
    offset: int,
    count: int | None,
) -> int:
    """How many bytes went to `put`; the file's position is behind them."""
    if offset:
        file.seek(offset)
    sent = 0
    try:
        while not count or sent < count:
            size = min(count - sent, BLOCK) if count else BLOCK
            data = await loop.run_in_executor(None, file.read, size)
            if not data:
                break
            await put(data)
            sent += len(data)
    finally:
        if sent and hasattr(file, "seek"):
            file.seek(offset + sent)
    return sent


async def to_transport(
    loop: asyncio.AbstractEventLoop, transport: Any, file: IO[bytes], offset: int, count: int | None
) -> int:
    """As asyncio's fallback, whose blocks are of 16 KiB; the protocol is told nothing meanwhile."""
    made: Any = base_events
    protocol = made._SendfileFallbackProtocol(transport)  # noqa: SLF001

    async def put(data: bytes) -> None:
        await protocol.drain()
        transport.write(data)

    try:
        return await copy(loop, file, put, offset, count)
    finally:
        await protocol.restore()


def check(file: IO[bytes], offset: int, count: int | None) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if offset < 0 or (count is not None and count <= 0):
        raise ValueError("offset must not be negative, count must be positive")
