"""trio's own checks of a stream, through an adapter from AnyIO's interface to trio's."""

import anyio
import pytest
import trio
import trio.testing
from trio.abc import HalfCloseableStream

from aio.pairs import B4, connect, two_stacks
from usertcp import TCPStream

# Small rings and quick timers: what a silly window holds back goes out soon, and then it is full.
SMALL = {"rcv_buffer": 32768, "snd_buffer": 32768, "rto_min": 0.01, "delack": 0.01}


async def clog(*ends: "AsTrio") -> None:
    """Sends until the windows are shut and the rings full: nothing can be taken by itself."""

    def is_open(end: "AsTrio") -> bool:
        info = end.stream.statistics()
        return info.snd_free > 0 or info.snd_wnd > 0

    while any(is_open(end) for end in ends):
        for end in ends:
            with trio.move_on_after(0.02):
                await end.send_all(bytes(10_000))


class AsTrio(HalfCloseableStream):
    """A `TCPStream` as a `trio.abc.HalfCloseableStream`."""

    def __init__(self, stream: TCPStream) -> None:
        self.stream = stream

    async def send_all(self, data) -> None:
        with translated():
            await self.stream.send(data)

    async def wait_send_all_might_not_block(self) -> None:
        with translated():
            await self.stream.wait_writable()

    async def receive_some(self, max_bytes=None) -> bytes:
        with translated():
            try:
                return await self.stream.receive(65536 if max_bytes is None else max_bytes)
            except anyio.EndOfStream:
                return b""

    async def send_eof(self) -> None:
        with translated():
            await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()


class translated:  # noqa: N801
    PAIRS = (
        (anyio.BrokenResourceError, trio.BrokenResourceError),
        (anyio.ClosedResourceError, trio.ClosedResourceError),
        (anyio.BusyResourceError, trio.BusyResourceError),
    )

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        for theirs, ours in self.PAIRS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error


@pytest.mark.parametrize("host", [B4, "fd07::2"])
@pytest.mark.parametrize(
    "check", [trio.testing.check_two_way_stream, trio.testing.check_half_closeable_stream]
)
def test_check(check, host: str):
    async def main() -> None:
        async with two_stacks(**SMALL) as stacks:

            async def maker():
                a, b = await connect(stacks, host=host)
                return AsTrio(a), AsTrio(b)

            async def clogged_maker():
                a, b = await maker()
                await clog(a, b)
                return a, b

            await check(maker, clogged_maker)

    trio.run(main)
