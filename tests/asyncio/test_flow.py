"""Watermarks: what counts as buffered, when the protocol is told."""

import asyncio

import pytest

from support.asyncio_pairs import Recorder, eventually, joined, on_loops

BLOB = bytes(8_000_000)  # more than both ends and the link between them hold


@on_loops
async def test_only_what_the_stack_has_not_taken_counts():
    async with joined() as (a, pa, b, _, _):
        b.pause_reading()
        a.write(bytes(1000))
        assert a.get_write_buffer_size() == 0
        a.write(BLOB)
        queued = a.get_extra_info("usertcp.connection").snd_queued
        assert 0 < a.get_write_buffer_size() < len(BLOB)
        assert queued > 0
        assert pa.calls == ["made", "pause"]


@on_loops
async def test_pause_and_resume_alternate():
    async with joined() as (a, pa, b, pb, _):
        assert a.get_write_buffer_limits() == (16384, 65536)
        for _ in range(3):
            b.pause_reading()
            a.write(BLOB)
            a.write(BLOB)
            b.resume_reading()
            await eventually(lambda: a.get_write_buffer_size() == 0, 10)
        assert pa.calls == ["made"] + ["pause", "resume"] * 3
        await eventually(lambda: len(pb.data) == 6 * len(BLOB), 10)


@on_loops
async def test_high_0_pauses_when_anything_is_left():
    async with joined() as (a, pa, b, _, _):
        a.set_write_buffer_limits(0)
        assert a.get_write_buffer_limits() == (0, 0)
        b.pause_reading()
        a.write(bytes(10))
        assert pa.calls == ["made"]
        a.write(BLOB)
        assert pa.calls == ["made", "pause"]
        b.resume_reading()
        await eventually(lambda: pa.calls[-1] == "resume", 10)
        assert a.get_write_buffer_size() == 0


@on_loops
async def test_new_limits_count_at_once():
    async with joined() as (a, pa, b, _, _):
        a.set_write_buffer_limits(10 * len(BLOB))
        b.pause_reading()
        a.write(BLOB)
        assert pa.calls == ["made"]
        a.set_write_buffer_limits(high=100, low=50)
        assert pa.calls == ["made", "pause"]
        with pytest.raises(ValueError, match="high"):
            a.set_write_buffer_limits(high=1, low=2)


@on_loops
async def test_writing_in_resume_writing():
    class Goes(Recorder):
        left = 5

        def resume_writing(self):
            super().resume_writing()
            if self.left:
                self.left -= 1
                self.transport.write(BLOB)

    async with joined(Goes()) as (a, pa, _, pb, _):
        a.write(BLOB)
        await eventually(lambda: len(pb.data) == 6 * len(BLOB), 20)
        assert pa.left == 0


@on_loops
async def test_drain_of_streams():
    async with joined() as (a, _, b, pb, _):
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        a.set_protocol(protocol)
        protocol.connection_made(a)
        writer = asyncio.StreamWriter(a, protocol, reader, asyncio.get_running_loop())
        b.pause_reading()
        writer.write(BLOB)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.05)
        b.resume_reading()
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await pb.lost
        assert len(pb.data) == len(BLOB)


@on_loops
async def test_many_small_writes_that_wait_are_joined():
    async with joined() as (a, _, b, pb, _):
        b.pause_reading()
        a.write(BLOB)
        parts = [b"%06d" % i for i in range(2000)]
        for part in parts:
            a.write(part)
        b.resume_reading()
        await eventually(lambda: len(pb.data) == len(BLOB) + 12_000, 10)
        assert pb.data[len(BLOB) :] == b"".join(parts)
