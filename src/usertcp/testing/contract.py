"""AnyIO's contract of byte streams and listeners, as checks for anybody's implementation.

    await check_stream(make_pair)          # make_pair: async, gives two connected streams
    await check_listener(make_listener)    # async, gives (listener, connect)

Each check takes a fresh pair. Where the contract leaves a choice, both choices pass; where AnyIO's
own tests pin it down, so do these. Failures are AssertionErrors that name the check.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import anyio
from anyio import (
    BrokenResourceError,
    BusyResourceError,
    ClosedResourceError,
    EndOfStream,
    aclose_forcefully,
)

from usertcp.testing._contract_listener import LISTENER_CHECKS, ListenerMaker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import ByteStream

    StreamMaker: TypeAlias = Callable[[], Awaitable[tuple[ByteStream, ByteStream]]]

_LONG = 1 << 20
_PATIENCE = 60.0


async def _read_all(stream: ByteStream, sink: bytearray) -> None:
    try:
        while True:
            chunk = await stream.receive()
            assert chunk, "receive() must never give b''"
            sink += chunk
    except EndOfStream:
        pass


async def passes_bytes(a: ByteStream, b: ByteStream) -> None:
    await a.send(b"hello")
    got = b""
    while len(got) < 5:
        chunk = await b.receive(3)
        assert 1 <= len(chunk) <= 3
        got += chunk
    assert got == b"hello"


async def refuses_bad_sizes(a: ByteStream, _b: ByteStream) -> None:
    for size in (0, -1):
        try:
            await a.receive(size)
        except ValueError:
            continue
        raise AssertionError(f"receive({size}) raised no ValueError")


async def sends_nothing(a: ByteStream, b: ByteStream) -> None:
    await a.send(b"")
    await a.send(b"x")
    assert await b.receive() == b"x"


async def carries_a_lot_both_ways(a: ByteStream, b: ByteStream) -> None:
    rng = random.Random(1)
    texts = [rng.randbytes(_LONG), rng.randbytes(_LONG)]
    sinks = [bytearray(), bytearray()]

    async def send(stream: ByteStream, text: bytes) -> None:
        at = 0
        while at < len(text):
            size = rng.randint(1, 100_000)
            await stream.send(text[at : at + size])
            at += size
        await stream.send_eof()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, a, texts[0])
        tasks.start_soon(send, b, texts[1])
        tasks.start_soon(_read_all, b, sinks[0])
        tasks.start_soon(_read_all, a, sinks[1])
    for sink, text in zip(sinks, texts, strict=True):
        # Not compared in the assertion: under CI pytest would draw the difference of megabytes.
        same = bytes(sink) == text
        assert same, f"of {len(text)} bytes sent, {len(sink)} arrived, or others"


async def half_closes(a: ByteStream, b: ByteStream) -> None:
    await a.send(b"last")
    await a.send_eof()
    await a.send_eof()
    sink = bytearray()
    await _read_all(b, sink)
    assert bytes(sink) == b"last"
    await _expect(EndOfStream, b.receive())
    await b.send(b"still")
    assert await a.receive() == b"still"
    await _expect(Exception, a.send(b"more"))  # which one differs, even between AnyIO's own


async def closing_ends_the_other_side(a: ByteStream, b: ByteStream) -> None:
    await a.send(b"before")
    await a.aclose()
    sink = bytearray()
    await _read_all(b, sink)
    assert bytes(sink) == b"before", "what was sent before aclose() must arrive"
    await a.aclose()


async def refuses_after_close(a: ByteStream, b: ByteStream) -> None:
    await b.send(b"unread")
    await a.aclose()
    await _expect(ClosedResourceError, a.receive())
    await _expect(ClosedResourceError, a.send(b"x"))


async def closed_even_if_the_peer_closed_first(a: ByteStream, b: ByteStream) -> None:
    await b.aclose()
    await _expect(EndOfStream, a.receive())
    await a.aclose()
    await _expect(ClosedResourceError, a.receive())


async def breaks_with_a_cause(a: ByteStream, b: ByteStream) -> None:
    """Data for a closed stream: the sender learns it is broken, and why."""
    await b.aclose()
    try:
        with anyio.fail_after(_PATIENCE):
            while True:
                await a.send(b"x" * 1000)
                await anyio.sleep(0.01)
    except BrokenResourceError as exc:
        if exc.__cause__ is None:
            raise AssertionError("BrokenResourceError needs a __cause__") from exc


async def one_reader_at_a_time(a: ByteStream, b: ByteStream) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a.receive)
        await anyio.wait_all_tasks_blocked()
        await _expect(BusyResourceError, a.receive())
        await b.send(b"x")


async def one_writer_at_a_time(a: ByteStream, b: ByteStream) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_send_for_ever, a)
        await anyio.sleep(0.5)
        await _expect(BusyResourceError, a.send(b"x"))
        tasks.cancel_scope.cancel()
    await aclose_forcefully(b)


async def cancelled_receive_loses_nothing(a: ByteStream, b: ByteStream) -> None:
    with anyio.move_on_after(0.05) as scope:
        await a.receive()
    assert scope.cancelled_caught
    await b.send(b"data")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await a.receive()
    assert scope.cancelled_caught, "receive() in a cancelled scope must not succeed"
    assert await a.receive() == b"data"


async def cancelled_send_sends_a_prefix(a: ByteStream, b: ByteStream) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await a.send(b"never")
    assert scope.cancelled_caught
    big = bytes(range(256)) * (32 * 1024)
    with anyio.move_on_after(0.5) as scope:
        await a.send(big)
    if not scope.cancelled_caught:
        big = b""  # the implementation takes 8 MiB at once: then there is nothing to see
    sink = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read_all, b, sink)
        await a.send(b"END")
        await a.send_eof()
    got = bytes(sink).removesuffix(b"END")
    assert len(sink) == len(got) + 3
    assert not big or big.startswith(got), "bytes of a cancelled send() came out of order"


async def close_wakes_the_reader(a: ByteStream, _b: ByteStream) -> None:
    async def read() -> None:
        await _expect(ClosedResourceError, a.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await a.aclose()


async def close_wakes_the_writer(a: ByteStream, _b: ByteStream) -> None:
    async def write() -> None:
        await _expect(ClosedResourceError, _send_for_ever(a))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.sleep(0.5)
        await a.aclose()


async def forced_close_closes(a: ByteStream, b: ByteStream) -> None:
    await aclose_forcefully(a)
    await _expect(ClosedResourceError, a.receive())
    with anyio.fail_after(_PATIENCE):
        await _expect((EndOfStream, BrokenResourceError), b.receive())


async def yields_to_other_tasks(a: ByteStream, b: ByteStream) -> None:
    """Each operation is a checkpoint, also when it could go on at once."""

    async def yields(operation: Callable[[], Awaitable[object]]) -> bool:
        ran = False
        result: list[bool] = []

        async def other() -> None:
            nonlocal ran
            ran = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await operation()
            result.append(ran)
        return result[0]

    await a.send(bytes(100))
    await anyio.sleep(0.5)
    # On trio who runs first is drawn by lot: twenty times the wrong draw does not happen.
    for operation in (lambda: a.send(b"x"), lambda: b.receive(1)):
        if not any([await yields(operation) for _ in range(20)]):
            raise AssertionError("send() and receive() must let other tasks run")


STREAM_CHECKS = (
    passes_bytes, refuses_bad_sizes, sends_nothing, carries_a_lot_both_ways, half_closes,
    closing_ends_the_other_side, refuses_after_close, closed_even_if_the_peer_closed_first,
    breaks_with_a_cause, one_reader_at_a_time, one_writer_at_a_time,
    cancelled_receive_loses_nothing, cancelled_send_sends_a_prefix, close_wakes_the_reader,
    close_wakes_the_writer, forced_close_closes, yields_to_other_tasks,
)  # fmt: skip


async def _send_for_ever(stream: ByteStream) -> None:
    while True:
        await stream.send(bytes(65536))


async def _expect(
    kinds: type[Exception] | tuple[type[Exception], ...], awaitable: Awaitable[object]
) -> None:
    try:
        result = await awaitable
    except kinds:
        return
    raise AssertionError(f"expected {kinds}, got {result!r}")


async def check_stream(
    maker: StreamMaker, *, only: Callable[[ByteStream, ByteStream], Awaitable[None]] | None = None
) -> None:
    """Every check (or `only` one) on a pair of its own, and on the pair the other way round."""
    for check in STREAM_CHECKS if only is None else (only,):
        for flipped in (False, True):
            pair = await maker()
            a, b = reversed(pair) if flipped else pair
            try:
                with anyio.fail_after(10 * _PATIENCE):
                    await check(a, b)
            except Exception as exc:
                exc.add_note(f"check_stream: {check.__name__}{' (flipped)' if flipped else ''}")
                raise
            finally:
                await aclose_forcefully(a)
                await aclose_forcefully(b)


async def check_listener(maker: ListenerMaker) -> None:
    """Every check on a listener of its own; see ListenerMaker for what `maker` gives."""
    for check in LISTENER_CHECKS:
        listener, connect = await maker()
        try:
            with anyio.fail_after(10 * _PATIENCE):
                await check(listener, connect)
        except Exception as exc:
            exc.add_note(f"check_listener: {check.__name__}")
            raise
        finally:
            await aclose_forcefully(listener)
