"""Connecting: the four failures, happy eyeballs, local addresses, cancellation, connectables."""

import errno
from socket import AF_INET, AF_INET6, gaierror

import anyio
import pytest
from anyio import ClosedResourceError, ConnectionFailed
from anyio.abc import ByteStreamConnectable, SocketAttribute

from aio.pairs import A4, A6, B4, B6, NOBODY4, NOBODY6, eventually, two_stacks
from usertcp import State, TCPStream

pytestmark = pytest.mark.anyio

QUICK = {"connect_timeout": 0.4, "rto_initial": 0.1}


async def listening(stack, host: str) -> tuple[object, int]:
    multi = await stack.create_tcp_listener(local_host=host)
    return multi, multi.extra(SocketAttribute.local_port)


def cause(caught: pytest.ExceptionInfo[OSError]) -> BaseException | None:
    assert str(caught.value) == "All connection attempts failed"
    return caught.value.__cause__


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [B4, B6])
async def test_refused(host: str):
    async with two_stacks() as (a, _):
        with pytest.raises(OSError, match="All") as caught:
            await a.connect_tcp(host, 1)
        why = cause(caught)
        assert isinstance(why, ConnectionRefusedError)
        assert why.errno == errno.ECONNREFUSED
        assert host in str(why)


async def test_no_answer():
    async with two_stacks(**QUICK) as (a, _):
        with pytest.raises(OSError, match="All") as caught, anyio.fail_after(5):
            await a.connect_tcp(NOBODY4, 1)
        why = cause(caught)
        assert isinstance(why, TimeoutError)
        assert why.errno == errno.ETIMEDOUT


async def test_nobody_on_the_ethernet():
    async with two_stacks(ethernet=True, connect_timeout=20.0) as (a, _):
        with pytest.raises(OSError, match="All") as caught, anyio.fail_after(15):
            await a.connect_tcp(NOBODY4, 1)
        why = cause(caught)
        assert isinstance(why, OSError)
        assert why.errno == errno.EHOSTUNREACH


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
async def test_no_route(host: str):
    async with two_stacks(ethernet=True) as (a, _):
        with pytest.raises(OSError, match="All") as caught:
            await a.connect_tcp(host, 1)
        why = cause(caught)
        assert isinstance(why, OSError)
        assert why.errno == errno.ENETUNREACH


async def test_local_address_that_is_not_ours():
    async with two_stacks() as (a, _):
        with pytest.raises(OSError, match="All") as caught:
            await a.connect_tcp(B4, 1, local_host=NOBODY4)
        why = cause(caught)
        assert isinstance(why, OSError)
        assert why.errno == errno.EADDRNOTAVAIL
        assert NOBODY4 in str(why)


async def test_local_port_that_is_taken():
    async with two_stacks() as (a, b):
        listener, port = await listening(b, B4)
        first = await a.connect_tcp(B4, port, local_host=A4, local_port=5000)
        with pytest.raises(OSError, match="All") as caught:
            await a.connect_tcp(B4, port, local_host=A4, local_port=5000)
        why = cause(caught)
        assert isinstance(why, OSError)
        assert why.errno == errno.EADDRINUSE
        await first.aclose()
        await listener.aclose()


@pytest.mark.parametrize(
    ("ports", "name"), [((-1, None), "remote_port"), ((65536, None), "remote_port"),
                        ((80, 70000), "local_port")]
)  # fmt: skip
async def test_port_out_of_range(ports, name: str):
    async with two_stacks() as (a, _):
        with pytest.raises(ValueError, match=name):
            await a.connect_tcp(B4, ports[0], local_host=A4, local_port=ports[1])


async def test_name_that_does_not_resolve():
    async with two_stacks() as (a, _):
        with pytest.raises(gaierror):
            await a.connect_tcp("no-such-host.invalid", 80)


# -- local addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "own"), [(B4, A4), (B6, A6)])
async def test_from_a_local_address(host: str, own: str):
    async with two_stacks() as (a, b):
        listener, port = await listening(b, host)
        stream = await a.connect_tcp(host, port, local_host=own, local_port=4321)
        assert stream.extra(SocketAttribute.local_address) == (own, 4321)
        assert stream.extra(SocketAttribute.remote_address) == (host, port)
        with pytest.raises(anyio.TypedAttributeLookupError):
            stream.extra(SocketAttribute.raw_socket)
        await stream.aclose()
        await listener.aclose()


