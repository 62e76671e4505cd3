"""Ten thousand connects at once, and accept queues that are full: all are served or told."""

import asyncio
import errno
import gc
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import pytest
import trio

import usertcp
import usertcp.asyncio
import usertcp.trio
from aio import pairs
from aio.pairs import A4, B4, cables, two_stacks
from support.asyncio_pairs import on
from usertcp import Stack

eventually = partial(pairs.eventually, seconds=20)
CROWD = 10_000
ROOM = {"max_connections": 2 * CROWD, "max_half_open": 2 * CROWD, "max_time_wait": 2 * CROWD}
KEPT = 288 << 20
"""Bytes that an idle stack maps at most after a crowd: 64 rings of 2 MiB each way for the next
connections, records of 20 000 connections, TIME-WAIT entries."""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def nothing_is_left(stack: Stack) -> None:
    await eventually(lambda: stack.statistics().counters.get("connections", 0) == 0)
    assert stack.engine.endpoints == {}
    assert stack.statistics().memory_in_use <= KEPT


# ---- ten thousand --------------------------------------------------------------------------------


async def _by_streams(a: Stack, b: Stack) -> int:
    multi = await b.create_tcp_listener(local_port=80)
    served = 0

    async def echo(stream: usertcp.TCPStream) -> None:
        async with stream:
            await stream.send(await stream.receive())

    async def client() -> None:
        nonlocal served
        async with await a.connect_tcp(B4, 80) as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"x"
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        served += 1

    async with anyio.create_task_group() as servers:
        servers.start_soon(multi.serve, echo)
        async with anyio.create_task_group() as clients:
            for _ in range(CROWD):
                clients.start_soon(client)
        servers.cancel_scope.cancel()
    await multi.aclose()
    return served


async def _by_transports(a: Stack, b: Stack) -> int:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        writer.close()
        await writer.wait_closed()

    async def client() -> int:
        with on(a):
            reader, writer = await asyncio.open_connection(B4, 80)
        writer.write(b"x")
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        return len(got)

    with on(b):
        server = await asyncio.start_server(echo, B4, 80, backlog=65536)
    total = sum(await asyncio.gather(*(client() for _ in range(CROWD))))
    server.close()
    await server.wait_closed()
    return total


