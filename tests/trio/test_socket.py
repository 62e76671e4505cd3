"""What each method of a socket means: receiving, sending, names, ports, readiness."""

import errno
import select
import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import usertcp
from support.trio_pairs import (
    A4,
    B4,
    B6,
    cables,
    connect,
    connected,
    fill,
    listen,
    make,
    net,
    on_trio,
    raises,
)  # fmt: skip
from usertcp.trio import SocketFactory

# ---- receiving and sending -----------------------------------------------------------------------


@on_trio
async def test_each_way_to_receive():
    async with connected() as (client, server):
        await client.send(bytes(range(32)))
        await trio.sleep(0.01)
        assert await server.recv(3, socket.MSG_PEEK) == b"\0\1\2"
        assert await server.recv(3) == b"\0\1\2"
        buffer = bytearray(8)
        assert await server.recv_into(buffer, 4) == 4
        assert buffer == b"\3\4\5\6\0\0\0\0"
        assert await server.recv_into(memoryview(buffer)[6:]) == 2
        assert buffer[6:] == b"\7\10"
        assert await server.recv_into(buffer, 2, socket.MSG_PEEK) == 2
        assert await server.recvfrom(1) == (b"\11", None)
        assert await server.recvfrom_into(buffer, 1) == (1, None)
        assert await server.recvmsg(1, 100) == (b"\13", [], 0, None)
        one, two = bytearray(2), bytearray(100)
        count, ancillary, flags, name = await server.recvmsg_into([one, two])
        assert (count, ancillary, flags, name) == (20, [], 0, None)
        assert one + two[:18] == bytes(range(12, 32))
        client.close()
        assert await server.recv_into(buffer) == 0
        assert await server.recv(1) == b""
        assert await server.recv(1) == b""


@on_trio
async def test_bad_arguments():
    async with connected() as (client, server):
        with pytest.raises(ValueError, match="negative"):
            await server.recv(-1)
        with pytest.raises(ValueError, match="too small"):
            await server.recv_into(bytearray(1), 2)
        with pytest.raises((TypeError, BufferError)):
            await server.recv_into(b"constant")
        with pytest.raises(TypeError):
            await client.send("text")
        with raises(errno.EOPNOTSUPP):
            await server.recv(1, socket.MSG_OOB)
        with raises(errno.EOPNOTSUPP):
            await client.send(b"x", socket.MSG_OOB)
        with raises(errno.EINVAL):
            await client.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"1234")])
        for call in (client.detach, client.dup, lambda: client.set_inheritable(True)):
            with pytest.raises(OSError, match="no kernel descriptor"):
                call()
        assert not client.get_inheritable()


@on_trio
async def test_sent_memory_is_not_held():
    async with connected() as (client, server):
        data = bytearray(b"abc")
        await client.send(data)
        data += b"d"
        await client.send(memoryview(b"12345678").cast("I"))
        got = b""
        while len(got) < 11:
            got += await server.recv(100)
        assert got == b"abc12345678"


@on_trio
async def test_one_task_per_direction():
    async with connected() as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.recv, 1)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await server.recv(1)
        await client.send(b"x")


@on_trio
async def test_notsent_lowat_bounds_the_queue():
    async with connected(rcv_buffer=32768, snd_buffer=1 << 20) as (client, server):
        await fill(client)
        assert client._sock.info().snd_queued > 500_000
    async with connected(rcv_buffer=32768, snd_buffer=1 << 20) as (client, server):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16384)
        sent = await fill(client)
        assert client._sock.info().snd_queued < 32768 + 16384 + 65536
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 1 << 20
        assert not client._sock.is_writable()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.wait_writable)
            got = len(await server.recv(1 << 20))
            while got < sent:
                got += len(await server.recv(1 << 20))
        sent += await fill(client)
        while got < sent:
            got += len(await server.recv(1 << 20))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 0)
        await fill(client)
        assert client._sock.info().snd_queued > 500_000


# ---- names and ports -----------------------------------------------------------------------------


@on_trio
async def test_names():
    async with net() as both:
        for host, any_name in ((B4, ("0.0.0.0", 0)), (B6, ("::", 0, 0, 0))):
            with make(both.b, host) as listener, make(both.a, host) as client:
                assert listener.getsockname() == any_name
                await listener.bind((host, 0))
                name = listener.getsockname()
                assert name[0] == host
                assert name[1] > 0
                listener.listen()
                with raises(errno.ENOTCONN):
                    client.getpeername()
                await client.connect(name)
                server, peer = await listener.accept()
                with server:
                    assert server.getsockname() == client.getpeername() == name
                    assert server.getpeername() == client.getsockname() == peer
                    assert "raddr" in repr(client)
                    assert (server.family, server.type, server.proto) == (
                        listener.family, socket.SOCK_STREAM, 6,
                    )  # fmt: skip


@on_trio
async def test_addresses_that_are_none():
    async with net() as both:
        with make(both.a) as sock, make(both.a, B6) as six:
            for bad in ("text", (B4,), (B4, 80, 0)):
                with pytest.raises(ValueError, match="address should be"):
                    await sock.connect(bad)
            with pytest.raises(socket.gaierror):
                await sock.bind(("1.2:3", 1))
            with pytest.raises((OverflowError, OSError)):
                await sock.connect((B4, 70000))
            with raises(errno.EADDRNOTAVAIL):
                await sock.bind(("10.7.0.77", 0))
            for unreachable in ("127.0.0.1", "255.255.255.255"):
                with raises(errno.ENETUNREACH):
                    await sock.connect((unreachable, 80))
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with raises(errno.ENETUNREACH):
                await six.connect((f"::ffff:{B4}", 80))


