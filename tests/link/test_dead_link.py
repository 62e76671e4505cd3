"""A device that is removed, or a stack that is closed, under running servers of every surface.

All who wait are told why, what comes later is refused in words, the program ends in order, and its
descriptors are given back. With the pump thread, as in real life.
"""

import asyncio
import errno
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import pytest
import trio

import usertcp
import usertcp.asyncio
import usertcp.trio
from aio import pairs
from support.asyncio_pairs import Recorder
from support.netns import in_namespace, veth
from usertcp import Stack, netns

eventually = partial(pairs.eventually, seconds=20)
KERNEL, OURS, NOBODY = "10.7.0.1", "10.7.0.2", "10.7.0.77"
BOTH = pytest.mark.parametrize("how", ["device removed", "stack closed"])
Told = dict[str, BaseException]
Die = Callable[[Stack], Awaitable[None]]


def opening() -> object:
    return usertcp.open_stack("packet:v1", addresses=[f"{OURS}/24"], linger=0.2)


async def remove_device(_: Stack) -> None:
    netns.link_delete("v1")


async def close_stack(stack: Stack) -> None:
    await stack.aclose(linger=0)


HOW: dict[str, Die] = {"device removed": remove_device, "stack closed": close_stack}


@contextmanager
def kernel_clients(count: int) -> Iterator[list[socket.socket]]:
    """Connect from a thread, say a word, and then read nothing."""
    made: list[socket.socket] = []

    def connect() -> None:
        for _ in range(count):
            sock = socket.create_connection((OURS, 80), timeout=20)
            made.append(sock)
            sock.sendall(b"hello")

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        yield made
    finally:
        thread.join()
        for sock in made:
            sock.close()


