"""Sending: AnyIO's rules for `send`, each of them."""

import anyio
import pytest
from anyio import BrokenResourceError, BusyResourceError, ClosedResourceError

from aio.pairs import (
    connected,
    counts_as_checkpoint,
    eventually,
    fill,
    raises_cancelled,
    receive_all,
)
from usertcp import StreamOption, TCPStream

pytestmark = pytest.mark.anyio


async def send_for_ever(stream: TCPStream, size: int) -> None:
    while True:
        await stream.send(bytes(size))


@pytest.mark.parametrize(
    "item",
    [b"data", bytearray(b"data"), memoryview(b"xdatax")[1:5]],
    ids=lambda i: type(i).__name__,
)
async def test_takes_whatever_is_bytes_like(item: bytes):
    async with connected() as (a, b, _):
        await a.send(item)
        assert await b.receive() == b"data"
        if isinstance(item, bytearray):
            item.append(0)  # no buffer of the caller is held
            item.pop()


@pytest.mark.parametrize(
    "item", ["text", 5, memoryview(b"abcd")[::2]], ids=["str", "int", "strided"]
)
async def test_refuses_what_is_not(item: bytes):
    async with connected() as (a, b, _):
        with pytest.raises(TypeError):
            await a.send(item)
        await a.send(b"still usable")
        assert await b.receive() == b"still usable"


async def test_nothing_is_fine_but_not_on_a_closed_stream():
    async with connected() as (a, b, _):
        await a.send(b"")
        assert await counts_as_checkpoint(lambda: a.send(b""))
        await a.send_eof()
        with pytest.raises(ClosedResourceError):
            await a.send(b"")
        await b.aclose()
        with pytest.raises(ClosedResourceError):
            await b.send(b"")


async def test_more_than_any_buffer():
    data = bytes(i * 11 % 253 for i in range(5_000_000))
    async with connected() as (a, b, _), anyio.create_task_group() as tg:

        async def sender() -> None:
            await a.send(data)
            await a.send(memoryview(data))
            await a.send_eof()

        tg.start_soon(sender)
        assert await receive_all(b) == data + data


async def test_both_ways_at_once():
    data = bytes(range(255)) * 20_000
    async with connected() as (a, b, _), anyio.create_task_group() as tg:

        async def one_way(source, sink) -> None:
            async with anyio.create_task_group() as inner:
                inner.start_soon(source.send, data)
                got = bytearray()
                while len(got) < len(data):
                    got += await sink.receive()
            assert got == data

        tg.start_soon(one_way, a, b)
        tg.start_soon(one_way, b, a)


async def test_packets_leave_before_it_returns():
    async with connected() as (a, _, stacks):
        before = stacks.a.statistics().link.tx_frames
        coro = a.send(b"now")
        coro.send(None)  # runs up to its first yield, and no loop has turned
        assert stacks.a.statistics().link.tx_frames == before + 1
        with pytest.raises(RuntimeError, match="stop"):
            coro.throw(RuntimeError("stop"))


async def test_is_a_checkpoint():
    async with connected() as (a, _, _):
        assert await counts_as_checkpoint(lambda: a.send(b"x"))


async def test_in_a_cancelled_scope_it_sends_nothing():
    async with connected() as (a, b, _):
        assert await raises_cancelled(lambda: a.send(b"never"))
        await a.send(b"after")
        assert await b.receive() == b"after"


async def test_second_sender_is_refused():
    async with connected() as (a, _, _), anyio.create_task_group() as tg:
        tg.start_soon(fill, a)
        await anyio.sleep(0.05)
        with pytest.raises(BusyResourceError, match="already writing to this resource"):
            await a.send(b"x")
        tg.cancel_scope.cancel()


async def test_cancelled_while_blocked_leaves_a_prefix_and_a_usable_stream():
    first, second = b"1" * 5_000_000, b"2" * 1000
    async with connected() as (a, b, _):
        with anyio.move_on_after(0.2) as scope:
            await a.send(first)
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tg:

            async def rest() -> None:
                await a.send(second)
                await a.send_eof()

            tg.start_soon(rest)
            got = await receive_all(b)
        ones = got.index(b"2")
        assert 0 < ones < len(first)
        assert got == b"1" * ones + second


async def test_close_while_blocked():
    async with connected() as (a, _, _):
        raised = False

        async def sender() -> None:
            nonlocal raised
            with pytest.raises(ClosedResourceError):
                await send_for_ever(a, 1_000_000)
            raised = True

        async with anyio.create_task_group() as tg:
            tg.start_soon(sender)
            await anyio.sleep(0.1)
            await a.aclose()
        assert raised


async def test_reset_while_blocked():
    async with connected() as (a, b, _), anyio.create_task_group() as tg:

        async def resetter() -> None:
            await anyio.sleep(0.1)
            b.set_option(StreamOption.LINGER, 0)
            await b.aclose()

        tg.start_soon(resetter)
        with pytest.raises(BrokenResourceError) as caught:
            await a.send(bytes(20_000_000))
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        with pytest.raises(BrokenResourceError):
            await a.send(b"it stays broken")


