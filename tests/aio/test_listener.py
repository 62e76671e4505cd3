"""Listeners: AnyIO's rules for them, and the address logic of `create_tcp_listener`."""

import errno
from contextlib import suppress
from socket import AF_INET, AF_INET6

import anyio
import pytest
from anyio import BusyResourceError, ClosedResourceError
from anyio.abc import SocketAttribute
from anyio.streams.stapled import MultiListener

from aio.pairs import (
    A4,
    B4,
    B6,
    NOBODY4,
    counts_as_checkpoint,
    eventually,
    raises_cancelled,
    two_stacks,
)
from usertcp import State, StreamAttribute, TCPListener, TCPStream

pytestmark = pytest.mark.anyio


async def listen(stack, **options) -> TCPListener:
    multi = await stack.create_tcp_listener(**options)
    assert isinstance(multi, MultiListener)
    (listener,) = multi.listeners
    assert isinstance(listener, TCPListener)
    return listener


def port_of(listener) -> int:
    return listener.extra(SocketAttribute.local_port)


# -- accepting -------------------------------------------------------------------------------------


async def test_accepts_in_order_with_addresses():
    async with two_stacks() as (a, b), await listen(b, local_host=B4) as listener:
        clients = [await a.connect_tcp(B4, port_of(listener)) for _ in range(3)]
        for client in clients:
            served = await listener.accept()
            assert isinstance(served, TCPStream)
            for ours, theirs in ((client, served), (served, client)):
                assert ours.extra(SocketAttribute.local_address) == theirs.extra(
                    SocketAttribute.remote_address
                )
                assert ours.extra(SocketAttribute.local_port) == theirs.extra(
                    SocketAttribute.remote_port
                )
                assert ours.extra(SocketAttribute.family) == AF_INET
            assert served.extra(StreamAttribute.stack) is b
            assert served.extra(StreamAttribute.info).state is State.ESTABLISHED
            await served.aclose()
            await client.aclose()


async def test_addresses_outlive_the_stream():
    async with two_stacks() as (a, b), await listen(b, local_host=B6) as listener:
        client = await a.connect_tcp(B6, port_of(listener))
        await (await listener.accept()).aclose()
        await client.aclose()
        assert client.extra(SocketAttribute.remote_address) == (B6, port_of(listener))
        assert client.extra(SocketAttribute.family) == AF_INET6


async def test_close_wakes_a_pending_accept():
    async with two_stacks() as (_, b):
        listener = await listen(b)
        woken = False

        async def waits() -> None:
            nonlocal woken
            with pytest.raises(ClosedResourceError):
                await listener.accept()
            woken = True

        async with anyio.create_task_group() as tg:
            tg.start_soon(waits)
            await anyio.sleep(0.01)
            await listener.aclose()
        assert woken
        with pytest.raises(ClosedResourceError):
            await listener.accept()
        with pytest.raises(ClosedResourceError):
            listener.statistics()


async def test_second_accept_is_refused():
    async with (
        two_stacks() as (_, b),
        await listen(b) as listener,
        anyio.create_task_group() as tg,
    ):
        tg.start_soon(listener.accept)
        await anyio.sleep(0.01)
        with pytest.raises(BusyResourceError, match="already accepting connections from"):
            await listener.accept()
        tg.cancel_scope.cancel()


async def test_cancelled_accept_loses_no_connection():
    async with two_stacks() as (a, b), await listen(b, local_host=B4) as listener:
        with anyio.move_on_after(0.01):
            await listener.accept()
        client = await a.connect_tcp(B4, port_of(listener))
        await eventually(lambda: listener.statistics().accept_queue == 1)
        assert await raises_cancelled(listener.accept)
        served: list[TCPStream] = []
        assert await counts_as_checkpoint(lambda: accept_into(served, listener))
        await client.send(b"to the one")
        assert await served[0].receive() == b"to the one"
        await served[0].aclose()
        await client.aclose()


async def accept_into(found: list[TCPStream], listener: TCPListener) -> None:
    found.append(await listener.accept())


async def test_close_is_idempotent_forced_or_not():
    async with two_stacks() as (_, b):
        listener = await listen(b)
        assert await counts_as_checkpoint(listener.aclose)
        assert await counts_as_checkpoint(listener.aclose)
        again = await listen(b)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await again.aclose()
        assert scope.cancelled_caught
        with pytest.raises(ClosedResourceError):
            await again.accept()


async def test_port_is_free_again_after_close():
    async with two_stacks() as (_, b):
        listener = await listen(b, local_port=8080)
        await listener.aclose()
        await (await listen(b, local_port=8080)).aclose()


@pytest.mark.parametrize("own_group", [True, False])
async def test_serve(own_group: bool):
    async def echo(stream: TCPStream) -> None:
        async with stream:
            async for part in stream:
                await stream.send(part)

    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        multi = await b.create_tcp_listener()
        port = multi.extra(SocketAttribute.local_port)
        tg.start_soon(multi.serve, echo, None if own_group else tg)
        for host in (B4, B6):
            async with await a.connect_tcp(host, port) as client:
                await client.send(b"hello")
                assert await client.receive() == b"hello"
        tg.cancel_scope.cancel()
        await multi.aclose()


async def test_serve_ends_with_the_listener():
    async with two_stacks() as (_, b):
        listener = await listen(b)
        async with anyio.create_task_group() as tg:

            async def serves() -> None:
                with pytest.raises(ExceptionGroup) as caught:
                    await listener.serve(anyio.sleep)
                assert caught.group_contains(ClosedResourceError)

            tg.start_soon(serves)
            await anyio.sleep(0.01)
            await listener.aclose()