@on_trio
async def test_service_names_and_mapped_addresses():
    async with net() as both:
        with make(both.b, B6) as listener, make(both.a, B6) as client:
            await listener.bind(("", "http"))
            assert listener.getsockname() == ("::", 80, 0, 0)
            listener.listen()
            await client.connect((B4, "80"))
            server, peer = await listener.accept()
            with server:
                assert client.getpeername() == (f"::ffff:{B4}", 80, 0, 0)
                assert peer[0] == f"::ffff:{A4}"


@on_trio
async def test_ipv6_only():
    async with net() as both:
        with make(both.b, B6) as six, make(both.b) as four, make(both.a) as client:
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            await six.bind(("::", 4000))
            six.listen()
            with pytest.raises(ConnectionRefusedError):
                await client.connect((B4, 4000))
            await four.bind(("0.0.0.0", 4000))
            four.listen()
            await client.connect((B4, 4000))
            (await four.accept())[0].close()
            with make(both.a, B6) as other:
                await other.connect((B6, 4000))
                (await six.accept())[0].close()


@on_trio
async def test_ports_in_use():
    async with net() as both:
        with await listen(both.b) as listener:
            name = listener.getsockname()
            for host in (B4, "0.0.0.0"):
                with make(both.b) as other, raises(errno.EADDRINUSE):
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    await other.bind((host, name[1]))
            with make(both.b, B6) as other, raises(errno.EADDRINUSE):
                await other.bind(("::", name[1]))
        with make(both.b) as one, make(both.b) as two:
            for sock in (one, two):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                await sock.bind(name)  # free again: the listener is closed
            one.listen()
            with raises(errno.EADDRINUSE):
                two.listen()
            with raises(errno.EINVAL):
                await one.bind(name)
        ports = set()
        socks = [make(both.b) for _ in range(50)]
        for sock in socks:
            await sock.bind((B4, 0))
            ports.add(sock.getsockname()[1])
        for sock in socks:
            sock.close()
        assert len(ports) == 50


@on_trio
async def test_a_factory_without_a_stack_takes_the_ambient_one():
    left, right = cables()
    factory = SocketFactory()
    with pytest.raises(RuntimeError, match="no usertcp stack is open here"):
        factory.socket()
    async with usertcp.open_stack(left, addresses=[f"{A4}/24"]) as a:
        former = trio.socket.set_custom_socket_factory(factory)
        try:
            with trio.socket.socket() as outer:
                assert outer._sock.stack is a
                async with usertcp.open_stack(right, addresses=[f"{B4}/24"]) as b:
                    assert factory.stack is b
                    with trio.socket.socket() as listener:
                        assert listener._sock.stack is b
                        await listener.bind((B4, 0))
                        listener.listen()
                        await outer.connect(listener.getsockname())
                        (await listener.accept())[0].close()
                assert factory.stack is a
        finally:
            trio.socket.set_custom_socket_factory(former)


@on_trio
async def test_listen_and_connect_at_the_wrong_time():
    async with net() as both:
        client, server = await connect(both)
        with client, server, await listen(both.b) as listener, make(both.a) as fresh:
            with raises(errno.EISCONN):
                await client.connect((B4, 80))
            with raises(errno.EISCONN):
                await listener.connect((A4, 80))
            with raises(errno.EINVAL):
                client.listen()
            listener.listen(5)
            with raises(errno.EINVAL):
                await client.accept()
            with pytest.raises(ConnectionRefusedError):
                await fresh.connect((B4, 9))
            await fresh.connect(listener.getsockname())  # once more
            fresh.close()
            (await listener.accept())[0].close()
        with make(both.b) as unbound:
            unbound.listen()
            assert unbound.getsockname()[1] > 0


@on_trio
async def test_bound_client():
    async with net() as both:
        with await listen(both.b) as listener, make(both.a) as client:
            await client.bind(("0.0.0.0", 3333))
            await client.connect(listener.getsockname())
            assert client.getsockname() == (A4, 3333)
            server, peer = await listener.accept()
            server.close()
            assert peer == (A4, 3333)


# ---- readiness -----------------------------------------------------------------------------------


@on_trio
async def test_is_readable_and_the_descriptor_agree():
    async with net() as both:
        client, server = await connect(both)
        listener = await listen(both.b)
        assert server._sock._fd == -1, "made on demand"
        fds = {sock: sock.fileno() for sock in (server, listener)}

        def readable(sock) -> bool:
            found = bool(select.select([fds[sock]], [], [], 0)[0])
            assert found == sock.is_readable()
            return found

        assert not readable(server)
        assert not readable(listener)
        await client.send(b"ab")
        await trio.lowlevel.wait_readable(server)
        assert readable(server)
        await server.recv(1)
        assert readable(server)
        await server.recv(1)
        assert not readable(server)
        with make(both.a) as other:
            await other.connect(listener.getsockname())
            await trio.lowlevel.wait_readable(listener)
            assert readable(listener)
            (await listener.accept())[0].close()
            assert not readable(listener)
        client.close()
        await trio.lowlevel.wait_readable(server)
        assert readable(server)
        assert await server.recv(1) == b""
        assert readable(server)
        async with trio.open_nursery() as nursery:

            async def waits() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await trio.lowlevel.wait_readable(fds[listener])

            nursery.start_soon(waits)
            await wait_all_tasks_blocked()
            listener.close()
        server.close()
        assert server.is_readable(), "a closed connection is not to be reused"