async def test_data_for_a_closed_stream_breaks_the_sender():
    async with connected() as (a, b, _):
        await b.aclose()
        with pytest.raises(BrokenResourceError) as caught, anyio.fail_after(5):
            await send_for_ever(a, 100)
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_after_send_eof():
    async with connected() as (a, b, _):
        await a.send_eof()
        with pytest.raises(ClosedResourceError):
            await a.send(b"x")
        await b.send(b"the other way goes on")
        assert await a.receive() == b"the other way goes on"


async def test_send_eof_is_idempotent_and_a_checkpoint():
    async with connected() as (a, b, _):
        assert await counts_as_checkpoint(a.send_eof)
        assert await counts_as_checkpoint(a.send_eof)
        assert await receive_all(b) == b""
        await b.aclose()
        await anyio.sleep(0.02)
        await a.send_eof()  # whatever has become of the connection


async def test_send_eof_follows_all_that_was_sent():
    async with connected() as (a, b, _):
        await a.send(b"x" * 30_000)
        await a.send_eof()
        assert await receive_all(b) == b"x" * 30_000


async def test_send_eof_while_sending_is_refused():
    async with connected() as (a, _, _), anyio.create_task_group() as tg:
        tg.start_soon(fill, a)
        await anyio.sleep(0.05)
        with pytest.raises(BusyResourceError):
            await a.send_eof()
        tg.cancel_scope.cancel()


async def test_send_eof_on_a_closed_stream():
    async with connected() as (a, _, _):
        await a.aclose()
        with pytest.raises(ClosedResourceError):
            await a.send_eof()


async def test_wait_writable():
    async with connected() as (a, b, _):
        await a.wait_writable()
        blocked = False
        while not blocked:  # on a slow machine more may fit after all
            await fill(a)
            with anyio.move_on_after(0.02) as scope:
                await a.wait_writable()
            blocked = scope.cancelled_caught
        async with anyio.create_task_group() as tg:

            async def reader() -> None:
                while True:
                    await b.receive()

            tg.start_soon(reader)
            with anyio.fail_after(2):
                await a.wait_writable()
            tg.cancel_scope.cancel()
        await eventually(lambda: a.statistics().snd_free > 0)
        await a.aclose()
        with pytest.raises(ClosedResourceError):
            await a.wait_writable()


async def test_a_cancellation_after_all_was_taken_waits():
    """The bytes are on their way, so it would be wrong to report that they are not."""
    async with connected() as (a, b, _):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tg:

                async def cancel() -> None:
                    scope.cancel()

                tg.start_soon(cancel)
                await a.send(b"sent")
                sent = True
                await anyio.sleep(1)
        assert sent
        assert scope.cancelled_caught
        assert await b.receive() == b"sent"


async def bounded(a: TCPStream) -> None:
    """Until only what may be unsent is: TCP_NOTSENT_LOWAT, not the ring, stops it."""
    a.set_option(StreamOption.NOTSENT_LOWAT, 16384)
    await fill(a)
    info = a.statistics()
    assert 16384 <= info.snd_queued - info.flight_size <= 32768
    assert info.snd_free > 100_000


async def test_a_bound_of_what_is_unsent_passes_everything_on():
    data = bytes(i * 7 % 251 for i in range(3_000_000))
    async with connected(rcv_buffer=65536) as (a, b, _), anyio.create_task_group() as tg:
        a.set_option(StreamOption.NOTSENT_LOWAT, 16384)

        async def sender() -> None:
            for at in range(0, len(data), 50_000):
                await a.send(data[at : at + 50_000])
            await a.send_eof()

        tg.start_soon(sender)
        assert await receive_all(b) == data


@pytest.mark.parametrize("how", ["cancel", "reset", "close", "unbound"])
async def test_who_waits_for_less_to_be_unsent_is_woken(how: str):
    async with connected(rcv_buffer=65536) as (a, b, _), anyio.create_task_group() as tg:
        await bounded(a)
        told: list[str] = []

        async def sender() -> None:
            try:
                await a.send(bytes(100_000))
            except (BrokenResourceError, ClosedResourceError) as exc:
                told.append(type(exc).__name__)
            else:
                told.append("sent")

        tg.start_soon(sender)
        await anyio.wait_all_tasks_blocked()
        assert not told
        if how == "cancel":
            tg.cancel_scope.cancel()
        elif how == "reset":
            await anyio.aclose_forcefully(b)  # unread bytes make it a reset
        elif how == "close":
            await a.aclose()
        else:
            a.set_option(StreamOption.NOTSENT_LOWAT, 0)
    outcomes = {"cancel": [], "reset": ["BrokenResourceError"], "close": ["ClosedResourceError"]}
    assert told == outcomes.get(how, ["sent"])
