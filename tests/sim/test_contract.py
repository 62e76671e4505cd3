"""The contract checks: ours pass them, and so does AnyIO's own stream; broken ones do not.

trio's checks too, through `TrioStreamAdapter`. In virtual time, but for the kernel's sockets.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio
import trio.testing
from anyio import ClosedResourceError, EndOfStream
from anyio.abc import ByteStream

from sim.runs import on_asyncio, on_trio
from usertcp.testing import Network, TrioStreamAdapter, check_listener, check_stream
from usertcp.testing.contract import STREAM_CHECKS

PORT = 7
Maker = Callable[[], Awaitable[Any]]


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


@asynccontextmanager
async def pair_maker(*, delay: float = 0.001, **options: Any) -> AsyncIterator[Maker]:
    """Gives a maker of connected streams, and closes what is around them."""
    async with Network(seed=1) as net:
        a, b = net.host("10.0.0.1/24"), net.host("10.0.0.2/24")
        net.join(a, b, delay=delay)
        async with a.open_stack(**options) as here, b.open_stack(**options) as there:
            multi = await there.create_tcp_listener(local_port=PORT)
            (listener,) = multi.listeners

            async def make() -> tuple[Any, Any]:
                stream = await here.connect_tcp(b.address, PORT)
                return stream, await listener.accept()

            yield make
            await multi.aclose()


@pytest.mark.parametrize("check", STREAM_CHECKS, ids=lambda check: check.__name__)
def test_ours_keeps_the_contract_of_streams(run, check):
    async def main() -> None:
        async with pair_maker() as make:
            await check_stream(make, only=check)

    run(main)


def test_ours_keeps_the_contract_of_listeners(run):
    async def main() -> None:
        async with Network(seed=1) as net:
            a, b = net.host("10.0.0.1/24"), net.host("10.0.0.2/24")
            net.join(a, b, delay=0.001)
            async with a.open_stack() as here, b.open_stack() as there:

                async def make() -> Any:
                    multi = await there.create_tcp_listener(local_host=b.address, local_port=PORT)

                    async def connect() -> ByteStream:
                        return await here.connect_tcp(b.address, PORT)

                    return multi.listeners[0], connect

                await check_listener(make)

    run(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_kernels_sockets_keep_it_too(backend: str):
    """So the checks ask for what AnyIO's own streams give."""

    async def main() -> None:
        listener = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def make() -> Any:
            stream = await anyio.connect_tcp("127.0.0.1", port)
            return stream, await listener.accept()

        await check_stream(make)
        await listener.aclose()

    anyio.run(main, backend=backend)


class Broken(ByteStream):
    """A stream with one fault."""

    def __init__(self, stream: ByteStream, fault: str) -> None:
        self.stream, self.fault = stream, fault

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if self.fault == "takes any size":
            max_bytes = max(max_bytes, 1)
        if self.fault == "gives too much":
            max_bytes = 65536
        try:
            return await self.stream.receive(max_bytes)
        except EndOfStream:
            if self.fault == "empty at the end":
                return b""
            raise

    async def send(self, item: bytes) -> None:
        if self.fault == "loses bytes":
            item = item[:1000]
        await self.stream.send(item)

    async def send_eof(self) -> None:
        if self.fault == "cannot half-close":
            await self.stream.aclose()
        else:
            await self.stream.send_eof()

    async def aclose(self) -> None:
        if self.fault == "resets on close" and hasattr(self.stream, "set_option"):
            try:
                from usertcp import StreamOption

                self.stream.set_option(StreamOption.LINGER, 0)
            except ClosedResourceError:
                pass
        await self.stream.aclose()


@pytest.mark.parametrize(
    "fault",
    ["takes any size", "gives too much", "empty at the end", "loses bytes", "cannot half-close",
     "resets on close"],
)  # fmt: skip
def test_a_broken_stream_is_found_out(fault: str):
    async def main() -> None:
        async with pair_maker() as make:

            async def broken() -> Any:
                a, b = await make()
                return Broken(a, fault), Broken(b, fault)

            await check_stream(broken)

    found: list[str] = []
    try:
        on_asyncio(main)
    except Exception as exc:
        found = notes(exc)
    assert "check_stream" in str(found)


def notes(error: BaseException) -> list[str]:
    found = list(getattr(error, "__notes__", ()))
    for inner in getattr(error, "exceptions", ()):
        found += notes(inner)
    return found


# -- trio -----------------------------------------------------------------------------------------

SMALL = {"rcv_buffer": 16384, "snd_buffer": 16384, "rto_min": 0.01, "delack": 0.01}


async def clog(*ends: TrioStreamAdapter) -> None:
    """Until nothing more can be taken in either direction."""

    def is_open(end: TrioStreamAdapter) -> bool:
        info = end.stream.statistics()  # type: ignore[attr-defined]
        return info.snd_free > 0 or info.snd_wnd > 0

    while any(is_open(end) for end in ends):
        for end in ends:
            with trio.move_on_after(0.05):
                await end.send_all(bytes(10_000))


@pytest.mark.parametrize(
    "check", [trio.testing.check_two_way_stream, trio.testing.check_half_closeable_stream]
)
def test_trio_checks(check):
    async def main() -> None:
        async with pair_maker(**SMALL) as make:

            async def maker() -> Any:
                a, b = await make()
                return TrioStreamAdapter(a), TrioStreamAdapter(b)

            async def clogged_maker() -> Any:
                pair = await maker()
                await clog(*pair)
                return pair

            await check(maker, clogged_maker)

    on_trio(main)
