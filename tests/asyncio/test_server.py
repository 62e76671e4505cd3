"""create_server and its Server, create_connection: arguments, failures, the life of a server."""

import asyncio
import errno
import logging
import socket
from functools import partial

import pytest

from support.asyncio_pairs import (
    A4,
    A6,
    B4,
    B6,
    NOBODY4,
    Recorder,
    eventually,
    handled,
    on,
    on_loops,
    spins,
    two_stacks,
)  # fmt: skip
from usertcp.asyncio import Socket


async def connect(stack, port: int, host: str = B4, protocol=Recorder, **options):
    with on(stack):
        return await asyncio.get_running_loop().create_connection(protocol, host, port, **options)


def port_of(server) -> int:
    return server.sockets[0].getsockname()[1]


async def serve(stack, *args, factory=Recorder, **options):
    with on(stack):
        return await asyncio.get_running_loop().create_server(factory, *args, **options)


@on_loops
async def test_addresses_of_a_server():
    async with two_stacks() as stacks:
        for host, names in [
            (B4, [(B4, 8000)]),
            (None, [("0.0.0.0", 8000), ("::", 8000, 0, 0)]),
            ("", [("0.0.0.0", 8000), ("::", 8000, 0, 0)]),
            ("0.0.0.0", [("0.0.0.0", 8000)]),
            ([B4, B6, B4], [(B4, 8000), (B6, 8000, 0, 0)]),
        ]:
            server = await serve(stacks.b, host, 8000)
            assert [sock.getsockname() for sock in server.sockets] == names
            assert server.is_serving()
            for name in (B4, B6):
                if ":" in name and len(names) == 1:
                    continue
                transport, protocol = await connect(stacks.a, 8000, name)
                assert transport.get_extra_info("peername")[0] == name
                transport.close()
                await protocol.lost
            server.close()
            await server.wait_closed()
            assert server.sockets == ()
            with pytest.raises(ConnectionRefusedError):
                await connect(stacks.a, 8000)


@on_loops
async def test_loopback_is_the_stacks_own_address(caplog):
    async with two_stacks() as stacks:
        with caplog.at_level(logging.WARNING, "usertcp.asyncio"):
            server = await serve(stacks.b, "127.0.0.1", 8000)
        assert "127.0.0.1" in caplog.text
        assert server.sockets[0].getsockname() == (B4, 8000)
        server.close()


@on_loops
async def test_ports_and_addresses_that_cannot_be_had():
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 8000)
        for host, code in [(B4, errno.EADDRINUSE), (A4, errno.EADDRNOTAVAIL)]:
            with pytest.raises(OSError, match="bind") as caught:
                await serve(stacks.b, host, 8000)
            assert caught.value.errno == code
        assert len(stacks.b.connections()) == 1
        server.close()
        with pytest.raises(ValueError, match="host"):
            await serve(stacks.b)
        with pytest.raises(TypeError):
            await serve(stacks.b, B4, 8000, ssl=True)
        with pytest.raises(ValueError, match="ssl"):
            await serve(stacks.b, B4, 8000, ssl_handshake_timeout=1)
        with pytest.raises(OverflowError):
            await serve(stacks.b, B4, 70000)


@on_loops
async def test_serving_begins_later():
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 8000, start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await connect(stacks.a, 8000)
        await server.start_serving()
        await server.start_serving()
        assert server.is_serving()
        transport, _ = await connect(stacks.a, 8000)
        transport.abort()
        server.close()
        assert not server.is_serving()
        assert server.get_loop() is asyncio.get_running_loop()
        server.close()


@on_loops
async def test_serve_forever_and_context():
    async with two_stacks() as stacks:
        async with await serve(stacks.b, B4, 0) as server:
            task = asyncio.create_task(server.serve_forever())
            await spins()
            with pytest.raises(RuntimeError):
                await server.serve_forever()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not server.is_serving()
        with pytest.raises(RuntimeError):
            await server.serve_forever()


@on_loops
async def test_wait_closed_waits_for_clients():
    async with two_stacks() as stacks:
        made = []
        server = await serve(stacks.b, B4, 0, factory=lambda: made.append(Recorder()) or made[-1])
        transport, _ = await connect(stacks.a, port_of(server))
        await eventually(lambda: bool(made and made[0].transport))
        waiter = asyncio.create_task(server.wait_closed())
        await spins()
        assert not waiter.done()
        server.close()
        await spins()
        assert not waiter.done()
        transport.close()
        await waiter
        await server.wait_closed()


@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
@on_loops
async def test_clients_are_ended(how: str):
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 0)
        ends = [await connect(stacks.a, port_of(server)) for _ in range(5)]
        await asyncio.sleep(0.02)
        server.close()
        getattr(server, how)()
        await server.wait_closed()
        for _, protocol in ends:
            assert await protocol.lost is None


@on_loops
async def test_many_at_once():
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 0, backlog=500)
        port = port_of(server)
        ends = await asyncio.gather(*(connect(stacks.a, port) for _ in range(300)))
        for transport, protocol in ends:
            transport.close()
            await protocol.lost
        server.close()
        await server.wait_closed()


@on_loops
async def test_protocol_factory_that_fails():
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 0, factory=lambda: 1 // 0)
        with handled() as contexts:
            _, protocol = await connect(stacks.a, port_of(server))
            await protocol.lost
        assert isinstance(contexts[0]["exception"], ZeroDivisionError)
        server.close()


@on_loops
async def test_stack_closed_under_a_server(caplog):
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 0)
        task = asyncio.create_task(server.serve_forever())
        await spins()
        await stacks.b.aclose()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not server.is_serving()
        assert "ends" in caplog.text


