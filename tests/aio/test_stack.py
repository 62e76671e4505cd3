"""Stacks: opening, the ambient one, looking, closing under users, a link that fails."""

import errno
from ipaddress import ip_interface

import anyio
import pytest
from anyio import BrokenResourceError, ClosedResourceError
from anyio.abc import SocketAttribute

import usertcp
from aio.pairs import A4, B4, Cable, cables, connect, connected, eventually, fill, two_stacks
from usertcp import State, StreamOption
from usertcp._core import lib

pytestmark = pytest.mark.anyio

OPEN = {"addresses": ["10.7.0.1/24"]}


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"addresses": []}, ValueError, "at least one"),
        ({"addresses": "10.7.0.1/24"}, TypeError, "a list"),
        ({"addresses": ["10.7.0.1"]}, ValueError, r"'10.7.0.1' has no prefix length"),
        ({"addresses": ["10.7.0.256/24"]}, ValueError, r"10.7.0.256/24"),
        ({"addresses": ["10.7.0.1/33"]}, ValueError, r"10.7.0.1/33"),
        ({"addresses": ["224.0.0.1/24"]}, ValueError, "224.0.0.1/24"),
        ({"addresses": ["::/64"]}, ValueError, "::/64"),
        ({**OPEN, "gateway": "nowhere"}, ValueError, "gateway: 'nowhere'"),
        ({**OPEN, "seed": b"short"}, ValueError, "16 bytes"),
        ({**OPEN, "seed": -1}, ValueError, "128 bits"),
        ({**OPEN, "rcv_bufer": 1}, TypeError, "did you mean 'rcv_buffer'"),
        ({**OPEN, "rcv_buffer": 100_000}, ValueError, "not a power of two"),
        ({**OPEN, "msl": -1.0}, ValueError, "msl"),
        ({**OPEN, "port_first": 70_000}, ValueError, "port_first: 70000"),
    ],
)
async def test_bad_argument(options, error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        usertcp.open_stack("memory:nobody", **options)


@pytest.mark.parametrize("url", ["nonsense", "ether:eth0", "packet:", "memory:x?mtu=big"])
async def test_bad_url(url: str):
    with pytest.raises(ValueError, match="link"):
        async with usertcp.open_stack(url, **OPEN):
            pass


async def test_two_links():
    with pytest.raises(ValueError, match="one link, 2 were given"):
        usertcp.open_stack(["memory:a", "memory:b"], **OPEN)


async def test_option_out_of_range():
    cable = Cable()
    with pytest.raises(ValueError, match="max_connections: 1000000000000 is out of range"):
        async with usertcp.open_stack(cable, **OPEN, max_connections=10**12):
            pass
    cable.close()


async def test_cannot_be_entered_twice():
    context = usertcp.open_stack(Cable(), **OPEN)
    async with context:
        with pytest.raises(RuntimeError, match="call it again"):
            await context.__aenter__()


def test_outside_a_loop():
    context = usertcp.open_stack(Cable(), **OPEN)
    with pytest.raises(RuntimeError, match="needs a running event loop"):
        context.__aenter__().send(None)


# -- duplicates of our addresses -------------------------------------------------------------------


async def test_addresses_are_usable_when_it_opens():
    """IPv6 asks the link for other users first, and `open_stack` waits for that."""
    left, right = cables(ethernet=True)
    async with (
        usertcp.open_stack(left, addresses=["fd07::1/64"]) as a,
        usertcp.open_stack(right, addresses=["fd07::2/64"], check_duplicates=False) as b,
    ):
        multi = await b.create_tcp_listener(local_port=80)
        await (await a.connect_tcp("fd07::2", 80, local_host="fd07::1")).aclose()
        await multi.aclose()


async def test_address_that_another_station_has():
    left, right = cables(ethernet=True)
    async with usertcp.open_stack(right, addresses=["fd07::1/64"], check_duplicates=False):
        with pytest.raises(OSError, match="fd07::1/64: another station has it") as caught:
            async with usertcp.open_stack(left, addresses=["fd07::1/64"]):
                pass
        assert caught.value.errno == errno.EADDRINUSE


# -- two ends -------------------------------------------------------------------------------------


async def test_by_url_two_ends_meet():
    async with (
        usertcp.open_stack("memory:meet", addresses=[f"{A4}/24"]) as a,
        usertcp.open_stack("memory:meet", addresses=[f"{B4}/24"]) as b,
    ):
        multi = await b.create_tcp_listener()
        port = multi.extra(SocketAttribute.local_port)
        async with await a.connect_tcp(B4, port) as stream:
            await stream.send(b"over a named cable")
        await multi.aclose()


# -- looking ---------------------------------------------------------------------------------------


async def test_connections():
    async with connected() as (a, b, stacks):
        await a.send(b"x" * 1000)
        await b.receive()
        (row,) = stacks.a.connections()
        assert row.state is State.ESTABLISHED
        assert str(row.state) == "ESTABLISHED"
        assert row.error is None
        assert row.local == a.extra(SocketAttribute.local_address)
        assert row.remote == a.extra(SocketAttribute.remote_address)
        assert row.bytes_sent >= 1000
        assert row.nodelay
        assert row == a.statistics()
        multi = await stacks.a.create_tcp_listener(local_host=A4, local_port=7)
        listening = [r for r in stacks.a.connections() if r.state is State.LISTEN]
        assert [r.local for r in listening] == [(A4, 7)]
        await multi.aclose()


async def test_statistics():
    async with connected() as (_, _, stacks):
        found = stacks.a.statistics()
        assert found.link.tx_frames > 0
        assert found.link.mtu == 1500
        assert found.polls > 0
        assert found.memory_in_use > 0
        assert all(isinstance(v, int) for v in found.counters.values())
        assert stacks.a.addresses == (ip_interface("10.7.0.1/24"), ip_interface("fd07::1/64"))


async def test_transitions():
    async with connected(trace_capacity=100) as (a, _, stacks):
        states = [(t.from_state, t.to_state) for t in stacks.a.transitions()]
        assert states == [
            (State.CLOSED, State.SYN_SENT),
            (State.SYN_SENT, State.ESTABLISHED),
        ]
        await a.aclose()
        assert stacks.a.transitions()[0].to_state is State.FIN_WAIT_1


async def test_options():
    async with connected() as (a, _, _):
        assert a.get_option(StreamOption.NODELAY) == 1
        a.set_option(StreamOption.NODELAY, 0)
        assert a.get_option(StreamOption.NODELAY) == 0
        with pytest.raises(ValueError, match="TTL"):
            a.set_option(StreamOption.TTL, 1000)
        await a.aclose()
        with pytest.raises(ClosedResourceError):
            a.get_option(StreamOption.NODELAY)
        with pytest.raises(ClosedResourceError):
            a.set_option(StreamOption.NODELAY, 1)


async def test_capture(tmp_path):
    path = tmp_path / "passed.pcapng"
    async with connected(capture=None):
        pass
    async with usertcp.open_stack(Cable(), **OPEN, capture=str(path)):
        pass
    assert path.read_bytes()[:4] == b"\n\r\r\n"


async def test_capture_that_cannot_be_written():
    with pytest.raises(OSError, match="no-such-dir") as caught:
        async with usertcp.open_stack(Cable(), **OPEN, capture="/no-such-dir/x.pcapng"):
            pass
    assert caught.value.errno == errno.ENOENT


# -- closing ---------------------------------------------------------------------------------------


async def test_closing_wakes_everybody():
    async with two_stacks() as stacks:
        a, b = await connect(stacks)
        multi = await stacks.a.create_tcp_listener(local_host=A4)
        await fill(a)
        woken: list[str] = []

        async def waits(name: str, operation) -> None:
            with pytest.raises(ClosedResourceError):
                await operation()
            woken.append(name)

        async with anyio.create_task_group() as tg:
            tg.start_soon(waits, "receive", a.receive)
            tg.start_soon(waits, "send", lambda: a.send(bytes(1_000_000)))
            tg.start_soon(waits, "accept", multi.listeners[0].accept)
            tg.start_soon(waits, "connect", lambda: stacks.a.connect_tcp("10.7.0.9", 80))
            await anyio.sleep(0.05)
            await stacks.a.aclose(linger=0)
        assert sorted(woken) == ["accept", "connect", "receive", "send"]
        for operation in (a.receive, lambda: a.send(b"x"), a.send_eof, multi.listeners[0].accept):
            with pytest.raises(ClosedResourceError):
                await operation()
        for look in (stacks.a.connections, stacks.a.statistics, stacks.a.transitions, a.statistics):
            with pytest.raises(ClosedResourceError):
                look()
        await a.aclose()
        await multi.aclose()
        await stacks.a.aclose()
        await b.aclose()
        assert "closed" in repr(stacks.a)


async def test_many_stacks_one_after_the_other():
    for _ in range(10):
        async with connected() as (a, b, _):
            await a.send(b"x")
            assert await b.receive() == b"x"


# -- a link that fails -----------------------------------------------------------------------------


async def test_link_failure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    async with two_stacks() as stacks:
        a, b = await connect(stacks)
        multi = await stacks.a.create_tcp_listener(local_host=A4)
        await fill(a)
        broken: list[Exception] = []

        async def waits(operation) -> None:
            try:
                await operation()
            except (BrokenResourceError, OSError) as exc:
                broken.append(exc)

        async with anyio.create_task_group() as tg:
            tg.start_soon(waits, a.receive)
            tg.start_soon(waits, lambda: a.send(bytes(1_000_000)))
            tg.start_soon(waits, multi.listeners[0].accept)
            tg.start_soon(waits, lambda: stacks.a.connect_tcp("10.7.0.9", 80))
            await anyio.sleep(0.05)
            pointer = stacks.a.engine._stack
            monkeypatch.setattr(
                "usertcp._binding._poll",
                lambda s, *args: -lib.UT_E_LINK_DOWN if s == pointer else lib.ut_poll(s, *args),
            )
            stacks.a.driver._kick()
            await eventually(lambda: len(broken) == 4)
        for error in broken:
            cause = error.__cause__
            assert isinstance(cause, OSError)
            assert cause.errno == errno.ENETDOWN
        for operation in (a.receive, lambda: a.send(b"x"), a.send_eof, multi.listeners[0].accept):
            with pytest.raises(ClosedResourceError):
                await operation()
        with pytest.raises(ClosedResourceError, match="its link has failed"):
            await stacks.a.connect_tcp(B4, 80)
        await anyio.sleep(0.01)
        assert caplog.text.count("link under the stack failed") == 1
        await a.aclose()
        await multi.aclose()
        await b.aclose()
