"""The transport's contract, row by row: order of calls, reading, half-close, the end, errors."""

import asyncio
import contextvars
import gc
import warnings

import pytest

from support.asyncio_pairs import (
    A4,
    B4,
    B6,
    Buffered,
    Recorder,
    eventually,
    handled,
    join,
    joined,
    on,
    on_loops,
    spins,
    two_stacks,
)  # fmt: skip
from usertcp import State
from usertcp._errors import Code
from usertcp.asyncio import Socket, _calls

DATA = bytes(i * 7 % 256 for i in range(300_000))


@on_loops
async def test_calls_come_in_order():
    async with joined() as (a, pa, b, pb, _):
        assert pa.calls == ["made"]  # create_connection returns after connection_made
        a.write(DATA)
        a.close()
        assert await pb.lost is None
        assert await pa.lost is None
        assert pa.calls == ["made", "lost"]
        assert [call for call in pb.calls if call != "data"] == ["made", "eof", "lost"]
        assert pb.data == DATA
        b.close()
        await spins()
        assert pb.calls.count("lost") == 1


@pytest.mark.parametrize("host", [B4, B6])
@on_loops
async def test_data_goes_both_ways(host: str):
    async with joined(host=host) as (a, pa, b, pb, _):
        a.write(DATA)
        b.write(DATA[::-1])
        await eventually(lambda: len(pa.data) == len(pb.data) == len(DATA))
        assert (pa.data, pb.data) == (DATA[::-1], DATA)


@on_loops
async def test_a_short_exchange_wakes_no_future():
    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

        def connection_lost(self, exc):
            pass

    async with joined(pb=Echo()) as (a, pa, _, _, stacks):
        polls = stacks.b.engine.polls
        for i in range(10):
            a.write(b"%02d" % i)
            await eventually(lambda n=2 * i + 2: len(pa.data) == n)
        assert stacks.b.engine.polls - polls < 60


