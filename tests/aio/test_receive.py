"""Receiving: AnyIO's rules for `receive`, each of them."""

import anyio
import pytest
from anyio import BrokenResourceError, BusyResourceError, ClosedResourceError, EndOfStream

from aio.pairs import connect as connect_pair
from aio.pairs import connected, counts_as_checkpoint, eventually, raises_cancelled, two_stacks
from usertcp import StreamOption

pytestmark = pytest.mark.anyio

LARGE = bytes(range(250)) * 200
"""So much is cut out of the ring, not copied by way of scratch memory."""


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_max_bytes_below_one_is_refused(max_bytes: int):
    async with connected() as (a, _, _):
        with pytest.raises(ValueError, match="max_bytes must be a positive integer"):
            await a.receive(max_bytes)


async def test_gives_at_most_max_bytes_and_never_nothing():
    async with connected() as (a, b, _):
        await a.send(b"abcdefgh")
        assert await b.receive(3) == b"abc"
        assert await b.receive(3) == b"def"
        assert await b.receive(3) == b"gh"
        with anyio.move_on_after(0.02) as scope:
            await b.receive()
        assert scope.cancelled_caught


async def test_a_short_piece_before_the_ring_wraps_is_not_the_last():
    """The rest is given without another byte from the peer."""
    data = bytes(i * 3 % 253 for i in range(95_000))
    async with connected(rcv_buffer=1 << 16) as (a, b, _):
        await a.send(data[:60_000])
        await eventually(lambda: b.statistics().rcv_readable == 60_000)
        got = await b.receive(40_000)
        got += await b.receive(15_000)  # 5,000 are left, 10,536 up to the ring's end
        await a.send(data[60_000:])
        await eventually(lambda: b.statistics().rcv_readable == 40_000)
        with anyio.fail_after(5):
            while len(got) < len(data):
                got += await b.receive()
        assert got == data


async def test_small_and_large_pieces_keep_their_order():
    data = bytes(i * 7 % 251 for i in range(1_000_000))
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        tg.start_soon(a.send, data)
        got, sizes = bytearray(), [1, 100, 16_384, 16_385, 65_536, 1_000_000]
        while len(got) < len(data):
            size = sizes[len(got) % len(sizes)]
            part = await b.receive(size)
            assert 1 <= len(part) <= size
            got += part
        assert got == data


async def test_end_of_stream_comes_after_the_data_and_stays():
    async with connected() as (a, b, _):
        await a.send(b"last words")
        await a.send_eof()
        assert await b.receive() == b"last words"
        for _ in range(3):
            with pytest.raises(EndOfStream):
                await b.receive()


async def test_end_of_stream_wakes_a_receiver_that_has_drained_all():
    async with connected() as (a, b, _):
        await a.send(b"x")
        assert await b.receive(100) == b"x"
        async with anyio.create_task_group() as tg:
            tg.start_soon(a.send_eof)
            with pytest.raises(EndOfStream), anyio.fail_after(2):
                await b.receive()


async def test_end_of_stream_that_came_with_the_data_is_seen_after_a_short_read():
    async with connected() as (a, b, _):
        await a.send(b"data and FIN")
        await a.aclose()
        await anyio.sleep(0.02)  # both are here before the first receive
        assert await b.receive(100) == b"data and FIN"
        with pytest.raises(EndOfStream), anyio.fail_after(2):
            await b.receive()


@pytest.mark.parametrize("max_bytes", [len(LARGE), 2 * len(LARGE)])
@pytest.mark.parametrize("comes", ["before", "after"])
@pytest.mark.parametrize("what", ["data", "end", "reset"])
async def test_what_follows_a_large_piece_is_told(max_bytes: int, comes: str, what: str):
    """The receiver took all there was and waits for an event: none may be missing."""
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        await a.send(LARGE)
        await eventually(lambda: b.statistics().rcv_readable == len(LARGE))

        async def follow() -> None:
            if what == "data":
                await a.send(b"more")
            else:
                a.set_option(StreamOption.LINGER, 0 if what == "reset" else -1)
                await a.aclose()

        def has_followed() -> bool:
            found = b.statistics()
            return found.state.name != "ESTABLISHED" or found.rcv_readable > len(LARGE)

        if comes == "before":
            await follow()
            await eventually(has_followed)
        got = await b.receive(max_bytes)
        if comes == "after":
            tg.start_soon(follow)
        with anyio.fail_after(5):
            if what == "data":
                while len(got) < len(LARGE) + 4:
                    got += await b.receive()
                assert got == LARGE + b"more"
                return
            assert got == LARGE
            with pytest.raises(EndOfStream if what == "end" else BrokenResourceError):
                await b.receive()


async def test_after_local_close_even_when_the_peer_closed_first():
    async with connected() as (a, b, _):
        await a.aclose()
        await anyio.sleep(0.02)
        await b.aclose()
        with pytest.raises(ClosedResourceError):
            await b.receive()