# -- happy eyeballs --------------------------------------------------------------------------------


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names to addresses; what is not here goes to the real resolver."""
    table: dict[str, list[str]] = {}
    real = anyio.getaddrinfo

    async def resolve(host, port, *, family=0, **options):
        if host not in table:
            return await real(host, port, family=family, **options)
        families = [(AF_INET6 if ":" in text else AF_INET, text) for text in table[host]]
        return [(f, 1, 6, "", (text, port)) for f, text in families if family in (0, f)]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    return table


async def test_first_address_answers(names):
    names["b.test"] = [B4, B6]
    async with two_stacks() as (a, b):
        multi = await b.create_tcp_listener()
        stream = await a.connect_tcp("b.test", multi.extra(SocketAttribute.local_port))
        assert isinstance(stream, TCPStream)
        assert stream.extra(SocketAttribute.family) == AF_INET6  # IPv6 goes first
        await stream.aclose()
        await multi.aclose()


async def test_silent_address_is_overtaken(names):
    names["b.test"] = [NOBODY6, B4]
    async with two_stacks() as (a, b):
        listener, port = await listening(b, B4)
        with anyio.fail_after(5):
            began = anyio.current_time()
            stream = await a.connect_tcp("b.test", port, happy_eyeballs_delay=0.1)
            assert anyio.current_time() - began >= 0.09
        assert stream.extra(SocketAttribute.remote_address) == (B4, port)
        await eventually(lambda: all(c.state is not State.SYN_SENT for c in a.connections()))
        await stream.aclose()
        await listener.aclose()


async def test_refusal_goes_on_at_once(names):
    names["b.test"] = [B6, B4]
    async with two_stacks() as (a, b):
        listener, port = await listening(b, B4)
        with anyio.fail_after(5):
            stream = await a.connect_tcp("b.test", port, happy_eyeballs_delay=100)
        assert stream.extra(SocketAttribute.remote_address) == (B4, port)
        await stream.aclose()
        await listener.aclose()


async def test_late_second_winner_is_closed(names):
    names["b.test"] = [B6, B4]
    async with two_stacks() as (a, b):
        multi = await b.create_tcp_listener()
        port = multi.extra(SocketAttribute.local_port)
        stream = await a.connect_tcp("b.test", port, happy_eyeballs_delay=0)
        await eventually(lambda: sum(c.state is State.ESTABLISHED for c in a.connections()) == 1)
        await stream.aclose()
        await multi.aclose()


async def test_all_fail(names):
    names["b.test"] = [B6, B4, NOBODY4]
    async with two_stacks(**QUICK) as (a, _):
        with pytest.raises(OSError, match="All") as caught, anyio.fail_after(10):
            await a.connect_tcp("b.test", 1)
        group = cause(caught)
        assert isinstance(group, ExceptionGroup)
        kinds = sorted(type(e).__name__ for e in group.exceptions)
        assert kinds == ["ConnectionRefusedError", "ConnectionRefusedError", "TimeoutError"]


async def test_only_families_of_the_stack_are_tried(names):
    names["b.test"] = ["2001:db8::1", B4]
    names["six.test"] = ["2001:db8::1"]
    from aio.pairs import cables
    from usertcp import open_stack

    left, right = cables()
    async with (
        open_stack(left, addresses=["10.7.0.1/24"], **QUICK) as a,
        open_stack(right, addresses=["10.7.0.2/24"]) as b,
    ):
        listener, port = await listening(b, B4)
        with anyio.fail_after(1):
            stream = await a.connect_tcp("b.test", port, happy_eyeballs_delay=100)
        with pytest.raises(OSError, match=r"six\.test has AF_INET6 addresses") as caught:
            await a.connect_tcp("six.test", port)
        assert caught.value.errno == errno.ENETUNREACH
        await stream.aclose()
        await listener.aclose()


async def connect_and_close(stack, port: int) -> None:
    await anyio.aclose_forcefully(await stack.connect_tcp("b.test", port))


async def test_winner_of_a_cancelled_caller_is_closed(names):
    names["b.test"] = [B6, B4]
    async with two_stacks() as (a, b):
        multi = await b.create_tcp_listener()
        port = multi.extra(SocketAttribute.local_port)
        for turns in range(12):
            async with anyio.create_task_group() as tg:
                tg.start_soon(connect_and_close, a, port)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tg.cancel_scope.cancel()
        await multi.aclose()
        await eventually(lambda: not a.engine.endpoints)


# -- cancelling ------------------------------------------------------------------------------------


async def test_cancelled_attempt_leaves_nothing():
    async with two_stacks() as (a, _):
        with anyio.move_on_after(0.05) as scope:
            await a.connect_tcp(NOBODY4, 80)
        assert scope.cancelled_caught
        assert not a.engine.endpoints
        assert not [c for c in a.connections() if c.state is State.SYN_SENT]


async def test_in_a_cancelled_scope_no_packet_leaves():
    async with two_stacks() as (a, _):
        before = a.statistics().link.tx_frames
        with anyio.CancelScope() as scope:
            scope.cancel()
            await a.connect_tcp(B4, 80)
        assert scope.cancelled_caught
        assert a.statistics().link.tx_frames == before


async def test_many_at_once():
    async with two_stacks() as (a, b):
        listener, port = await listening(b, B4)
        streams = []

        async def one() -> None:
            streams.append(await a.connect_tcp(B4, port))

        async with anyio.create_task_group() as tg:
            for _ in range(100):
                tg.start_soon(one)
        assert len({s.extra(SocketAttribute.local_port) for s in streams}) == 100
        for stream in streams:
            await stream.aclose()
        await listener.aclose()


# -- connectables ----------------------------------------------------------------------------------


async def test_connectable():
    async with two_stacks() as (a, b):
        listener, port = await listening(b, B4)
        connectable = a.connectable(B4, port)
        assert isinstance(connectable, ByteStreamConnectable)
        assert anyio.as_connectable(connectable) is connectable
        async with await connectable.connect() as stream:
            assert stream.extra(SocketAttribute.remote_port) == port
        await listener.aclose()


async def test_connectable_that_fails():
    async with two_stacks() as (a, _):
        with pytest.raises(ConnectionFailed, match=f"error connecting to {B4}:1") as caught:
            await a.connectable(B4, 1).connect()
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("port", [0, 65536])
async def test_connectable_wants_a_port(port: int):
    async with two_stacks() as (a, _):
        with pytest.raises(ValueError, match="out of range"):
            a.connectable(B4, port)


async def test_on_a_closed_stack():
    async with two_stacks() as (a, _):
        await a.aclose()
        for call in (lambda: a.connect_tcp(B4, 80), a.create_tcp_listener):
            with pytest.raises(ClosedResourceError):
                await call()
