"""Unmodified programs on hosts of a network: AnyIO's, asyncio's and trio's own functions."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio

import usertcp
from sim.runs import on_trio
from usertcp.testing import Host, HostCrashError, Network, network_loop_factory


def on_asyncio(main: Callable[[], Any]) -> Any:
    return anyio.run(main, backend_options={"loop_factory": network_loop_factory})


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def pair(seed: int = 1, **impairment: Any) -> tuple[Network, Host, Host]:
    net = Network(seed)
    client, server = net.host(name="client"), net.host(name="server", aliases=["www.test"])
    net.join(client, server, **impairment)
    return net, client, server


# -- a server and a client of AnyIO ---------------------------------------------------------------

STORE = {b"/": b"hello", b"/big": random.Random(1).randbytes(300_000)}


async def answer(stream: Any) -> None:
    async with stream:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive()
        body = STORE[request.split()[1]]
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def serve_http() -> None:
    async with await usertcp.create_tcp_listener(local_port=80) as listener:
        await listener.serve(answer)


async def get(name: str, path: str) -> bytes:
    async with await usertcp.connect_tcp(name, 80) as stream:
        await stream.send(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        return b"".join([chunk async for chunk in stream]).partition(b"\r\n\r\n")[2]


def test_request_and_response_by_name(run):
    async def main() -> None:
        net, client, server = pair(delay=0.01)
        async with net:
            server.start_soon(serve_http)
            async with client:
                assert await get("server", "/") == b"hello"
                assert await get("WWW.test.", "/big") == STORE[b"/big"]
            assert await client.run(get, server.address, "/") == b"hello"
            assert await client.run(get("server", "/")) == b"hello"

    run(main)


def test_through_a_partition_that_heals(run):
    async def main() -> float:
        net, client, server = pair(delay=0.01)
        async with net, client:
            server.start_soon(serve_http)
            await get("server", "/")
            began = anyio.current_time()
            with anyio.fail_after(300):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(get, "server", "/big")
                    await anyio.sleep(0.055)
                    with net.partition(client, server) as cut:
                        await anyio.sleep(30)
                        assert cut.is_cut
                    assert not cut.is_cut
            assert any(packet.fate == "cut" for packet in net.trace)
            assert await get("server", "/big") == STORE[b"/big"]
            return anyio.current_time() - began

    assert 30 < run(main) < 100


def test_partitions_on_schedule_and_one_way(run):
    async def main() -> None:
        net, client, server = pair(delay=0.01)
        other = net.host(name="other")
        net.join_all(delay=0.01)
        net.partition(client, after=10, lasting=20)
        log: list[float] = []
        net.after(5, lambda: log.append(net.now))
        async with net:
            server.start_soon(serve_http)
            with anyio.fail_after(1):
                await client.run(get, "server", "/")
            await anyio.sleep(11)
            with anyio.move_on_after(3) as scope:
                await client.run(get, "server", "/")
            assert scope.cancelled_caught
            with anyio.fail_after(1):
                await other.run(get, "server", "/")
            await anyio.sleep(30)
            with anyio.fail_after(1):
                await client.run(get, "server", "/")
            cut = net.partition([server], [client], both_ways=False)
            with anyio.move_on_after(3) as scope:
                await client.run(get, "server", "/")
            assert scope.cancelled_caught
            cut.heal()
            assert await client.run(get, "server", "/") == b"hello"
        assert log == [pytest.approx(5)]
        with pytest.raises(ValueError, match="client cannot be on both"):
            net.partition(client, [client, server])

    run(main)


async def hold(stream: Any) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send(chunk)


async def serve_echo() -> None:
    async with await usertcp.create_tcp_listener(local_port=7) as listener:
        await listener.serve(hold)


def test_crash_is_silent_and_restart_answers_with_rst(run):
    async def main() -> None:
        net, client, server = pair(delay=0.01)
        async with net, client:
            server.start_soon(serve_echo)
            stream = await usertcp.connect_tcp("server", 7)
            await stream.send(b"one")
            assert await stream.receive() == b"one"
            await anyio.sleep(1)
            server.crash()
            assert not server.is_up
            before = len(net.trace)
            await anyio.sleep(100)
            assert len(net.trace) == before
            with pytest.raises(RuntimeError, match="server has crashed"):
                await server.run(get, "client", "/")
            await stream.send(b"two")
            await anyio.sleep(1)
            assert net.trace[-1].fate == "nobody"
            await server.restart()
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await stream.receive()
            assert isinstance(caught.value.__cause__, ConnectionResetError)
            await stream.aclose()
            with pytest.raises(OSError, match="All connection attempts failed"):
                await usertcp.connect_tcp("server", 7)
            server.start_soon(serve_echo)
            async with await usertcp.connect_tcp("server", 7) as stream:
                await stream.send(b"three")
                assert await stream.receive() == b"three"
            assert server.boots == 2

    run(main)


def test_crash_ends_the_programs_of_the_host(run):
    async def main() -> None:
        net, _, server = pair()
        async with net:
            net.after(5, server.crash)
            net.after(6, server.restart)
            with pytest.raises(HostCrashError, match="server crashed"):
                await server.run(anyio.sleep, 100)
            assert net.now == pytest.approx(5)
            await anyio.sleep(2)
            assert server.is_up

    run(main)


def test_an_hour_at_one_percent_loss(run):
    """Real time: some seconds; pytest's own time-out would say so."""

    async def main() -> tuple[int, float]:
        net, client, server = pair(7, delay=0.04, loss=0.01, rate=60_000, queue=30_000)

        async def source(stream: Any) -> None:
            async with stream:
                while True:
                    await stream.send(bytes(16_384))

        async def serve() -> None:
            async with await usertcp.create_tcp_listener(local_port=9) as listener:
                await listener.serve(source)

        async with net, client:
            server.start_soon(serve)
            got = 0
            async with await usertcp.connect_tcp("server", 9) as stream:
                with anyio.move_on_after(3600):
                    async for chunk in stream:
                        got += len(chunk)
            return got, net.now

    got, took = run(main)
    assert took >= 3600
    assert got > 0.7 * 3600 * 60_000 / 8


