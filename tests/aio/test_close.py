"""Closing: what is delivered, who is woken, what a forced close does."""

import gc

import anyio
import pytest
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream

from aio.pairs import (
    connect,
    connected,
    counts_as_checkpoint,
    eventually,
    receive_all,
    two_stacks,
)

pytestmark = pytest.mark.anyio


async def test_is_idempotent_and_a_checkpoint():
    async with connected() as (a, _, _):
        assert await counts_as_checkpoint(a.aclose)
        assert await counts_as_checkpoint(a.aclose)


async def test_what_was_accepted_is_delivered():
    data = bytes(i * 3 % 256 for i in range(60_000))
    async with connected() as (a, b, _):
        await a.send(data)
        await a.aclose()
        assert await receive_all(b) == data


async def test_forced_close_delivers_too():
    data = bytes(i * 5 % 256 for i in range(60_000))
    async with connected() as (a, b, _):
        await a.send(data)
        await anyio.aclose_forcefully(a)
        assert await receive_all(b) == data


async def test_unread_data_makes_it_a_reset():
    async with connected() as (a, b, _):
        await a.send(b"nobody reads this")
        await eventually(lambda: b.statistics().rcv_readable > 0)
        await b.aclose()
        with pytest.raises(BrokenResourceError) as caught:
            await a.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_all_read_makes_it_a_fin():
    async with connected() as (a, b, _):
        await a.send(b"read")
        await b.receive()
        await b.aclose()
        with pytest.raises(EndOfStream):
            await a.receive()


async def test_in_a_cancelled_scope_it_closes_and_raises():
    async with connected() as (a, b, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await a.aclose()
            pytest.fail("the cancellation was not raised")
        assert scope.cancelled_caught
        with pytest.raises(ClosedResourceError):
            await a.send(b"x")
        with pytest.raises(EndOfStream):
            await b.receive()


async def test_two_forced_closes_at_once():
    async with connected() as (a, _, _), anyio.create_task_group() as tg:
        tg.start_soon(anyio.aclose_forcefully, a)
        tg.start_soon(anyio.aclose_forcefully, a)


async def test_every_use_of_a_closed_stream():
    async with connected() as (a, _, _):
        await a.aclose()
        for use in (a.receive, a.send_eof, a.wait_writable, lambda: a.send(b"x")):
            with pytest.raises(ClosedResourceError):
                await use()
        with pytest.raises(ClosedResourceError):
            a.statistics()
        assert "closed" in repr(a)


async def test_as_context_manager():
    async with connected() as (a, b, _):
        async with a:
            await a.send(b"inside")
        assert await receive_all(b) == b"inside"


async def test_peer_that_closed_can_be_written_to_until_the_reset_comes():
    async with connected() as (a, b, _):
        await b.send_eof()
        await a.send(b"half closed")
        assert await b.receive() == b"half closed"


def forget(holder: list[object]) -> None:
    holder.clear()
    gc.collect()


@pytest.mark.filterwarnings("default:unclosed <TCP:ResourceWarning")
async def test_forgotten_stream_is_closed_with_a_warning():
    async with two_stacks() as stacks:
        a, b = await connect(stacks)
        a.myself = a  # so that only the collector finds it
        holder = [a]
        del a
        await anyio.sleep(0.01)  # trio keeps the caller's frames while a kick is under way
        with pytest.warns(ResourceWarning, match="unclosed <TCPStream"):
            forget(holder)
        with pytest.raises(EndOfStream), anyio.fail_after(2):
            await b.receive()
        await b.aclose()


async def test_stream_that_a_task_waits_on_is_not_forgotten():
    async with two_stacks() as stacks:
        a, b = await connect(stacks)
        got: list[bytes] = []

        async def reader() -> None:
            async with holder.pop() as stream:
                got.append(await stream.receive())

        async with anyio.create_task_group() as tg:
            holder = [b]
            del b
            tg.start_soon(reader)
            await anyio.sleep(0.01)
            gc.collect()
            await a.send(b"alive")
        assert got == [b"alive"]
        await a.aclose()
