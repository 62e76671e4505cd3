"""TCP Fast Open (RFC 7413) on AnyIO's streams."""

from typing import NamedTuple

import anyio
import pytest
from anyio import BrokenResourceError

from aio.pairs import B4, B6, Stacks, two_stacks
from usertcp import TCPListener, TCPStream

pytestmark = pytest.mark.anyio


class Net(NamedTuple):
    stacks: Stacks
    listener: TCPListener

    async def connect(self, host: str = B4) -> TCPStream:
        return await self.stacks.a.connect_tcp(host, 80, fast_open=True)

    async def introduce(self, host: str = B4) -> None:
        """The first connection brings the cookie."""
        async with await self.connect(host) as stream, await self.listener.accept() as accepted:
            assert not stream.statistics().syn_data
            await stream.send(b"x")
            await accepted.receive()


async def serve(stacks: Stacks, limit: int = 8) -> Net:
    multi = await stacks.b.create_tcp_listener(local_port=80, fast_open=limit)
    (listener,) = multi.listeners
    assert isinstance(listener, TCPListener)
    return Net(stacks, listener)


@pytest.mark.parametrize("host", [B4, B6])
async def test_the_first_send_goes_with_the_syn(host: str):
    with anyio.fail_after(10):
        async with two_stacks() as stacks:
            net = await serve(stacks)
            async with net.listener:
                await net.introduce(host)
                async with await net.connect(host) as stream:
                    assert stream.statistics().state.name == "SYN_SENT"
                    assert stream.statistics().segs_out == 0
                    await stream.send(b"hello")
                    async with await net.listener.accept() as accepted:
                        assert await accepted.receive() == b"hello"
                        await accepted.send(b"world")
                        assert await stream.receive() == b"world"
                        assert stream.statistics().syn_data
                        assert accepted.statistics().syn_data
                        assert stream.statistics().data_segs_out == 1
                        await stream.send(bytes(100_000))
                        await stream.send_eof()
                        assert sum([len(data) async for data in accepted]) == 100_000


async def test_a_server_that_speaks_first():
    """Who receives before sending does not wait for ever."""
    with anyio.fail_after(10):
        async with two_stacks() as stacks:
            net = await serve(stacks)
            async with net.listener, anyio.create_task_group() as tasks:
                await net.introduce()
                async with await net.connect() as stream:

                    async def greet() -> None:
                        async with await net.listener.accept() as accepted:
                            await accepted.send(b"220 ready")

                    tasks.start_soon(greet)
                    assert await stream.receive() == b"220 ready"


async def test_nobody_there():
    """It shows at the first receive, not at connect."""
    with anyio.fail_after(10):
        async with two_stacks() as stacks:
            net = await serve(stacks)
            await net.introduce()
            await net.listener.aclose()
            async with await net.connect() as stream:
                await stream.send(b"hello")
                with pytest.raises(BrokenResourceError) as caught:
                    await stream.receive()
                assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_closed_without_a_word():
    with anyio.fail_after(10):
        async with two_stacks() as stacks:
            net = await serve(stacks)
            async with net.listener:
                await net.introduce()
                before = stacks.a.statistics().counters["segments_out"]
                async with await net.connect():
                    pass
                assert stacks.a.statistics().counters["segments_out"] == before


async def test_keys():
    """A server with another key answers with a new cookie; one with the same takes the old."""
    with anyio.fail_after(10):
        async with two_stacks() as stacks:
            net = await serve(stacks)
            async with net.listener:
                stacks.b.set_fast_open_key(bytes(16))
                await net.introduce()
                for key in (b"1" * 16, b"2" * 16):  # the one before the last is no good
                    stacks.b.set_fast_open_key(key)
                for taken in (False, True):
                    async with await net.connect() as stream:
                        await stream.send(b"hello")
                        async with await net.listener.accept() as accepted:
                            assert await accepted.receive() == b"hello"
                            assert accepted.statistics().syn_data == taken
                with pytest.raises(ValueError, match="16 bytes are needed, not 4"):
                    stacks.b.set_fast_open_key(b"abcd")


async def test_a_limit_that_is_none():
    async with two_stacks() as stacks:
        with pytest.raises(ValueError, match="fast_open: -1 is not between"):
            await stacks.b.create_tcp_listener(local_port=80, fast_open=-1)


async def test_listener_switched_off():
    with anyio.fail_after(10):
        async with two_stacks() as stacks:
            net = await serve(stacks)
            async with net.listener:
                await net.introduce()
                assert net.listener.statistics().fast_open == 8
                net.listener.set_fast_open(0)
                async with await net.connect() as stream:
                    await stream.send(b"hello")
                    async with await net.listener.accept() as accepted:
                        assert await accepted.receive() == b"hello"
                        assert not accepted.statistics().syn_data