# ---- create_connection ---------------------------------------------------------------------------


@on_loops
async def test_failures_of_connecting():
    async with two_stacks(connect_timeout=0.3, rto_initial=0.1) as stacks:
        with pytest.raises(ConnectionRefusedError):
            await connect(stacks.a, 9)
        with pytest.raises(OSError, match="of this host") as caught:
            await connect(stacks.a, 9, "127.0.0.1")
        assert caught.value.errno == errno.ENETUNREACH
        with pytest.raises(TimeoutError):
            await connect(stacks.a, 9, NOBODY4)
        with pytest.raises(OSError, match="of this host") as caught:
            await connect(stacks.a, 9, A4)
        with pytest.raises(ExceptionGroup) as group:
            await connect(stacks.a, 9, all_errors=True)
        assert isinstance(group.value.exceptions[0], ConnectionRefusedError)
        for options in (
            {"server_hostname": "x"}, {"ssl_handshake_timeout": 1}, {"ssl_shutdown_timeout": 1},
            {"sock": socket.socket}, {"proto": 17},
        ):  # fmt: skip
            with pytest.raises(ValueError, match=r"ssl|sock|proto"):
                await connect(stacks.a, 9, **options)
        assert stacks.a.connections() == []


@on_loops
async def test_local_address():
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 0)
        transport, _ = await connect(stacks.a, port_of(server), local_addr=(A4, 4444))
        assert transport.get_extra_info("sockname") == (A4, 4444)
        with pytest.raises(OSError, match="in use"):
            await connect(stacks.a, port_of(server), local_addr=(A4, 4444))
        with pytest.raises(OSError, match="local address"):
            await connect(stacks.a, port_of(server), local_addr=(A6, 0))
        transport.abort()
        server.close()


def resolver(*hosts: str):
    async def getaddrinfo(host, port, **_):
        return [
            (socket.AF_INET6, 1, 6, "", (h, port, 0, 0)) if ":" in h
            else (socket.AF_INET, 1, 6, "", (h, port))
            for h in hosts
        ]  # fmt: skip

    return getaddrinfo


@on_loops
async def test_names_with_several_addresses(monkeypatch):
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        server = await serve(stacks.b, B4, 8000)
        monkeypatch.setattr(type(loop), "getaddrinfo", staticmethod(resolver(B6, NOBODY4, B4)))
        started = loop.time()
        transport, _ = await connect(stacks.a, 8000, "name", happy_eyeballs_delay=0.05)
        assert transport.get_extra_info("peername") == (B4, 8000)
        assert loop.time() - started < 1
        transport.abort()
        monkeypatch.setattr(type(loop), "getaddrinfo", staticmethod(resolver(B6, B4)))
        transport, _ = await connect(stacks.a, 8000, "name")
        assert transport.get_extra_info("peername") == (B4, 8000)
        transport.abort()
        server.close()
        with pytest.raises(OSError, match="Multiple exceptions"):
            await connect(stacks.a, 8000, "name")
        assert {c.state.name for c in stacks.a.connections()} <= {"TIME_WAIT", "FIN_WAIT_2"}


@on_loops
async def test_cancelled_connect_leaves_nothing():
    async with two_stacks() as stacks:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connect(stacks.a, 9, NOBODY4), 0.02)
        assert stacks.a.connections() == []
        server = await serve(stacks.b, B4, 0)
        task = asyncio.create_task(connect(stacks.a, port_of(server)))
        await spins(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.close()
        server.close_clients()
        await server.wait_closed()


# ---- SO_REUSEPORT --------------------------------------------------------------------------------


class Told(Recorder):
    """A server's protocol that says which server it is of."""

    def __init__(self, number: int, told: list[int]) -> None:
        super().__init__()
        self._number, self._told = number, told

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._told.append(self._number)


@on_loops
async def test_servers_with_reuse_port_share_a_port():
    async with two_stacks() as stacks:
        told: list[int] = []
        servers = [
            await serve(stacks.b, B4, 8000, factory=partial(Told, n, told), reuse_port=True)
            for n in range(3)
        ]
        await _connect_often(stacks.a, told, 60)
        assert {*told} == {0, 1, 2}
        with pytest.raises(OSError, match="in use"):
            await serve(stacks.b, B4, 8000)
        servers.pop(1).close()
        told.clear()
        await _connect_often(stacks.a, told, 40)
        assert {*told} == {0, 2}
        for server in servers:
            server.close()
        last = await serve(stacks.b, B4, 8000)
        with pytest.raises(OSError, match="in use"):
            await serve(stacks.b, B4, 8000, reuse_port=True)
        last.close()


async def _connect_often(stack, told: list[int], times: int) -> None:
    for number in range(times):
        transport, protocol = await connect(stack, 8000)
        await eventually(lambda: len(told) > number)  # noqa: B023
        transport.abort()
        await protocol.lost


@on_loops
async def test_a_socket_with_so_reuseport_shares_a_port():
    async with two_stacks() as stacks:
        with on(stacks.b):
            loop = asyncio.get_running_loop()
            socks = [Socket(socket.AF_INET) for _ in range(2)]
            for sock in socks:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.bind((B4, 8000))
            servers = [await loop.create_server(Recorder, sock=sock) for sock in socks]
            other = Socket(socket.AF_INET)
            other.bind((B4, 8000))
            with pytest.raises(OSError, match="in use"):
                await loop.create_server(Recorder, sock=other)
            other.close()
        for server in servers:
            server.close()
