"""The loop's stack: from the environment or given, when first needed, until the loop closes."""

import asyncio
import itertools
from functools import partial

import anyio
import pytest
from anyio.abc import SocketAttribute

import usertcp
import usertcp.asyncio
from support.asyncio_pairs import A4, B4, BASES, NOBODY4, Recorder, cables, eventually, on
from usertcp.testing import VirtualLoop

_numbers = itertools.count()


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> object:
    return BASES[request.param]


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """A memory link that the environment names."""
    name = f"memory:opening{next(_numbers)}"
    monkeypatch.setenv("USERTCP_LINK", name)
    monkeypatch.setenv("USERTCP_ADDRESS", f"{A4}/24, fd07::1/64")
    monkeypatch.delenv("USERTCP_BYPASS", raising=False)
    return name


def far(name: str, **options) -> object:
    return usertcp.open_stack(name, addresses=[f"{B4}/24"], **options)


def test_opened_when_first_needed(base, name: str):
    stacks = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert loop.usertcp.at_hand() is None
        servers = await asyncio.gather(
            *(loop.create_server(Recorder, A4, port) for port in (80, 81, 82))
        )
        stacks.append(await loop.usertcp.get())
        assert [str(i.ip) for i in stacks[0].addresses] == [A4, "fd07::1"]
        assert len(stacks[0].connections()) == 3
        with pytest.raises(RuntimeError):
            usertcp.current_stack()  # it is the loop's, not ambient
        async with far(name) as there:
            with on(there):
                transport, protocol = await loop.create_connection(Recorder, A4, 81)
            transport.close()
            await protocol.lost
        for server in servers:
            server.close()

    usertcp.asyncio.run(main(), base=base)
    assert stacks[0].engine.freed


def test_what_was_written_last_arrives_after_the_loop_has_ended(base, name: str):
    """Closing lingers, within bounds."""
    got, far_stacks = [], []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        opened = asyncio.create_task(far(name).__aenter__())  # whose context is not ours
        far_stacks.append(await opened)
        with on(far_stacks[0]):
            await loop.create_server(lambda: got.append(Recorder()) or got[-1], B4, 80)
        transport, _ = await loop.create_connection(Recorder, B4, 80)
        transport.write(bytes(200_000))  # and it returns at once

    with asyncio.Runner(loop_factory=usertcp.asyncio.loop_factory(base)) as runner:
        runner.run(main())
        loop = runner.get_loop()
    assert loop.is_closed()
    assert len(got[0].data) == 200_000
    far_stacks[0].engine.close_all(0)
    far_stacks[0].engine.free()


def test_given_stack(base):
    left, right = cables()
    opened = partial(
        usertcp.open_stack, left, addresses=[f"{A4}/24"], check_duplicates=False, linger=0.1
    )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, A4, 80)
        async with usertcp.open_stack(right, addresses=[f"{B4}/24"], linger=0.1) as there:
            transport, protocol = await loop.create_connection(Recorder, A4, 80)
            assert transport.get_extra_info("usertcp.stack") is there  # the ambient one
            transport.close()
            await protocol.lost
        server.close()

    with asyncio.Runner(loop_factory=usertcp.asyncio.loop_factory(base, opened)) as runner:
        runner.run(main())


