"""Congestion controls by name."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

import usertcp
from aio.pairs import B4, two_stacks
from usertcp import Stack, StreamOption
from usertcp._sockopts import Options

pytestmark = pytest.mark.anyio
NAMES = usertcp.congestion_controls()


@asynccontextmanager
async def connected(
    a: Stack, b: Stack, listen: str | None = None, connect: str | None = None
) -> AsyncIterator[tuple[usertcp.TCPStream, usertcp.TCPStream]]:
    async with await b.create_tcp_listener(local_port=80, congestion=listen) as multi:
        with anyio.fail_after(5):
            async with (
                await a.connect_tcp(B4, 80, congestion=connect) as stream,
                await multi.listeners[0].accept() as accepted,
            ):
                yield stream, accepted


def name_of(stream: usertcp.TCPStream) -> str:
    return stream.statistics().congestion_control


def test_the_names():
    assert NAMES == ("cubic", "reno", "bbr")


async def test_by_stack_listener_and_stream():
    async with (
        two_stacks(congestion="reno") as (a, b),
        connected(a, b, "bbr", "cubic") as (stream, accepted),
        await a.connect_tcp(B4, 80) as plain,
    ):
        assert [name_of(one) for one in (stream, accepted, plain)] == ["cubic", "bbr", "reno"]
        accepted.set_congestion("reno")
        assert name_of(accepted) == "reno"
        assert accepted.get_option(StreamOption.CONGESTION) == NAMES.index("reno")
        await stream.send(b"x" * 10)
        assert len(await accepted.receive()) == 10


async def test_another_name_is_refused_with_those_there_are():
    match = "'vegas' is none of 'cubic', 'reno', 'bbr'"
    async with two_stacks() as (a, b), connected(a, b) as (stream, _):
        with pytest.raises(ValueError, match=match):
            stream.set_congestion("vegas")
        with pytest.raises(ValueError, match=match):
            await a.connect_tcp(B4, 80, congestion="vegas")
        with pytest.raises(ValueError, match=match):
            await b.create_tcp_listener(congestion="vegas")
        with pytest.raises(ValueError, match=match):
            usertcp.StackConfig(congestion="vegas").engine_fields()
        await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            stream.set_congestion("reno")


async def test_changed_in_the_middle_of_a_transfer():
    size = 1 << 20
    async with two_stacks() as (a, b), connected(a, b) as (stream, accepted):
        got = 0

        async def send() -> None:
            for number in range(size >> 16):
                stream.set_congestion(NAMES[number % len(NAMES)])
                await stream.send(bytes(1 << 16))
            await stream.send_eof()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            async for data in accepted:
                got += len(data)
        assert got == size


@pytest.mark.parametrize("name", NAMES)
def test_tcp_congestion_of_a_socket(name: str):
    class Unconnected:
        family = socket.AF_INET

        def engine_option(self, _option: StreamOption) -> None: ...
        def info(self) -> None: ...

    options = Options()
    told = options.set(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode() + b"\0")
    assert told == (StreamOption.CONGESTION, NAMES.index(name))
    raw = options.get(Unconnected(), socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    assert bytes(raw).rstrip(b"\0") == name.encode()
    assert Options(options).for_connection() == [told]
    with pytest.raises(OSError, match="No such file") as caught:
        options.set(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"vegas")
    assert caught.value.errno == errno.ENOENT