async def _by_sockets(a: Stack, b: Stack) -> int:
    left, right = usertcp.trio.SocketFactory(a), usertcp.trio.SocketFactory(b)
    served = 0

    async def echo(sock: trio.socket.SocketType) -> None:
        with sock:
            await sock.send(await sock.recv(1))

    async def serve(listener: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            sock, _ = await listener.accept()
            nursery.start_soon(echo, sock)

    async def client() -> None:
        nonlocal served
        with left.socket() as sock:
            await sock.connect((B4, 80))
            await sock.send(b"x")
            assert await sock.recv(2) == b"x"
            assert await sock.recv(2) == b""
        served += 1

    with right.socket() as listener:
        await listener.bind((B4, 80))
        listener.listen(65536)
        async with trio.open_nursery() as servers:
            servers.start_soon(serve, listener, servers)
            async with trio.open_nursery() as clients:
                for _ in range(CROWD):
                    clients.start_soon(client)
            servers.cancel_scope.cancel()
    return served


async def one_crowd(crowd: Callable[[Stack, Stack], Awaitable[int]]) -> None:
    async with two_stacks(**ROOM) as stacks:
        before = descriptors()
        assert await crowd(stacks.a, stacks.b) == CROWD
        for stack in stacks:
            await nothing_is_left(stack)
            assert not stack.statistics().counters.get("accept_overflows")
        gc.collect()
        assert descriptors() == before


def test_ten_thousand_streams():
    anyio.run(one_crowd, _by_streams)


def test_ten_thousand_transports():
    usertcp.asyncio.run(one_crowd(_by_transports))


def test_ten_thousand_sockets_of_trio():
    trio.run(one_crowd, _by_sockets)


# ---- more than there is room for -----------------------------------------------------------------


@pytest.mark.anyio
async def test_more_connects_than_connections():
    """Those beyond it are told at once; when places are free again, connecting goes on."""
    async with two_stacks(max_connections=100, max_time_wait=1) as (a, b):
        multi = await b.create_tcp_listener(local_port=80)
        outcomes: Counter[str] = Counter()
        go = anyio.Event()

        async def client() -> None:
            try:
                stream = await a.connect_tcp(B4, 80)
            except OSError as exc:
                outcomes[os.strerror(getattr(exc.__cause__, "errno", 0))] += 1
                return
            outcomes["connected"] += 1
            await go.wait()
            await stream.aclose()

        async def hold(stream: usertcp.TCPStream) -> None:
            async with stream:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await stream.receive()

        async with anyio.create_task_group() as servers:
            servers.start_soon(multi.serve, hold)
            for _ in range(2):
                go = anyio.Event()
                outcomes.clear()
                async with anyio.create_task_group() as clients:
                    for _ in range(1000):
                        clients.start_soon(client)
                    await eventually(lambda: outcomes.total() == 1000)
                    assert outcomes == {"connected": 100, os.strerror(errno.ENFILE): 900}
                    go.set()
                for stack in (a, b):
                    await eventually(
                        lambda: not stack.statistics().counters.get("connections")  # noqa: B023
                    )
            servers.cancel_scope.cancel()
        await multi.aclose()


@pytest.mark.anyio
async def test_more_clients_than_the_server_has_room_for():
    """The server answers SYNs, and has no record left for the third segment: who gets none is told
    after the user time-out; nobody hangs."""
    left, right = cables()
    patience = {"rto_initial": 0.05, "rto_min": 0.05, "rto_max": 0.1, "user_timeout": 0.5}
    async with (
        usertcp.open_stack(left, addresses=[f"{A4}/24"], **patience) as a,
        usertcp.open_stack(right, addresses=[f"{B4}/24"], max_connections=10) as b,
        await b.create_tcp_listener(local_port=80),
    ):
        outcomes: Counter[str] = Counter()

        async def client() -> None:
            try:
                async with await a.connect_tcp(B4, 80) as stream:
                    await stream.send(b"nobody reads this")
                    await stream.receive()
            except OSError as exc:
                outcomes[type(exc.__cause__).__name__] += 1
            except anyio.BrokenResourceError as exc:
                outcomes[type(exc.__cause__).__name__] += 1

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(client)
            await eventually(lambda: outcomes["TimeoutError"] == 40)
            assert b.statistics().counters["connections"] == 10
            await b.aclose(linger=0)
        assert outcomes.total() == 50


@pytest.mark.anyio
@pytest.mark.parametrize("cookies", [0, 1, 2])
async def test_a_full_accept_queue_is_served_late_but_wholly(cookies: int):
    options = {"rto_initial": 0.05, "rto_min": 0.05, "rto_max": 0.2, "syn_cookies": cookies}
    async with two_stacks(**options) as (a, b), await _listening(b) as listener:
        answered = 0

        async def client() -> None:
            nonlocal answered
            async with await a.connect_tcp(B4, 80) as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x"
            answered += 1

        async def answer(stream: usertcp.TCPStream) -> None:
            async with stream:
                await stream.send(await stream.receive())

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client)
            await eventually(lambda: listener.statistics().accept_queue == 4)
            if cookies:  # else who has no place is not answered, and the queue is never too full
                await eventually(lambda: b.statistics().counters["accept_overflows"] > 0)
            assert answered == 0
            group.start_soon(listener.serve, answer)
            await eventually(lambda: answered == 20)
            group.cancel_scope.cancel()
        await nothing_is_left(a)


async def _listening(stack: Stack) -> usertcp.TCPListener:
    multi = await stack.create_tcp_listener(local_host=B4, local_port=80, backlog=4)
    listener = multi.listeners[0]
    assert isinstance(listener, usertcp.TCPListener)
    return listener


@pytest.mark.anyio
@pytest.mark.parametrize("cookies", [0, 1, 2])
async def test_a_listener_that_closes_on_a_full_queue_wakes_all(cookies: int):
    """Who waits there for an answer, or for a place: all learn of it."""
    options = {"rto_initial": 0.05, "rto_min": 0.05, "rto_max": 0.2, "syn_cookies": cookies}
    async with two_stacks(**options) as (a, b):
        listener = await _listening(b)
        outcomes: Counter[str] = Counter()

        async def client() -> None:
            try:
                stream = await a.connect_tcp(B4, 80)
            except OSError as exc:
                outcomes[type(exc.__cause__).__name__] += 1
                return
            async with stream:
                await stream.send(b"x")
                with pytest.raises(anyio.BrokenResourceError) as caught:
                    await stream.receive()
            outcomes[type(caught.value.__cause__).__name__] += 1

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client)
            await eventually(lambda: listener.statistics().accept_queue == 4)
            await listener.aclose()
        assert outcomes.total() == 20
        assert outcomes["ConnectionResetError"] >= 4
        assert set(outcomes) <= {"ConnectionResetError", "ConnectionRefusedError"}
        await nothing_is_left(a)
        await nothing_is_left(b)
