"""The small comparison of `usertcp bench`: both ends in one process, on one loop."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute

import usertcp

KIND = "one process: kernel over loopback, usertcp over a link in memory"
ITEM = bytes(64 * 1024)
ECHO = bytes(64)
MEBI = 1 << 20
Pair: TypeAlias = tuple[ByteStream, ByteStream]
Workload: TypeAlias = Callable[[ByteStream, ByteStream, float], Awaitable[float]]


async def bulk(client: ByteStream, server: ByteStream, seconds: float) -> float:
    """MiB/s one way."""
    total = 0
    begun = time.perf_counter()

    async def send() -> None:
        while time.perf_counter() - begun < seconds:
            await client.send(ITEM)
        await client.send_eof()

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        try:
            while True:
                total += len(await server.receive(1 << 18))
        except anyio.EndOfStream:
            pass
    return total / MEBI / (time.perf_counter() - begun)


async def echo(client: ByteStream, server: ByteStream, seconds: float) -> float:
    """Round trips of 64 bytes per second."""
    count = 0
    begun = time.perf_counter()

    async def answer() -> None:
        try:
            while True:
                await server.send(await server.receive())
        except anyio.EndOfStream:
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(answer)
        while time.perf_counter() - begun < seconds:
            await client.send(ECHO)
            left = len(ECHO)
            while left:
                left -= len(await client.receive(left))
            count += 1
        await client.send_eof()
    return count / (time.perf_counter() - begun)


WORKLOADS: dict[str, tuple[Workload, str]] = {"bulk": (bulk, "MiB/s"), "echo": (echo, "1/s")}


async def _pair(
    listener: Listener[Any], connect: Callable[[int], Awaitable[ByteStream]], port: int
) -> Pair:
    accepted: list[ByteStream] = []
    got = anyio.Event()

    async def take(stream: ByteStream) -> None:
        accepted.append(stream)
        got.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, take)
        client = await connect(port)
        await got.wait()
        group.cancel_scope.cancel()
    return client, accepted[0]


async def _kernel(workload: Workload, seconds: float) -> float:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610

        async def connect(port: int) -> ByteStream:
            return await anyio.connect_tcp("127.0.0.1", port)

        client, server = await _pair(listener, connect, port)
        async with client, server:
            return await workload(client, server, seconds)


async def _ours(workload: Workload, seconds: float) -> float:
    name = f"memory:usertcp-bench-{time.monotonic_ns()}"
    async with (
        usertcp.open_stack(name, addresses=["10.7.0.1/24"]) as a,
        usertcp.open_stack(name, addresses=["10.7.0.2/24"]) as b,
        await a.create_tcp_listener(local_port=80) as listener,
    ):

        async def connect(port: int) -> ByteStream:
            return await b.connect_tcp("10.7.0.1", port)

        client, server = await _pair(listener, connect, 80)
        async with client, server:
            return await workload(client, server, seconds)


async def compare(loop: str, seconds: float) -> list[dict[str, Any]]:
    """A row per workload; kernel and usertcp after each other."""
    rows: list[dict[str, Any]] = []
    for name, (workload, unit) in WORKLOADS.items():
        kernel = await _kernel(workload, seconds)
        ours = await _ours(workload, seconds)
        ratio = ours / kernel
        rows.append(
            {"workload": name, "loop": loop, "unit": unit, "kernel": kernel, "usertcp": ours}
            | {"ratio": ratio}
        )
    return rows