@on_loops
async def test_a_piece_that_was_all_is_one_call(monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    real = _calls._recv

    def counted(*args):
        calls.append(real(*args))
        return calls[-1]

    monkeypatch.setattr(_calls, "_recv", counted)
    async with joined() as (a, _, _, pb, _):
        a.write(b"warm")
        await eventually(lambda: len(pb.data) == 4)
        calls.clear()
        a.write(bytes(100_000))
        await eventually(lambda: len(pb.data) == 100_004)
        assert -Code.WOULD_BLOCK not in calls


@on_loops
async def test_what_may_be_written():
    async with joined() as (a, _, _, pb, _):
        whole = bytearray(b"abc")
        a.write(whole)
        whole[:] = b"xyz"
        a.write(memoryview(b"def"))
        a.write(b"")
        a.writelines([b"gh", bytearray(b"i"), memoryview(b"j")])
        a.writelines([])
        for wrong in ("text", 7, None, [b"x"]):
            with pytest.raises(TypeError):
                a.write(wrong)
        await eventually(lambda: pb.data == b"abcdefghij")


@on_loops
async def test_buffered_bytearray_may_change_afterwards():
    async with joined() as (a, _, b, pb, _):
        b.pause_reading()
        data = bytearray(DATA * 20)
        copy = bytes(data)
        a.write(data)
        assert a.get_write_buffer_size() > 0
        data[:] = bytes(len(data))
        b.resume_reading()
        await eventually(lambda: len(pb.data) == len(copy), 10)
        assert pb.data == copy


@on_loops
async def test_half_close():
    async with joined(pb=Recorder(keep_open=True)) as (a, pa, b, pb, _):
        assert a.can_write_eof()
        a.write(b"question")
        a.write_eof()
        a.write_eof()
        for call in (a.write, lambda data: a.writelines([data])):
            with pytest.raises(RuntimeError):
                call(b"more")
        await pb.eof.wait()
        assert pb.data == b"question"
        assert not b.is_closing()
        b.write(b"answer")
        await eventually(lambda: pa.data == b"answer")
        b.close()
        assert await pb.lost is None
        assert await pa.lost is None


@on_loops
async def test_eof_after_what_was_buffered():
    async with joined(pb=Recorder(keep_open=True)) as (a, _, b, pb, _):
        b.pause_reading()
        a.write(DATA * 20)
        assert a.get_write_buffer_size() > 0
        a.write_eof()
        b.resume_reading()
        await pb.eof.wait()
        assert len(pb.data) == len(DATA) * 20


@on_loops
async def test_falsy_eof_received_closes():
    async with joined() as (a, pa, _, pb, _):
        a.write_eof()
        assert await pb.lost is None
        assert await pa.lost is None
        assert a.is_closing()


@on_loops
async def test_pause_reading_closes_the_window():
    async with joined() as (a, _, b, pb, _):
        assert b.is_reading()
        b.pause_reading()
        b.pause_reading()
        assert not b.is_reading()
        a.write(DATA * 40)
        await eventually(lambda: a.get_extra_info("usertcp.connection").snd_wnd == 0)
        assert pb.data == b""
        b.resume_reading()
        b.resume_reading()
        assert b.is_reading()
        await eventually(lambda: len(pb.data) == len(DATA) * 40, 10)
        assert pb.data == DATA * 40


@on_loops
async def test_pause_in_data_received_stops_at_once():
    class Once(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async with joined(pb=Once()) as (a, _, b, pb, _):
        for expected in (b"x", b"xy", b"xyx"):
            a.write(expected[-1:])
            await eventually(lambda data=expected: pb.data == data)
            assert not b.is_reading()
            a.write(b"later")
            await asyncio.sleep(0.01)
            assert pb.data == expected
            b.resume_reading()
            await eventually(lambda data=expected: pb.data == data + b"later")
            del pb.data[len(expected) :]
            b.resume_reading()


@on_loops
async def test_buffered_protocol():
    async with joined(pb=Buffered(777)) as (a, _, _, pb, _):
        a.write(DATA)
        await eventually(lambda: len(pb.data) == len(DATA))
        assert pb.data == DATA
        a.close()
        assert await pb.lost is None


@on_loops
async def test_protocol_may_be_changed_for_another_kind():
    async with joined() as (a, _, b, pb, _):
        a.write(b"one")
        await eventually(lambda: pb.data == b"one")
        other = Buffered()
        b.set_protocol(other)
        assert b.get_protocol() is other
        a.write(b"two")
        await eventually(lambda: other.data == b"two")
        b.set_protocol(pb)
        a.write(b"three")
        await eventually(lambda: pb.data == b"onethree")


@on_loops
async def test_close_delivers_all():
    data = DATA * 40
    async with joined() as (a, pa, _, pb, _):
        a.write(data)
        a.close()
        assert a.is_closing()
        assert not a.is_reading()
        assert await pa.lost is None
        assert await pb.lost is None
        assert pb.data == data


@on_loops
async def test_abort_drops_only_what_the_stack_has_not_taken():
    async with joined() as (a, pa, b, pb, _):
        b.pause_reading()
        a.write(DATA * 40)
        taken = len(DATA) * 40 - a.get_write_buffer_size()
        assert 0 < taken < len(DATA) * 40
        a.abort()
        assert await pa.lost is None
        b.resume_reading()
        assert await pb.lost is None
        assert len(pb.data) == taken


@pytest.mark.parametrize("where", ["data_received", "eof_received"])
@on_loops
async def test_error_in_a_callback_ends_the_connection(where: str):
    pb = Recorder()

    def fails(*_):
        raise ZeroDivisionError

    setattr(pb, where, fails)
    async with joined(pb=pb) as (a, _, b, _, _):
        with handled() as contexts:
            a.write(b"x")
            a.write_eof()
            assert isinstance(await pb.lost, ZeroDivisionError)
        (context,) = contexts
        assert where in context["message"]
        assert context["transport"] is b
        assert context["protocol"] is pb


@pytest.mark.parametrize("where", ["get_buffer", "buffer_updated", "empty"])
@on_loops
async def test_error_in_a_buffered_callback(where: str):
    pb = Buffered(0 if where == "empty" else 10)
    if where != "empty":
        setattr(pb, where, lambda _: 1 // 0)
    async with joined(pb=pb) as (a, _, _, _, _):
        with handled() as contexts:
            a.write(b"x")
            kind = RuntimeError if where == "empty" else ZeroDivisionError
            assert isinstance(await pb.lost, kind)
        assert len(contexts) == 1


@on_loops
async def test_unclosed_transport_warns():
    async with two_stacks() as stacks:
        ends = await join(stacks)
        ends.a.pause_reading()
        ends.pa.transport = None
        b, pb = ends.b, ends.pb
        del ends
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            gc.collect()
        assert [w.category for w in found if "transport" in str(w.message)] == [ResourceWarning]
        await pb.lost
        b.abort()


@on_loops
async def test_callbacks_run_in_the_context_of_the_maker():
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    class Looks(Recorder):
        def connection_made(self, transport):
            seen.append(variable.get())
            super().connection_made(transport)

        def data_received(self, data):
            seen.append(variable.get())

        def connection_lost(self, exc):
            seen.append(variable.get())
            super().connection_lost(exc)

    async with two_stacks() as stacks:
        variable.set(7)
        _, pa, b, _, _ = await join(stacks, Looks())
        variable.set(8)
        b.write(b"x")
        await eventually(lambda: len(seen) == 2)
        b.close()
        await pa.lost
        assert seen == [7, 7, 7]


@on_loops
async def test_extra_information():
    async with joined() as (a, _, b, _, stacks):
        sock = a.get_extra_info("socket")
        assert sock.getpeername() == a.get_extra_info("peername") == (B4, sock.getpeername()[1])
        assert sock.getsockname() == a.get_extra_info("sockname") == b.get_extra_info("peername")
        assert isinstance(a._sock, Socket)
        assert a.get_extra_info("usertcp.connection").state == State.ESTABLISHED
        assert a.get_extra_info("usertcp.stack") is stacks.a
        assert a.get_extra_info("nothing", 5) == 5
        a.close()
        await spins(5)
        assert a.get_extra_info("peername")[0] == B4
        assert a.get_extra_info("sockname")[0] == A4
        assert a.get_extra_info("usertcp.connection") is None
        assert sock.fileno() == -1
        with pytest.raises(OSError, match="descriptor"):
            sock.getpeername()


@on_loops
async def test_stack_closed_under_a_transport():
    async with joined() as (a, pa, _, pb, stacks):
        await stacks.a.aclose()
        assert isinstance(await pa.lost, ConnectionAbortedError)
        with on(stacks.a), pytest.raises(OSError, match="closed"):
            await asyncio.get_running_loop().create_connection(Recorder, B4, 1)
        assert await pb.lost is None
        assert a.is_closing()