async def test_reset_breaks_with_the_cause():
    async with connected() as (a, b, _):
        a.set_option(StreamOption.LINGER, 0)
        await a.aclose()
        for _ in range(2):
            with pytest.raises(BrokenResourceError) as caught:
                await b.receive()
            assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_reset_wakes_a_blocked_receiver():
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        a.set_option(StreamOption.LINGER, 0)
        tg.start_soon(a.aclose)
        with pytest.raises(BrokenResourceError) as caught:
            await b.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_what_was_received_comes_before_the_reset():
    async with connected() as (a, b, _):
        await a.send(b"before")
        await eventually(lambda: b.statistics().rcv_readable == 6)
        a.set_option(StreamOption.LINGER, 0)
        await a.aclose()
        await anyio.sleep(0.02)
        assert await b.receive() == b"before"
        with pytest.raises(BrokenResourceError):
            await b.receive()


async def test_cancelled_receive_takes_nothing():
    async with connected() as (a, b, _):
        for i in range(20):
            with anyio.move_on_after(0.002):
                await b.receive()
                pytest.fail("nothing was sent")
            await a.send(b"%d" % i)
            assert await b.receive() == b"%d" % i


async def test_cancellation_that_meets_the_data_loses_none():
    """The receiver has been woken by data, and is cancelled before it runs."""
    async with connected() as (a, b, _):
        got = bytearray()

        async def receiver(scope: anyio.CancelScope) -> None:
            with scope:
                got.extend(await b.receive())

        for i in range(60):
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as tg:
                tg.start_soon(receiver, scope)
                await anyio.lowlevel.checkpoint()
                await a.send(b"%02d" % i)
                for _ in range(i % 6):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        await a.send_eof()
        async for part in b:
            got += part
        assert got == b"".join(b"%02d" % i for i in range(60))


async def test_in_a_cancelled_scope_it_takes_nothing():
    async with connected() as (a, b, _):
        await a.send(b"here")
        await eventually(lambda: b.statistics().rcv_readable == 4)
        assert await raises_cancelled(b.receive)
        assert await b.receive() == b"here"


async def test_data_waits_in_the_window_not_in_python():
    """A reader that stops makes the sender stop: nothing reads ahead."""
    async with connected() as (a, b, _):
        with anyio.move_on_after(0.3) as scope:
            await a.send(bytes(20_000_000))
        assert scope.cancelled_caught
        assert b.statistics().rcv_readable > 0


async def test_is_a_checkpoint_with_and_without_waiting():
    async with connected() as (a, b, _):
        await a.send(b"12")
        await eventually(lambda: b.statistics().rcv_readable == 2)
        assert await counts_as_checkpoint(lambda: b.receive(1))
        assert await counts_as_checkpoint(lambda: b.receive(1))


async def test_second_receiver_is_refused():
    async with connected() as (a, b, _), anyio.create_task_group() as tg:
        tg.start_soon(b.receive)
        await anyio.sleep(0.01)
        with pytest.raises(BusyResourceError, match="already reading from this resource"):
            await b.receive()
        await a.send(b"for the first")


async def test_close_wakes_a_blocked_receiver():
    async with connected() as (_, b, _):
        woken = False

        async def receiver() -> None:
            nonlocal woken
            with pytest.raises(ClosedResourceError):
                await b.receive()
            woken = True

        async with anyio.create_task_group() as tg:
            tg.start_soon(receiver)
            await anyio.sleep(0.01)
            await b.aclose()
        assert woken


async def test_close_between_checkpoint_and_taking():
    """Data is there, so `receive` only yields; the stream is closed in that moment."""
    async with connected() as (a, b, _):
        await a.send(b"unread")
        await eventually(lambda: b.statistics().rcv_readable == 6)

        async def receiver() -> None:
            with pytest.raises(ClosedResourceError):
                await b.receive()

        async with anyio.create_task_group() as tg:
            tg.start_soon(receiver)
            tg.start_soon(b.aclose)


async def test_silent_peer_ends_in_a_timeout():
    """Data that is never acknowledged: TimeoutError as the cause, on both kinds of operation."""
    async with two_stacks(user_timeout=0.3, rto_min=0.05, rto_initial=0.05, linger=0.0) as stacks:
        a, b = await connect_pair(stacks)
        stacks.b.engine.fail(-16)  # the other end is deaf from now on
        await stacks.b.driver.stop()
        await a.send(b"hello?")
        with pytest.raises(BrokenResourceError) as caught, anyio.fail_after(5):
            await a.receive()
        assert isinstance(caught.value.__cause__, TimeoutError)
        with pytest.raises(BrokenResourceError) as caught:
            await a.send(b"hello?")
        assert isinstance(caught.value.__cause__, TimeoutError)
        await a.aclose()
        await b.aclose()


async def test_iteration_ends_with_the_stream():
    async with connected() as (a, b, _):
        await a.send(b"one")
        await a.send_eof()
        assert [part async for part in b] == [b"one"]


async def test_max_bytes_that_is_no_integer():
    async with connected() as (a, _, _):
        with pytest.raises(TypeError):
            await a.receive(1.5)
