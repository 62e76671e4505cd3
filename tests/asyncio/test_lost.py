"""How connections end that their user did not close: resets, time-outs; writing afterwards."""

import asyncio
import errno
import logging

from support.asyncio_pairs import A4, NOBODY4, Recorder, join, joined, on, on_loops, raises
from usertcp import StreamOption
from usertcp._errors import Code
from usertcp.asyncio import Transport

DATA = bytes(i * 7 % 256 for i in range(300_000))


async def reset(b: Transport) -> None:
    sock = b._sock
    sock.endpoint.engine.set_option(sock.endpoint.handle, StreamOption.LINGER, 0, sock._now())
    b.abort()


@on_loops
async def test_reset_is_told_once():
    async with joined() as (a, pa, b, _, _):
        await reset(b)
        assert isinstance(await pa.lost, ConnectionResetError)
        assert pa.calls == ["made", "lost"]
        assert a.is_closing()


@on_loops
async def test_data_before_a_reset_comes_first():
    async with joined() as (a, pa, b, _, _):
        a.pause_reading()
        b.write(b"last words")
        await asyncio.sleep(0.01)
        await reset(b)
        await asyncio.sleep(0.01)
        a.resume_reading()
        assert isinstance(await pa.lost, ConnectionResetError)
        assert pa.data == b"last words"


@on_loops
async def test_reset_while_bytes_wait():
    async with joined() as (a, pa, b, _, _):
        b.pause_reading()
        a.pause_reading()
        a.write(DATA * 40)
        await reset(b)
        assert isinstance(await pa.lost, ConnectionResetError)
        assert pa.calls == ["made", "pause", "lost"]


@on_loops
async def test_peer_is_silent_for_too_long():
    async with joined(user_timeout=0.2, rto_min=0.05, linger=0.05) as (a, pa, _, _, stacks):
        await stacks.b.driver.stop()
        a.write(b"hello?")
        assert isinstance(await pa.lost, TimeoutError)


@on_loops
async def test_writes_after_the_end_are_dropped_and_told_of(caplog):
    async with joined() as (a, pa, b, _, _):
        await reset(b)
        await pa.lost
        with caplog.at_level(logging.WARNING):
            for _ in range(4):
                a.write(b"x")
            assert not caplog.records
            a.write(b"x")
            a.write(b"x")
            assert caplog.records


@on_loops
async def test_link_that_fails():
    loop = asyncio.get_running_loop()
    async with joined() as (a, pa, _, _, stacks):
        with on(stacks.a):
            server = await loop.create_server(Recorder, A4, 0)
        paused = await join(stacks)
        paused.a.pause_reading()
        paused.b.pause_reading()
        paused.a.write(DATA * 40)
        waiting = asyncio.create_task(_connect(stacks.a))
        await asyncio.sleep(0.01)
        stacks.a.engine.fail(-Code.LINK_DOWN)
        for lost in (pa.lost, paused.pa.lost):
            exc = await lost
            assert isinstance(exc, OSError)
            assert exc.errno == errno.ENETDOWN
        with raises(errno.ENETDOWN):
            await waiting
        with raises(errno.ENETDOWN):
            await _connect(stacks.a)
        await server.wait_closed()
        assert a.is_closing()
        paused.b.abort()


async def _connect(stack) -> None:
    with on(stack):
        await asyncio.get_running_loop().create_connection(Recorder, NOBODY4, 80)
