"""The measured programs as asyncio protocols: callbacks, no task per connection.

The running loop is the whole difference between the two sides: asyncio's or uvloop's own, or the
same from `usertcp.asyncio.loop_factory`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from arena.programs import (
    BULK_SEND,
    CONNECTIONS,
    COUNT,
    MESSAGE,
    MOST,
    Job,
    Outcome,
    Window,
    without_collection,
)

PLACE = 256 * 1024
"""Bytes of a `BufferedProtocol`'s buffer: as much as asyncio's transports read at once."""

_P = TypeVar("_P", bound=asyncio.BaseProtocol)


class _Base(asyncio.BaseProtocol):
    """Nothing may go wrong unseen: `done` fails when the connection is lost before its time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the connection was closed"))


# -- servers ------------------------------------------------------------------------------------


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        self._write(data)


class _Tally:
    """Counts to the end, then tells the total, and bytes and ns after the warm-up."""

    transport: asyncio.Transport

    def __init__(self, warm_up: float) -> None:
        self._warm_up = warm_up
        self._total = self._marked = self._marked_at = self._mark_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def count(self, size: int) -> None:
        self._total += size
        if self._marked_at:
            return
        now = time.perf_counter_ns()
        if not self._mark_at:
            self._mark_at = now + int(self._warm_up * 1e9)
        elif now >= self._mark_at:
            self._marked, self._marked_at = self._total, now

    def eof_received(self) -> None:
        elapsed = time.perf_counter_ns() - self._marked_at
        self.transport.write(COUNT.pack(self._total, self._total - self._marked, elapsed))


class _Sink(_Tally, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.count(len(data))


class _BufferedSink(_Tally, asyncio.BufferedProtocol):
    def __init__(self, warm_up: float) -> None:
        super().__init__(warm_up)
        self._place = memoryview(bytearray(PLACE))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._place

    def buffer_updated(self, nbytes: int) -> None:
        self.count(nbytes)


@dataclass(frozen=True, slots=True)
class Protocols:
    """Servers and clients over plain protocols; `buffered`: bulk is received by the other kind."""

    buffered: bool

    @asynccontextmanager
    async def serving(self, job: Job) -> AsyncIterator[None]:
        """The server of `job`, listening until the block is left."""
        sink = _BufferedSink if self.buffered else _Sink

        def factory() -> asyncio.BaseProtocol:
            return sink(job.warm_up) if job.workload == "bulk" else _Echo()

        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, job.host, job.port)
        with without_collection():
            try:
                yield
            finally:
                server.close()

    async def measure(self, job: Job) -> Outcome:
        return await CLIENTS[job.workload](job)


# -- clients ------------------------------------------------------------------------------------


async def _connected(job: Job, factory: Callable[[], _P]) -> _P:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(factory, job.host, job.port))[1]


class _Source(_Base, asyncio.Protocol):
    """Writes until its time is over, as fast as the transport lets it."""

    def __init__(self) -> None:
        super().__init__()
        self._payload = bytes(BULK_SEND)
        self._paused = False
        self._until = 0.0
        self._answer = b""
        self.sent = 0
        self._filled: asyncio.Future[None] | None = None

    async def fill(self, seconds: float) -> None:
        self._until = time.perf_counter() + seconds
        self._filled = filled = asyncio.get_running_loop().create_future()
        self._pump()
        await filled

    def _pump(self) -> None:
        while not self._paused and self._filled is not None:
            if time.perf_counter() >= self._until:
                self._filled.set_result(None)
                self._filled = None
                return
            self.transport.write(self._payload)
            self.sent += BULK_SEND

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if len(self._answer) == COUNT.size:
            self.done.set_result(COUNT.unpack(self._answer))


async def bulk(job: Job) -> Outcome:
    """Gb/s of payload, counted where it arrives."""
    source = await _connected(job, _Source)
    await source.fill(job.warm_up)
    before = source.sent
    with Window() as window:
        await source.fill(job.seconds)
    source.transport.write_eof()
    total, counted, ns = await source.done
    source.transport.close()
    if total != source.sent:
        raise RuntimeError(f"{source.sent} bytes sent, {total} arrived")
    repetitions = (source.sent - before) // BULK_SEND
    return window.outcome(counted * 8 / ns, repetitions, bytes=float(counted))


class _Asker(_Base, asyncio.Protocol):
    """64 bytes there and back, again and again until `end` (ns of the clock)."""

    def __init__(self) -> None:
        super().__init__()
        self._missing = 0
        self._end = self._begun = 0
        self.times: list[int] = []

    async def ask(self, seconds: float) -> int:
        """How many round trips there were; `times` has each, in ns."""
        self.done = asyncio.get_running_loop().create_future()
        self.times = []
        self._begun = time.perf_counter_ns()
        self._end = self._begun + int(seconds * 1e9)
        self._once()
        await self.done
        return len(self.times)

    def _once(self) -> None:
        self._missing = len(MESSAGE)
        self.transport.write(MESSAGE)

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing > 0:
            return
        now = time.perf_counter_ns()
        self.times.append(now - self._begun)
        self._begun = now
        if now >= self._end or len(self.times) == MOST:
            self.done.set_result(None)
        else:
            self._once()


async def pingpong(job: Job) -> Outcome:
    """Median round trip of 64 bytes, us."""
    asker = await _connected(job, _Asker)
    await asker.ask(job.warm_up)
    with Window() as window:
        await asker.ask(job.seconds)
    asker.transport.close()
    times = sorted(asker.times)
    p50, p99 = (times[int(len(times) * q)] / 1e3 for q in (0.5, 0.99))
    return window.outcome(p50, len(times), p99=p99)


async def connect(job: Job) -> Outcome:
    """Connect, 64 bytes there and back, close: how many a second."""

    async def for_seconds(seconds: float) -> int:
        end = time.perf_counter() + seconds
        done = 0
        while done < MOST and time.perf_counter() < end:
            asker = await _connected(job, _Asker)
            done += await asker.ask(0)
            asker.transport.close()
        return done

    await for_seconds(job.warm_up)
    with Window() as window:
        done = await for_seconds(job.seconds)
    return window.outcome(done / window.wall, done)


async def conns64(job: Job) -> Outcome:
    """Round trips of 64 bytes a second, over 64 connections at once."""
    askers = [await _connected(job, _Asker) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(asker.ask(job.warm_up) for asker in askers))
    with Window() as window:
        done = sum(await asyncio.gather(*(asker.ask(job.seconds) for asker in askers)))
    for asker in askers:
        asker.transport.close()
    return window.outcome(done / window.wall, done)


CLIENTS = {"bulk": bulk, "pingpong": pingpong, "connect": connect, "conns64": conns64}