@pytest.mark.parametrize(
    ("variables", "kind", "words"),
    [
        ({}, RuntimeError, "USERTCP_LINK and USERTCP_ADDRESS not set"),
        ({"USERTCP_LINK": "memory:x"}, RuntimeError, "USERTCP_ADDRESS not set"),
        ({"USERTCP_LINK": "x", "USERTCP_ADDRESS": "10.0.0.1/24"}, ValueError, "no kind of link"),
        ({"USERTCP_LINK": "memory:y", "USERTCP_ADDRESS": "ten"}, ValueError, "USERTCP_ADDRESS"),
        (
            {"USERTCP_LINK": "memory:z", "USERTCP_ADDRESS": "1.1.1.1/24", "USERTCP_GATEWAY": "x"},
            ValueError,
            "gateway: 'x'",
        ),
        (
            {"USERTCP_LINK": "packet:nosuchdevice", "USERTCP_ADDRESS": "10.0.0.1/24"},
            OSError,
            "nosuchdevice",
        ),
    ],
)
def test_environment_that_is_wrong(base, monkeypatch, variables, kind, words):
    for variable in ("LINK", "ADDRESS", "GATEWAY", "PCAP"):
        monkeypatch.delenv(f"USERTCP_{variable}", raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            with pytest.raises(kind, match=words):
                await loop.create_connection(Recorder, B4, 80)

    usertcp.asyncio.run(main(), base=base)


def test_gateway_and_capture(base, name: str, monkeypatch, tmp_path):
    monkeypatch.setenv("USERTCP_GATEWAY", f"{NOBODY4},fd07::9")
    monkeypatch.setenv("USERTCP_PCAP", str(tmp_path / "x.pcapng"))

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Recorder, A4, 80)
        server.close()

    usertcp.asyncio.run(main(), base=base)
    assert (tmp_path / "x.pcapng").stat().st_size > 0


def test_closed_inside_another_loop(name: str):
    made = usertcp.asyncio.new_event_loop()
    assert isinstance(made, usertcp.asyncio.EventLoop)
    stack = made.run_until_complete(made.usertcp.get())

    async def main() -> None:
        made.close()

    asyncio.run(main())
    assert stack.engine.freed
    made.close()


def test_over_a_loop_in_virtual_time():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = cables()
        options = {"check_duplicates": False, "linger": 0.1}
        async with (
            usertcp.open_stack(left, addresses=[f"{A4}/24"], **options) as here,
            usertcp.open_stack(right, addresses=[f"{B4}/24"], **options),
        ):
            with on(here), pytest.raises(TimeoutError):
                await loop.create_connection(Recorder, NOBODY4, 80)
            assert loop.time() > 10

    usertcp.asyncio.run(main(), base=VirtualLoop)


def test_anyio_on_the_loop(base, name: str, monkeypatch):
    """AnyIO's own functions: connect_tcp by the loop, create_tcp_listener by its ticket."""
    monkeypatch.setenv("USERTCP_BYPASS", "adopt")

    async def main() -> None:
        async with far(name) as there:
            multi = await there.create_tcp_listener(local_host=B4, local_port=80)
            (listener,) = multi.listeners
            token = usertcp._open._ambient.set(None)
            try:
                stream = await anyio.connect_tcp(B4, 80)
                server = await listener.accept()
                await stream.send(b"hello")
                assert await server.receive() == b"hello"
                raw = stream.extra(SocketAttribute.raw_socket)
                assert raw.gettimeout() == 0
                await stream.send(bytes(5_000_000)[:100_000])
                received = 0
                while received < 100_000:
                    received += len(await server.receive())
                await server.aclose()
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()
                await stream.aclose()
                assert raw.fileno() == -1
                await accepts_by_its_ticket(there)
            finally:
                usertcp._open._ambient.reset(token)
            await multi.aclose()

    async def accepts_by_its_ticket(there: usertcp.Stack) -> None:
        async with await anyio.create_tcp_listener(local_host="0.0.0.0") as listener:
            port = listener.extra(SocketAttribute.local_port)
            ends = []
            async with anyio.create_task_group() as tg:
                tg.start_soon(listener.serve, lambda s: _note(ends, s))
                await anyio.sleep(0.01)
                client = await there.connect_tcp(A4, port)
                await client.send(b"abc")
                await eventually(lambda: bool(ends))
                assert await ends[0].receive() == b"abc"
                await ends[0].aclose()
                await client.aclose()
                tg.cancel_scope.cancel()

    async def _note(ends, stream) -> None:
        ends.append(stream)

    factory = usertcp.asyncio.loop_factory(base)
    anyio.run(main, backend_options={"loop_factory": factory})
