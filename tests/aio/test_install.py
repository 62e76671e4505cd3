"""`usertcp.install()`: AnyIO's own functions on the ambient stack, and back."""

import functools
import inspect
import logging
from collections.abc import Iterator
from functools import partial

import anyio
import pytest
from anyio import connect_tcp as early_connect
from anyio import create_tcp_listener as early_listener
from anyio.abc import SocketAttribute

import usertcp
from aio.pairs import A4, B4, B6, two_stacks
from usertcp import StreamAttribute, TCPListener, TCPStream
from usertcp import _install as private
from usertcp._open import _ambient

pytestmark = pytest.mark.anyio


@pytest.fixture
def installed() -> Iterator[None]:
    usertcp.install()
    yield
    usertcp.uninstall()


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = [anyio.connect_tcp.__code__, anyio.create_tcp_listener.__code__]
    yield
    assert [anyio.connect_tcp.__code__, anyio.create_tcp_listener.__code__] == before


async def ambient(stack, program, *args):
    """`program` where this stack is the ambient one."""
    token = _ambient.set(stack)
    try:
        return await program(*args)
    finally:
        _ambient.reset(token)


# ---- on a stack ----------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [False, True], ids=["by module", "taken before"])
async def test_both_functions_use_the_ambient_stack(early: bool, installed: None):
    listen = early_listener if early else anyio.create_tcp_listener
    connect = early_connect if early else anyio.connect_tcp
    async with two_stacks() as (a, b):
        multi = await ambient(b, partial(listen, local_host=B4, reuse_port=True))
        (listener,) = multi.listeners
        assert isinstance(listener, TCPListener)
        assert multi.extra(StreamAttribute.stack) is b
        port = multi.extra(SocketAttribute.local_port)
        stream = await ambient(a, connect, B4, port)
        assert isinstance(stream, TCPStream)
        assert stream.extra(StreamAttribute.stack) is a
        served = await listener.accept()
        await stream.send(b"by AnyIO's name")
        assert await served.receive() == b"by AnyIO's name"
        for one in (stream, served, multi):
            await one.aclose()


async def test_connectables_and_all_parameters(installed: None):
    async with two_stacks() as (a, b):
        multi = await ambient(b, partial(anyio.create_tcp_listener, local_port=8080, backlog=7))
        assert multi.listeners[0].statistics().backlog == 7
        stream = await ambient(a, anyio.TCPConnectable(B6, 8080).connect)
        assert stream.extra(SocketAttribute.remote_address) == (B6, 8080)
        second = await ambient(
            a, partial(anyio.connect_tcp, B4, 8080, local_host=A4, local_port=5555)
        )
        assert second.extra(SocketAttribute.local_address) == (A4, 5555)
        with pytest.raises(anyio.ConnectionFailed, match="All connection attempts failed"):
            await ambient(a, anyio.TCPConnectable(B4, 81).connect)
        for one in (stream, second, multi):
            await one.aclose()


async def test_tasks_of_the_program_inherit_it(installed: None):
    async with two_stacks() as (a, b):
        multi = await ambient(b, partial(anyio.create_tcp_listener, local_port=80))

        async def program() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(talk)

        async def talk() -> None:
            async with await anyio.connect_tcp(B4, 80) as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x"

        async def echo(stream) -> None:
            async with stream:
                await stream.send(await stream.receive())

        async with anyio.create_task_group() as group:
            group.start_soon(multi.serve, echo)
            await ambient(a, program)
            group.cancel_scope.cancel()
        await multi.aclose()


def test_on_an_event_loop_of_ours_without_an_ambient_stack(installed: None):
    async def main() -> None:
        with pytest.raises(RuntimeError):
            usertcp.current_stack()
        multi = await anyio.create_tcp_listener(local_port=80)
        stack = multi.extra(StreamAttribute.stack)
        async with (
            usertcp.open_stack("memory:installed", addresses=[f"{A4}/24"]) as far,
            await ambient(far, anyio.connect_tcp, B4, 80) as stream,
        ):
            assert stream.extra(StreamAttribute.stack) is far is not stack
        await multi.aclose()

    import usertcp.asyncio

    near = usertcp.open_stack("memory:installed", addresses=[f"{B4}/24"])
    usertcp.asyncio.run(main(), stack=near)


# ---- without one ---------------------------------------------------------------------------------


async def test_without_a_stack_it_says_so(installed: None):
    for call in (
        partial(anyio.connect_tcp, "127.0.0.1", 9),
        anyio.create_tcp_listener,
        anyio.TCPConnectable("127.0.0.1", 9).connect,
    ):
        with pytest.raises(RuntimeError, match=r"async with usertcp\.open_stack\("):
            await call()