async def story(net: Network) -> tuple[str, int]:
    """Many connections at once on a bad network, with a partition and a crash."""
    server = net.host(name="server")
    clients = [net.host(name=f"c{number}") for number in range(4)]
    net.join_all(delay=0.02, loss=0.05, jitter=0.01, reorder=0.05, duplicate=0.02, corrupt=0.01)
    net.partition(clients[0], after=0.5, lasting=3)

    async def ask() -> None:
        for _ in range(3):
            try:
                with anyio.move_on_after(30):
                    await get("server", "/big")
            except (OSError, anyio.BrokenResourceError, KeyError):
                pass

    async with net:
        server.start_soon(serve_http)
        net.after(2, server.restart)
        net.after(2.5, server.start_soon, serve_http)
        for client in clients:
            client.start_soon(ask)
        await anyio.sleep(100)
        return net.digest(), net.carrier.packets


def packets_of_a_story(run: Callable[..., Any]) -> str:
    net = Network(5)
    run(lambda: story(net))
    return net.story(last=1000)


@pytest.mark.parametrize("seed", range(3))
def test_same_seed_same_packets(run, seed: int):
    digest, packets = run(lambda: story(Network(seed)))
    assert packets > 1000
    assert run(lambda: story(Network(seed))) == (digest, packets)
    assert run(lambda: story(Network(seed + 100)))[0] != digest


# -- the event loops' own functions ---------------------------------------------------------------


def test_asyncio_streams_unmodified():
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, "0.0.0.0", 80)
        async with server:
            await server.serve_forever()

    async def main() -> None:
        net, client, server = pair(delay=0.01)
        async with net:
            server.start_soon(serve)
            await asyncio.sleep(0)
            async with client:
                reader, writer = await asyncio.open_connection("server", 80)
                writer.write(b"hello\n")
                assert await reader.read() == b"HELLO\n"
                writer.close()
                await writer.wait_closed()
                async with await anyio.connect_tcp("www.test", 80) as stream:
                    await stream.send(b"anyio\n")
                    assert await stream.receive() == b"ANYIO\n"
            with pytest.raises(RuntimeError, match="no host of the test network is current"):
                await asyncio.open_connection("server", 80)

    with asyncio.Runner(loop_factory=network_loop_factory) as runner:
        runner.run(main())


def test_asyncio_handler_runs_on_its_host():
    """A proxy: what the loop calls back connects from the host that accepted."""

    async def serve_proxy() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            up, down = await asyncio.open_connection("server", 7)
            down.write(await reader.read(100))
            writer.write(await up.read(100))
            down.close()
            writer.close()

        server = await asyncio.start_server(handle, port=80)
        async with server:
            await server.serve_forever()

    async def main() -> None:
        net, client, server = pair()
        proxy = net.host(name="proxy")
        net.join_all(delay=0.01)
        async with net:
            proxy.start_soon(serve_proxy)
            server.start_soon(serve_echo)
            await asyncio.sleep(0)
            async with client:
                reader, writer = await asyncio.open_connection("proxy", 80)
                writer.write(b"through")
                assert await reader.read() == b"through"
                writer.close()
            assert {p.source for p in net.trace if p.target == "server"} == {"proxy"}

    with asyncio.Runner(loop_factory=network_loop_factory) as runner:
        runner.run(main())


def test_trio_streams_unmodified():
    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all((await stream.receive_some()).upper())

    async def main() -> None:
        net, client, server = pair(delay=0.01)
        async with net:
            server.start_soon(trio.serve_tcp, handle, 80)
            await trio.testing.wait_all_tasks_blocked()
            async with client:
                async with await trio.open_tcp_stream("server", 80) as stream:
                    await stream.send_all(b"hello")
                    assert await stream.receive_some() == b"HELLO"
                async with await anyio.connect_tcp("www.test", 80) as other:
                    await other.send(b"anyio")
                    assert await other.receive() == b"ANYIO"
            with pytest.raises(ExceptionGroup) as caught:
                await trio.open_tcp_stream("server", 80)
            assert "no host of the test network is current" in str(caught.value.exceptions[0])

    on_trio(main)


def test_same_packets_in_another_process(run):
    """Whatever the order of Python's sets."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from sim.test_network_programs import on_asyncio, on_trio, packets_of_a_story;"
        "print(packets_of_a_story(globals()[sys.argv[2]]))"
    )
    tests = str(Path(__file__).parent.parent)
    seen = {
        subprocess.run(
            [sys.executable, "-c", code, tests, run.__name__],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(seen) == 1
