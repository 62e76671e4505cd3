"""Asynchronous programs on networks with faults, in virtual time, on asyncio and trio."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sim.runs import on_asyncio, on_trio
from usertcp.testing import Impairment, Network, virtual_loop_factory


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def echo(stream: Any) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send(chunk)
        await stream.send_eof()


async def transfer(seed: int, size: int = 100_000, **impairment: float) -> tuple[float, str]:
    """Bytes there and back: (virtual seconds, digest)."""
    text = random.Random(seed).randbytes(size)
    got = bytearray()
    async with Network(seed=seed) as net:
        a, b = net.host("10.0.0.1/24", "fd00::1/64"), net.host("10.0.0.2/24", "fd00::2/64")
        net.join(a, b, **impairment)
        options = {"check_duplicates": False}
        async with a.open_stack(**options) as here, b.open_stack(**options) as there:
            listener = await there.create_tcp_listener(local_port=7)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, echo)
                began = anyio.current_time()
                async with await here.connect_tcp(b.address, 7) as stream:

                    async def send() -> None:
                        await stream.send(text)
                        await stream.send_eof()

                    tasks.start_soon(send)
                    async for chunk in stream:
                        got.extend(chunk)
                took = anyio.current_time() - began
                tasks.cancel_scope.cancel()
            await listener.aclose()
    assert bytes(got) == text
    return took, hashlib.sha256(got).hexdigest()


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"delay": 0.05},
        {"delay": 0.02, "loss": 0.05},
        {"delay": 0.02, "duplicate": 0.2, "reorder": 0.2, "corrupt": 0.02},
        {"delay": 0.01, "rate": 1e6},
    ],
    ids=["perfect", "delay", "loss", "mess", "rate"],
)
def test_bytes_there_and_back(run, kind: dict[str, float]):
    took, _ = run(lambda: transfer(1, **kind))
    assert took >= 2 * kind.get("delay", 0)
    if "rate" in kind:
        assert took > 100_000 * 8 / kind["rate"]


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_decides_everything(run, seed: int):
    kind = {"delay": 0.02, "loss": 0.1, "reorder": 0.1, "jitter": 0.01}
    first = run(lambda: transfer(seed, 30_000, **kind))
    assert run(lambda: transfer(seed, 30_000, **kind)) == first


def test_connecting_to_nobody(run):
    async def main() -> float:
        async with Network() as net:
            a = net.host("10.0.0.1/24")
            async with a.open_stack() as stack:
                began = anyio.current_time()
                with pytest.raises(OSError, match="All connection attempts failed") as caught:
                    await stack.connect_tcp("10.0.0.9", 7)
                assert isinstance(caught.value.__cause__, TimeoutError)
                assert a.unreachable > 3
                return anyio.current_time() - began

    assert run(main) > 20


def test_a_link_that_dies_and_comes_back(run):
    """Ten minutes of silence in the middle of a transfer."""

    async def main() -> None:
        async with Network(seed=2) as net:
            a, b = net.host("10.0.0.1/24"), net.host("10.0.0.2/24")
            pipes = net.join(a, b, delay=0.01)
            config = {"user_timeout": 3600.0}
            async with a.open_stack(**config) as here, b.open_stack(**config) as there:
                listener = await there.create_tcp_listener(local_port=7)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(listener.serve, echo)
                    async with await here.connect_tcp(b.address, 7) as stream:
                        await stream.send(b"before")
                        assert await stream.receive() == b"before"
                        for pipe in pipes:
                            pipe.impairment = Impairment(loss=1.0)
                        await stream.send(b"after")
                        await anyio.sleep(600)
                        for pipe in pipes:
                            pipe.impairment = Impairment(delay=0.01)
                        assert await stream.receive() == b"after"
                    tasks.cancel_scope.cancel()
                await listener.aclose()

    run(main)


def test_a_host_that_reboots(run):
    """RFC 9293 figure 10: who sends to it learns that the connection is gone."""

    async def main() -> None:
        async with Network(seed=3) as net:
            a, b = net.host("10.0.0.1/24"), net.host("10.0.0.2/24")
            pipes = net.join(a, b, delay=0.01)
            async with a.open_stack() as here:
                async with b.open_stack(linger=0) as there:
                    listener = await there.create_tcp_listener(local_port=7)
                    stream = await here.connect_tcp(b.address, 7)
                    for pipe in pipes:
                        pipe.impairment = Impairment(loss=1.0)
                    await listener.aclose()
                for pipe in pipes:
                    pipe.impairment = Impairment(delay=0.01)
                async with b.open_stack():
                    await stream.send(b"anybody there?")
                    with pytest.raises(anyio.BrokenResourceError) as caught:
                        await stream.receive()
                    assert isinstance(caught.value.__cause__, ConnectionResetError)
                await stream.aclose()

    run(main)


def test_stacks_need_the_network_running():
    async def main() -> None:
        net = Network()
        host = net.host("10.0.0.1/24")
        with pytest.raises(RuntimeError, match="async with network"):
            async with host.open_stack():
                pass

        async with net, host.open_stack():
            with pytest.raises(RuntimeError, match="one stack"):
                async with host.open_stack():
                    pass

    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        runner.run(main())