async def test_the_policy_lets_the_kernel_have_it_and_tells_once(caplog):
    usertcp.install(bypass="kernel")
    try:
        with caplog.at_level(logging.WARNING, "usertcp"):
            multi = await anyio.create_tcp_listener(local_host="127.0.0.1")
            port = multi.extra(SocketAttribute.local_port)
            for _ in range(2):
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    assert not isinstance(stream, TCPStream)
                    await stream.send(b"x")
        await multi.aclose()
        async with two_stacks() as (_, b):
            ours = await ambient(b, anyio.create_tcp_listener)
            assert ours.extra(StreamAttribute.stack) is b
            await ours.aclose()
    finally:
        usertcp.uninstall()
    told = [one for one in caplog.messages if "left to the kernel" in one]
    assert [text.split(" without")[0] for text in told] == [
        "usertcp: anyio.create_tcp_listener",
        "usertcp: anyio.connect_tcp",
    ]


def test_the_policy_is_checked(monkeypatch):
    with pytest.raises(ValueError, match="bypass: 'maybe'"):
        usertcp.install(bypass="maybe")  # type: ignore[arg-type]
    monkeypatch.setenv("USERTCP_BYPASS", "perhaps")
    with pytest.raises(ValueError, match="USERTCP_BYPASS: 'perhaps'"):
        usertcp.install()


# ---- there and back ------------------------------------------------------------------------------


def test_again_and_back():
    before = anyio.connect_tcp.__code__
    signature = inspect.signature(anyio.connect_tcp)
    usertcp.uninstall()  # nothing to do
    usertcp.install()
    usertcp.install(bypass="kernel")
    assert anyio.connect_tcp is early_connect
    assert anyio.connect_tcp.__code__ is not before
    assert set(inspect.signature(anyio.connect_tcp).parameters) >= set(signature.parameters)
    usertcp.uninstall()
    assert anyio.connect_tcp.__code__ is before
    assert inspect.signature(anyio.connect_tcp) == signature
    usertcp.uninstall()


async def test_what_was_opened_goes_on_after_uninstall():
    usertcp.install()
    async with two_stacks() as (a, b):
        multi = await ambient(b, partial(anyio.create_tcp_listener, local_port=80))
        stream = await ambient(a, anyio.connect_tcp, B4, 80)
        usertcp.uninstall()
        served = await multi.listeners[0].accept()
        await stream.send(b"still")
        assert await served.receive() == b"still"
        for one in (stream, served, multi):
            await one.aclose()


async def _other_parameters(remote_host, remote_port, *, patience=1):
    raise NotImplementedError


@functools.wraps(anyio.connect_tcp)
async def _wrapped(*args, **kwargs):
    return await early_connect(*args, **kwargs)


def _closure():
    kept = early_connect

    async def create_tcp_listener(
        *, local_host=None, local_port=0, family=0, backlog=65536, reuse_port=False
    ):
        return await kept(local_host, local_port, family, backlog, reuse_port)

    return create_tcp_listener


@pytest.mark.parametrize(
    ("name", "instead", "words"),
    [
        ("connect_tcp", _other_parameters, "takes .*patience"),
        ("connect_tcp", _wrapped, "TCPConnectable does not use"),
        ("connect_tcp", None, "is no async function"),
        ("create_tcp_listener", lambda **_: None, "is no async function"),
        ("create_tcp_listener", _closure(), "wrapped by something else"),
    ],
)
def test_an_unknown_anyio_is_refused_and_left_alone(monkeypatch, name, instead, words):
    monkeypatch.setattr(anyio, name, instead)
    monkeypatch.setattr(private, "version", lambda _: "9.1")
    with pytest.raises(RuntimeError, match=rf"knows AnyIO 4\.10 to .*is AnyIO 9\.1.*{words}"):
        usertcp.install()
    assert private._state.originals == {}
    usertcp.uninstall()


def test_who_changed_it_since_is_not_undone():
    usertcp.install()
    ours = anyio.connect_tcp.__code__
    anyio.connect_tcp.__code__ = _other_parameters.__code__
    try:
        with pytest.raises(RuntimeError, match=r"not what usertcp\.install"):
            usertcp.uninstall()
        assert anyio.create_tcp_listener.__code__ is (private._create_tcp_listener.__code__)
    finally:
        anyio.connect_tcp.__code__ = ours
        usertcp.uninstall()