# -- addresses ------------------------------------------------------------------------------------


async def test_without_host_it_serves_both_families_on_one_port():
    async with two_stacks() as (a, b):
        listener = await listen(b)
        assert listener.extra(SocketAttribute.local_address) == ("::", port_of(listener))
        assert listener.extra(SocketAttribute.family) == AF_INET6
        for host, family in ((B4, AF_INET), (B6, AF_INET6)):
            client = await a.connect_tcp(host, port_of(listener))
            served = await listener.accept()
            assert served.extra(SocketAttribute.family) == family
            await client.aclose()
            await served.aclose()
        await listener.aclose()


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({"family": AF_INET}, B4),
        ({"family": AF_INET6}, B6),
        ({"local_host": "0.0.0.0"}, B4),
        ({"local_host": "::"}, B6),
    ],
)
async def test_one_family(options, host: str):
    other = B6 if host == B4 else B4
    async with two_stacks() as (a, b), await listen(b, **options) as listener:
        shown = "0.0.0.0" if host == B4 else host
        assert listener.extra(SocketAttribute.local_address) == (shown, port_of(listener))
        await (await a.connect_tcp(host, port_of(listener))).aclose()
        with pytest.raises(OSError, match="All connection attempts failed"):
            await a.connect_tcp(other, port_of(listener))


async def test_one_port_for_several_listeners(monkeypatch: pytest.MonkeyPatch):
    async def two(host, port, **_):
        return [(AF_INET, 1, 6, "", (B4, port)), (AF_INET6, 1, 6, "", (B6, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", two)
    async with two_stacks() as (_, b):
        multi = await b.create_tcp_listener(local_host="both.test")
        assert len(multi.listeners) == 2
        assert len({port_of(listener) for listener in multi.listeners}) == 1
        await multi.aclose()


async def test_taken_port():
    async with two_stacks() as (_, b), await listen(b, local_host=B4) as listener:
        with pytest.raises(OSError, match="in use") as caught:
            await b.create_tcp_listener(local_host=B4, local_port=port_of(listener))
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", [NOBODY4, A4, "fd07::9", "127.0.0.1"])
async def test_address_that_is_not_the_stacks(host: str):
    async with two_stacks() as (_, b):
        with pytest.raises(OSError, match=rf"the stack has {B4}, {B6}") as caught:
            await b.create_tcp_listener(local_host=host)
        assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("port", [-1, 65536])
async def test_port_out_of_range(port: int):
    async with two_stacks() as (_, b):
        with pytest.raises(ValueError, match="local_port"):
            await b.create_tcp_listener(local_port=port)


async def test_a_large_backlog_is_accepted():
    async with two_stacks() as (_, b), await listen(b, backlog=10**9) as listener:
        assert listener.statistics().backlog == 65536


@pytest.mark.parametrize("host", [None, B4, B6])
async def test_listeners_with_reuse_port_share_a_port(host: str | None):
    async with two_stacks() as (a, b), anyio.create_task_group() as group:
        served: list[int] = []
        listeners = []

        async def take(number: int, listener: TCPListener) -> None:
            with suppress(ClosedResourceError):
                while True:
                    async with await listener.accept():
                        served.append(number)

        port = 0
        for number in range(3):
            listener = await listen(b, local_host=host, local_port=port, reuse_port=True)
            port = port_of(listener)
            listeners.append(listener)
            group.start_soon(take, number, listener)
        await _connect_often(a, host or B4, port, 60)
        assert {*served} == {0, 1, 2}
        assert len(served) == 60
        await listeners[1].aclose()
        served.clear()
        await _connect_often(a, host or B4, port, 60)
        assert {*served} == {0, 2}
        with pytest.raises(OSError, match="in use"):
            await b.create_tcp_listener(local_host=host, local_port=port)
        group.cancel_scope.cancel()
    for listener in listeners:
        await listener.aclose()


async def _connect_often(stack, host: str, port: int, times: int) -> None:
    for _ in range(times):
        async with await stack.connect_tcp(host, port) as stream:
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False)])
async def test_reuse_port_must_be_asked_for_by_all(first: bool, second: bool):
    async with two_stacks() as (_, b):
        async with await listen(b, local_host=B4, reuse_port=first) as listener:
            port = port_of(listener)
            with pytest.raises(OSError, match="in use") as caught:
                await b.create_tcp_listener(local_host=B4, local_port=port, reuse_port=second)
            assert caught.value.errno == errno.EADDRINUSE
        async with await listen(b, local_host=B4, local_port=port, reuse_port=second):
            pass


async def test_backlog_refuses_no_one_it_has_room_for():
    async with two_stacks() as (a, b), await listen(b, local_host=B4, backlog=5) as listener:
        clients = [await a.connect_tcp(B4, port_of(listener)) for _ in range(5)]
        served = [await listener.accept() for _ in range(5)]
        for stream in clients + served:
            await stream.aclose()


@pytest.mark.filterwarnings("default:unclosed <TCP:ResourceWarning")
async def test_forgotten_listener_is_closed_with_a_warning():
    async with two_stacks() as (_, b):
        multi = await b.create_tcp_listener(local_port=8080)
        await anyio.sleep(0.01)
        with pytest.warns(ResourceWarning, match="unclosed <TCPListener"):
            del multi
        await (await listen(b, local_port=8080)).aclose()
