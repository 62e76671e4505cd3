"""Busy polling: an idle loop looks at its link again before it sleeps. The peer is the kernel's.

What it gains is time, which no test here measures; what must hold is when it begins and ends.
"""

import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
import trio.testing

import usertcp
from support.netns import in_namespace, veth
from usertcp.netns import link_down, link_up

OURS, THEIRS = "10.7.0.2", "10.7.0.1"
SHORT, LONG = 20_000_000, 30_000_000_000  # ns
ROUNDS = 200
LOOPS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


def run(loop: str, main: Callable[[], object]) -> None:
    backend, options = LOOPS[loop]
    anyio.run(main, backend=backend, backend_options=options)  # type: ignore[arg-type]


def on_cable(loop: str) -> Callable[[Callable[[], object]], None]:
    """Runs what it decorates, at once: in namespaces of its own, with a cable to the kernel."""

    def decorate(main: Callable[[], object]) -> None:
        @in_namespace
        def inside() -> None:
            veth()
            run(loop, main)

        inside()

    return decorate


class Echo(threading.Thread):
    """A kernel socket that sends back what it gets, until the peer ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server((THEIRS, 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        conn, _ = self.listener.accept()
        with conn, self.listener:
            while data := conn.recv(65536):
                conn.sendall(data)


def opened(**options: float) -> AbstractAsyncContextManager[usertcp.Stack]:
    everything: dict[str, Any] = {"addresses": [f"{OURS}/24"], **options}
    return usertcp.open_stack("packet:v1", **everything)


@asynccontextmanager
async def connected(**options: float) -> AsyncIterator[tuple[usertcp.Stack, usertcp.TCPStream]]:
    """A stack, and its connection to an echo."""
    echo = Echo()
    async with opened(**options) as stack, await stack.connect_tcp(THEIRS, echo.port) as stream:
        yield stack, stream


async def ping(stream: usertcp.TCPStream) -> None:
    await stream.send(b"ping")
    assert await stream.receive() == b"ping"


def polls(stack: usertcp.Stack) -> tuple[int, int]:
    counters = stack.statistics().counters
    return counters["busy_polls"], counters["busy_poll_hits"]


# ---- the option ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-1e-6, 0.0011, math.inf, math.nan])
def test_what_is_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"busy_poll: .* between 0 and 0\.001"):
        opened(busy_poll=seconds)


@pytest.mark.parametrize("text", ["soon", "50us", "-0.0001", "1", "nan"])
def test_the_environment_is_checked_too(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERTCP_BUSY_POLL", text)
    with pytest.raises(ValueError, match=r"^USERTCP_BUSY_POLL: .* between 0 and 0\.001"):
        opened()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_argument_goes_before_the_environment(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERTCP_BUSY_POLL", "50e-6")

    @on_cable(backend)
    async def main() -> None:
        for given, expected in (({}, 50_000), ({"busy_poll": 0.0}, 0)):
            async with opened(**given) as stack:
                assert stack.driver.busy_ns == expected


# ---- where and when ------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_replies_are_met_without_sleep(loop: str) -> None:
    @on_cable(loop)
    async def main() -> None:
        async with connected(busy_poll=1e-3) as (stack, stream):
            with anyio.fail_after(60):  # on a busy machine replies may be there already
                while not polls(stack)[1]:
                    await ping(stream)
            began, hits = polls(stack)
            assert 0 < hits <= began


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_polls_unasked(loop: str) -> None:
    @on_cable(loop)
    async def main() -> None:
        async with connected() as (stack, stream):
            for _ in range(ROUNDS):
                await ping(stream)
            assert polls(stack) == (0, 0)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_quiet_link_is_left_alone(loop: str) -> None:
    """After frames have come it is looked at once more, and not for ever."""

    @on_cable(loop)
    async def main() -> None:
        async with connected(busy_poll=1e-3) as (stack, stream):
            await ping(stream)
            engine = stack.engine
            with anyio.fail_after(60):  # the kernel's last ACKs may come yet
                while True:
                    before = polls(stack)[0], engine.link_info().rx_frames, engine.polls
                    await anyio.sleep(0.1)
                    if before == (polls(stack)[0], engine.link_info().rx_frames, engine.polls):
                        break


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_link_in_memory_is_not_polled(backend: str) -> None:
    """Its other end is in this program, which would not run meanwhile."""

    async def main() -> None:
        memory = usertcp.open_stack("memory:busy-poll", addresses=["10.7.0.1/24"], busy_poll=1e-3)
        async with memory as stack:
            assert stack.driver.busy_ns == 0

    run(backend, main)


def test_nor_is_one_in_virtual_time() -> None:
    @in_namespace
    def inside() -> None:
        veth()

        async def main() -> None:
            async with opened(busy_poll=1e-3) as stack:
                assert stack.driver.busy_ns == 0

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.1))

    inside()


@pytest.mark.parametrize("loop", LOOPS)
def test_waits_are_cancelled_between_polls(loop: str) -> None:
    """While another connection keeps the link, and so the polling, alive."""

    @on_cable(loop)
    async def main() -> None:
        async with connected(busy_poll=1e-3) as (stack, stream):

            async def traffic() -> None:
                while True:
                    await ping(stream)

            listener = await stack.create_tcp_listener(local_port=80)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(traffic)
                    with anyio.move_on_after(0.2) as scope:
                        await listener.listeners[0].accept()
                    assert scope.cancelled_caught
                    # Timers of the loop are served as well.
                    while not polls(stack)[1]:  # noqa: ASYNC110 - nothing tells of it
                        await anyio.sleep(0.01)
                    group.cancel_scope.cancel()
            await listener.aclose()


# ---- one poll, which the test itself makes -------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_news_for_the_program_end_a_poll(backend: str) -> None:
    @on_cable(backend)
    async def main() -> None:
        async with connected(pump=False) as (stack, stream):
            await ping(stream)
            engine, handle = stack.engine, stream._end.handle
            assert engine.send(handle, b"again", stack.driver.now()) == 5
            began = time.monotonic_ns()
            frames = -1
            while frames < 0:
                frames = engine.busy_poll(LONG)
            assert engine.shared[1] == 1
            assert time.monotonic_ns() - began < LONG
            assert engine.busy_poll(LONG) == -1  # still waited for
            assert await stream.receive() == b"again"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_poll_without_news_ends_when_it_is_to(backend: str) -> None:
    @on_cable(backend)
    async def main() -> None:
        async with connected(pump=False) as (stack, stream):
            await ping(stream)
            engine = stack.engine
            engine.set_option(stream._end.handle, 1, 1, stack.driver.now())
            assert engine.busy_poll(SHORT) == -1  # the program was not idle
            began = time.monotonic_ns()
            assert engine.busy_poll(SHORT) >= 0
            assert time.monotonic_ns() - began >= SHORT
            await ping(stream)


def test_timers_are_served_meanwhile() -> None:
    """A segment is lost with the device, and sent again while the loop stands still."""

    @on_cable("asyncio")
    async def main() -> None:
        async with connected(pump=False) as (stack, stream):
            await ping(stream)
            link_down("v0")
            await stream.send(b"lost")
            began = time.monotonic()
            while not stream.statistics().rto_count and time.monotonic() - began < 30:
                stack.engine.busy_poll(SHORT)
            assert stream.statistics().rto_count > 0
            link_up("v0")
            with anyio.fail_after(60):
                assert await stream.receive() == b"lost"