@contextmanager
def nothing_left_open() -> Iterator[None]:
    before = sorted(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads


def reason(error: BaseException) -> int | None:
    """The errno of an error, or of its cause or first part."""
    while not isinstance(error, OSError) or error.errno is None:
        inner = error.exceptions[0] if isinstance(error, ExceptionGroup) else error.__cause__
        assert inner is not None, repr(error)
        error = inner
    return error.errno


# ---- AnyIO ---------------------------------------------------------------------------------------


async def _anyio(die: Die) -> Told:
    told: Told = {}
    async with opening() as stack:
        multi = await stack.create_tcp_listener(local_port=80)
        (listener,) = multi.listeners

        async def waits(name: str, call: Callable[[], Awaitable[object]]) -> None:
            errors = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
            with pytest.raises(errors) as caught:
                await _for_ever(call)
            told[name] = caught.value

        with kernel_clients(2):
            one, two = [await listener.accept() for _ in range(2)]
            assert await one.receive() == await two.receive() == b"hello"
            async with anyio.create_task_group() as group:
                group.start_soon(waits, "accept", listener.accept)
                group.start_soon(waits, "receive", one.receive)
                group.start_soon(waits, "send", lambda: two.send(bytes(1 << 20)))
                group.start_soon(waits, "connect", lambda: stack.connect_tcp(NOBODY, 80))
                await eventually(lambda: two.statistics().snd_queued > 0 and len(told) == 0)
                await anyio.sleep(0.05)
                await die(stack)
        for name, call in (
            ("later connect", lambda: stack.connect_tcp(KERNEL, 80)),
            ("later listen", stack.create_tcp_listener),
            ("later send", lambda: one.send(b"x")),
            ("later receive", two.receive),
            ("later accept", listener.accept),
        ):
            await waits(name, call)
        for resource in (one, two, multi):
            await resource.aclose()
    return told


async def _for_ever(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        await call()


@BOTH
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@in_namespace
def test_anyio(backend: str, how: str):
    veth()
    options = {"use_uvloop": True} if backend == "uvloop" else {}
    name = "trio" if backend == "trio" else "asyncio"
    anyio.run(_anyio, HOW["stack closed"], backend=name, backend_options=options)  # imports
    with nothing_left_open():
        told = anyio.run(_anyio, HOW[how], backend=name, backend_options=options)
    waiting = {"accept", "receive", "send", "connect"}
    assert set(told) == waiting | {f"later {n}" for n in ("connect", "listen", *waiting)}
    if how == "device removed":
        for name in waiting:
            assert reason(told[name]) == errno.ENETDOWN, (name, told[name])
        assert "link has failed" in str(told["later connect"])
    else:
        for name in waiting:
            assert isinstance(told[name], anyio.ClosedResourceError), (name, told[name])
        assert "it is closed" in str(told["later connect"])


# ---- asyncio -------------------------------------------------------------------------------------


async def _asyncio(die: Die) -> Told:
    told: Told = {}
    loop = asyncio.get_running_loop()
    stack = await loop.usertcp.get()  # type: ignore[attr-defined]
    protocols: list[Recorder] = []

    def factory() -> Recorder:
        protocols.append(Recorder())
        return protocols[-1]

    server = await loop.create_server(factory, OURS, 80)
    serving = asyncio.create_task(server.serve_forever())
    connecting = asyncio.create_task(loop.create_connection(Recorder, NOBODY, 80))
    with kernel_clients(2):
        await eventually(lambda: sum(p.data == b"hello" for p in protocols) == 2)
        protocols[1].transport.write(bytes(8 << 20))
        await die(stack)
        async with asyncio.timeout(20):
            for number, protocol in enumerate(protocols):
                error = await protocol.lost
                assert error is not None
                told[f"lost {number}"] = error
            done = await asyncio.gather(serving, connecting, return_exceptions=True)
    told["serving"], told["connect"] = (error for error in done if isinstance(error, BaseException))
    assert not server.is_serving()
    for name, call in (
        ("later connect", lambda: loop.create_connection(Recorder, KERNEL, 80)),
        ("later listen", lambda: loop.create_server(Recorder, OURS, 81)),
    ):
        with pytest.raises(OSError, check=lambda exc: exc.errno == errno.ENETDOWN) as caught:
            await call()
        told[name] = caught.value
    await server.wait_closed()
    return told


@BOTH
@pytest.mark.parametrize("base", ["asyncio", "uvloop"])
@in_namespace
def test_asyncio(base: str, how: str):
    veth()
    logging.getLogger("usertcp").addHandler(handler := _Lines())
    over = None
    if base == "uvloop":
        over = pytest.importorskip("uvloop").Loop
    usertcp.asyncio.run(_asyncio(HOW["stack closed"]), base=over, stack=opening())
    handler.lines.clear()
    with nothing_left_open():
        told = usertcp.asyncio.run(_asyncio(HOW[how]), base=over, stack=opening())
    assert isinstance(told["serving"], asyncio.CancelledError)  # as of a server that is closed
    assert any("the server on" in line and "ends" in line for line in handler.lines)
    if how == "device removed":
        for name in ("lost 0", "lost 1", "connect"):
            assert reason(told[name]) == errno.ENETDOWN, (name, told[name])
    else:
        for name in ("lost 0", "lost 1", "connect"):
            assert isinstance(told[name], OSError), (name, told[name])


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


# ---- trio ----------------------------------------------------------------------------------------


async def _trio(die: Die) -> Told:
    told: Told = {}
    async with usertcp.trio.open_stack("packet:v1", addresses=[f"{OURS}/24"], linger=0.2) as stack:
        (listener,) = await trio.open_tcp_listeners(80, host=OURS)
        with kernel_clients(2):
            one, two = [await listener.accept() for _ in range(2)]
            assert await one.receive_some(5) == await two.receive_some(5) == b"hello"

            async def waits(name: str, call: Callable[[], Awaitable[object]]) -> None:
                errors = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
                with pytest.raises(errors) as caught:
                    await _for_ever(call)
                told[name] = caught.value

            async with trio.open_nursery() as nursery:
                nursery.start_soon(waits, "accept", listener.accept)
                nursery.start_soon(waits, "receive", one.receive_some)
                nursery.start_soon(waits, "send", lambda: two.send_all(bytes(1 << 20)))
                nursery.start_soon(waits, "connect", partial(trio.open_tcp_stream, NOBODY, 80))
                await trio.sleep(0.1)
                assert told == {}
                await die(stack)
            for name, call in (
                ("later connect", partial(trio.open_tcp_stream, KERNEL, 80)),
                ("later listen", partial(trio.open_tcp_listeners, 81, host=OURS)),
                ("later receive", one.receive_some),
                ("later accept", listener.accept),
            ):
                await waits(name, call)
            for resource in (one, two, listener):
                await resource.aclose()
    return told


@BOTH
@in_namespace
def test_trio(how: str):
    veth()
    trio.run(_trio, HOW["stack closed"])
    with nothing_left_open():
        told = trio.run(_trio, HOW[how])
    waiting = {"accept", "receive", "send", "connect"}
    later = {"connect", "listen", "receive", "accept"}
    assert set(told) == waiting | {f"later {name}" for name in later}
    if how == "device removed":
        assert reason(told.pop("accept")) == errno.ENODEV  # trio's listener ignores ENETDOWN
        for name in (*waiting & set(told), "later connect", "later listen"):
            assert reason(told[name]) == errno.ENETDOWN, (name, told[name])
