"""The measured programs over streams, with nothing in them that knows which TCP they run on.

`net` is the module that `connect_tcp` and `create_tcp_listener` come from: `anyio` (kernel TCP) or
`usertcp`, whose import is then the whole difference between the two sides of a comparison; or
`arena.trio_net`, trio's own sockets. The same programs as protocols: arena.protocols.
"""

import gc
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import anyio
from anyio.abc import ByteStream

from arena.machine import CpuTimes, cpu_times

BULK_SEND = 256 * 1024
BULK_RECEIVE = 64 * 1024
MESSAGE = bytes(64)
CONNECTIONS = 64
MOST = 2_000_000
"""Repetitions at most, whatever the clock says."""

COUNT = struct.Struct("!QQQ")
Net = Any


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement. Times in seconds."""

    workload: str
    host: str
    port: int
    warm_up: float
    seconds: float

    @property
    def limit(self) -> float:
        return 3 * (self.warm_up + self.seconds) + 10


@dataclass(slots=True)
class Outcome:
    """`value` in the workload's unit; `busy` in CPU seconds of the whole machine over `wall` s."""

    value: float
    repetitions: int
    wall: float
    busy: float
    steal: float
    extra: dict[str, float] = field(default_factory=dict)


@contextmanager
def without_collection() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Window:
    """The measured part of a run: no garbage collection, and the machine's CPU time."""

    def __enter__(self) -> Self:
        self._quiet = without_collection()
        self._quiet.__enter__()
        self._before: CpuTimes = cpu_times()
        self.begun = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self.begun
        spent = cpu_times() - self._before
        self.busy, self.steal = spent.busy, spent.steal
        self._quiet.__exit__(None, None, None)

    def outcome(self, value: float, repetitions: int, **extra: float) -> Outcome:
        return Outcome(value, repetitions, self.wall, self.busy, self.steal, extra)


async def _receive_exactly(stream: ByteStream, count: int) -> bytes:
    data = await stream.receive(count)
    while len(data) < count:
        data += await stream.receive(count - len(data))
    return data


async def _round_trip(stream: ByteStream) -> None:
    await stream.send(MESSAGE)
    await _receive_exactly(stream, len(MESSAGE))


# -- servers ------------------------------------------------------------------------------------


async def _echo(stream: ByteStream) -> None:
    async with stream:
        try:
            while data := await stream.receive(BULK_RECEIVE):  # trio's end is an empty piece
                await stream.send(data)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass


async def _sink(stream: ByteStream, warm_up: float) -> None:
    """Receives to the end, then tells the total, and bytes and ns after the warm-up."""
    async with stream:
        total = len(await stream.receive(BULK_RECEIVE))
        mark_at = time.perf_counter_ns() + int(warm_up * 1e9)
        marked = marked_at = 0
        try:
            while data := await stream.receive(BULK_RECEIVE):
                total += len(data)
                if not marked_at and (now := time.perf_counter_ns()) >= mark_at:
                    marked, marked_at = total, now
        except anyio.EndOfStream:
            pass
        elapsed = time.perf_counter_ns() - marked_at
        await stream.send(COUNT.pack(total, total - marked, elapsed))


@asynccontextmanager
async def serving(net: Net, job: Job) -> AsyncIterator[None]:
    """The server of `job`, listening until the block is left."""

    async def sink(stream: ByteStream) -> None:
        await _sink(stream, job.warm_up)

    listener = await net.create_tcp_listener(local_host=job.host, local_port=job.port)
    with without_collection():
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, sink if job.workload == "bulk" else _echo)
            yield
            group.cancel_scope.cancel()


# -- clients ------------------------------------------------------------------------------------


async def _repeat(step: Callable[[], Awaitable[None]], seconds: float) -> int:
    end = time.perf_counter() + seconds
    for done in range(1, MOST + 1):
        await step()
        if time.perf_counter() >= end:
            return done
    return MOST


async def bulk(net: Net, job: Job) -> Outcome:
    """Gb/s of payload, counted where it arrives."""
    payload = bytes(BULK_SEND)
    async with await net.connect_tcp(job.host, job.port) as stream:
        sent = await _repeat(lambda: stream.send(payload), job.warm_up)
        with Window() as window:
            more = await _repeat(lambda: stream.send(payload), job.seconds)
        await stream.send_eof()
        total, counted, ns = COUNT.unpack(await _receive_exactly(stream, COUNT.size))
        if total != (sent + more) * BULK_SEND:
            raise RuntimeError(f"{(sent + more) * BULK_SEND} bytes sent, {total} arrived")
    return window.outcome(counted * 8 / ns, more, bytes=float(counted))


async def pingpong(net: Net, job: Job) -> Outcome:
    """Median round trip of 64 bytes, us."""
    async with await net.connect_tcp(job.host, job.port) as stream:
        await _repeat(lambda: _round_trip(stream), job.warm_up)
        times: list[int] = []
        clock, note = time.perf_counter_ns, times.append
        with Window() as window:
            now = clock()
            end = now + int(job.seconds * 1e9)
            for _ in range(MOST):
                begun = now
                await _round_trip(stream)
                now = clock()
                note(now - begun)
                if now >= end:
                    break
    times.sort()
    p50, p99 = (times[int(len(times) * q)] / 1e3 for q in (0.5, 0.99))
    return window.outcome(p50, len(times), p99=p99)


async def connect(net: Net, job: Job) -> Outcome:
    """Connect, 64 bytes there and back, close: how many a second."""

    async def once() -> None:
        async with await net.connect_tcp(job.host, job.port) as stream:
            await _round_trip(stream)

    await _repeat(once, job.warm_up)
    with Window() as window:
        done = await _repeat(once, job.seconds)
    return window.outcome(done / window.wall, done)


async def conns64(net: Net, job: Job) -> Outcome:
    """Round trips of 64 bytes a second, over 64 connections at once."""
    streams = [await net.connect_tcp(job.host, job.port) for _ in range(CONNECTIONS)]
    done = 0

    async def one(stream: ByteStream, seconds: float) -> None:
        nonlocal done
        mine = await _repeat(lambda: _round_trip(stream), seconds)
        done += mine

    async def all_for(seconds: float) -> None:
        async with anyio.create_task_group() as group:
            for stream in streams:
                group.start_soon(one, stream, seconds)

    await all_for(job.warm_up)
    done = 0
    with Window() as window:
        await all_for(job.seconds)
    for stream in streams:
        await stream.aclose()
    return window.outcome(done / window.wall, done)


CLIENTS: dict[str, Callable[[Net, Job], Awaitable[Outcome]]] = {
    "bulk": bulk,
    "pingpong": pingpong,
    "connect": connect,
    "conns64": conns64,
}


async def measure(net: Net, job: Job) -> Outcome:
    return await CLIENTS[job.workload](net, job)


UNITS = {
    "bulk": "Gb/s",
    "pingpong": "us, p50 (lower is better)",
    "connect": "connections/s",
    "conns64": "round trips/s",
}
