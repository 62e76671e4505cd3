"""Kernel sockets that programs on hosts bring along: the network's policy decides."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from sim.runs import on_trio
from support.netns import in_namespace
from usertcp.testing import Host, Network, network_loop_factory


def on_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    return anyio.run(main, backend_options={"loop_factory": network_loop_factory})


RUNS = pytest.mark.parametrize("run", [on_asyncio, on_trio], ids=["asyncio", "trio"])
Policy = Literal["adopt", "kernel", "error"]


def pair(bypass: Policy | None) -> tuple[Network, Host, Host]:
    net = Network(3, bypass=bypass)
    client, server = net.host(name="client"), net.host(name="server")
    net.join(client, server, delay=0.01)
    return net, client, server


async def shout(stream: SocketStream) -> None:
    async with stream:
        async for part in stream:
            await stream.send(part.upper())


def first_of(error: BaseException) -> BaseException:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def serve(ports: list[int]) -> None:
    """AnyIO's listener makes a kernel socket, whatever the loop."""
    async with await anyio.create_tcp_listener(local_host="0.0.0.0") as listener:
        ports.append(listener.extra(SocketAttribute.local_port))
        await listener.serve(shout)


@RUNS
@in_namespace
def test_adopted(run: Callable[..., Any]):
    async def main() -> str:
        net, client, server = pair("adopt")
        async with net:
            ports: list[int] = []
            server.start_soon(serve, ports)
            await anyio.sleep(1)
            async with client, await anyio.connect_tcp("server", ports[0]) as stream:
                await stream.send(b"hello")
                assert await stream.receive() == b"HELLO"
            assert server.stack is not None
            assert sum(server.stack.statistics().bypasses.values()) == 1
            return net.digest()

    assert run(main)


@RUNS
@in_namespace
def test_refused_by_default_and_named(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("USERTCP_BYPASS", raising=False)

    async def main() -> None:
        net, _client, server = pair(None)
        async with net:
            with pytest.raises((OSError, ExceptionGroup)) as caught:
                await server.run(serve, [])
            assert "bypass='adopt'" in str(first_of(caught.value))

    run(main)


@RUNS
@in_namespace
def test_may_be_set_while_it_runs(run: Callable[..., Any]):
    async def main() -> None:
        net, _client, server = pair("error")
        async with net:
            net.bypass = "adopt"
            with anyio.move_on_after(1):
                await server.run(serve, [])
            assert net.now > 0.9
            net.bypass = "perhaps"  # type: ignore[assignment]
            with pytest.raises((ValueError, ExceptionGroup)) as caught:
                await server.run(serve, [])
            assert "'perhaps'" in str(first_of(caught.value))

    run(main)


@in_namespace
def test_without_a_host_they_are_trios():
    import trio

    async def main() -> None:
        async with Network():
            with socket.socket() as kernel:
                made = trio.socket.from_stdlib_socket(kernel)
                assert type(made).__module__.startswith("trio")
                made.close()

    on_trio(main)
