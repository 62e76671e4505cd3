"""What trio asks of a socket: checkpoints, cancellation, closing, errnos."""

import errno
import gc
import socket

import pytest
import trio
from trio.socket import SHUT_RD, SHUT_RDWR, SHUT_WR
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from support.trio_pairs import (
    A4,
    B4,
    connect,
    connected,
    eventually,
    fill,
    listen,
    make,
    net,
    on_trio,
    raises,
)  # fmt: skip


async def is_cancelled(operation) -> bool:
    with trio.CancelScope() as scope:
        scope.cancel()
        with assert_checkpoints():
            await operation()
    return scope.cancelled_caught


# ---- checkpoints, cancellation -------------------------------------------------------------------


@on_trio
async def test_every_operation_is_a_checkpoint():
    async with net() as both:
        with both.b.socket() as listener, both.a.socket() as client:
            with assert_checkpoints():
                await listener.bind((B4, 0))
            listener.listen()
            with assert_checkpoints():
                await client.connect(listener.getsockname())
            with assert_checkpoints():
                server, _ = await listener.accept()
            with server:
                buffer = bytearray(10)
                for operation in (
                    lambda: client.send(b"12345"),
                    lambda: client.sendmsg([b"67", b"8"]),
                    lambda: client.sendto(b"90", (B4, 1)),
                    lambda: client.send(b""),
                    client.wait_writable,
                    lambda: server.recv(1),
                    lambda: server.recv(0),
                    lambda: server.recvfrom(1),
                    lambda: server.recv_into(buffer, 1),
                    lambda: server.recvfrom_into(buffer, 1),
                    lambda: server.recvmsg(1),
                    lambda: server.recvmsg_into([buffer]),
                ):
                    await trio.sleep(0.002)
                    with assert_checkpoints():
                        await operation()


@on_trio
async def test_a_failure_is_a_checkpoint():
    async with net() as both:
        with make(both.a) as sock:
            for operation in (
                lambda: sock.recv(1),
                lambda: sock.send(b"x"),
                sock.accept,
                lambda: sock.connect(("0.0.0.0", 1)),
            ):
                with assert_checkpoints(), pytest.raises(OSError, match="Errno"):
                    await operation()


@on_trio
async def test_cancelled_before_nothing_is_done():
    async with net() as both:
        client, server = await connect(both)
        with client, server, await listen(both.b) as listener:
            assert await is_cancelled(lambda: client.send(b"never"))
            await client.send(b"x")
            await trio.sleep(0.01)
            assert await is_cancelled(lambda: server.recv(10))
            assert await server.recv(10) == b"x"
            assert await is_cancelled(listener.accept)
            assert await is_cancelled(client.wait_writable)
            with make(both.b) as fresh:
                assert await is_cancelled(lambda: fresh.bind((B4, 0)))
                assert fresh.getsockname() == ("0.0.0.0", 0)


@on_trio
async def test_cancelled_receive_takes_nothing_even_when_woken():
    async with connected() as (client, server):
        scope = trio.CancelScope()
        got = []

        async def receive() -> None:
            with scope:
                got.append(await server.recv(10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            await client.send(b"kept")
            scope.cancel()
        assert b"".join(got) + (b"" if got else await server.recv(10)) == b"kept"


@on_trio
async def test_cancelled_connect_closes_the_socket():
    async with net() as both:
        with make(both.a) as before:
            assert await is_cancelled(lambda: before.connect((B4, 80)))
            assert before.fileno() == -1
        sock = make(both.a)
        with trio.move_on_after(0.05) as scope:
            await sock.connect(("10.7.0.9", 80))  # nobody
        assert scope.cancelled_caught
        assert sock.fileno() == -1
        assert both.stacks.a.connections() == []
        with raises(errno.EBADF):
            await sock.connect((B4, 80))


# ---- closing -------------------------------------------------------------------------------------


@on_trio
async def test_closing_wakes_who_waits():
    async with net() as both:
        client, server = await connect(both)
        listener = await listen(both.b)
        await fill(client)
        await trio.sleep(0.3)  # what is less than a segment leaves now (RFC 9293 3.8.6.2.1),
        await fill(client)  # and frees as much: a byte would find room
        lost = make(both.a)

        async def waits(operation) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await operation()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, lambda: client.recv(1))
            nursery.start_soon(waits, lambda: client.send(b"x"))
            nursery.start_soon(waits, listener.accept)
            nursery.start_soon(waits, lambda: lost.connect(("10.7.0.9", 80)))
            await wait_all_tasks_blocked()
            for sock in (client, listener, lost):
                sock.close()
        server.close()


@on_trio
async def test_closed_is_ebadf():
    async with net() as both:
        client, server = await connect(both)
        server.close()
        client.close()
        client.close()
        assert client.fileno() == -1
        for operation in (
            lambda: client.recv(1),
            lambda: client.send(b"x"),
            client.accept,
            lambda: client.bind((A4, 0)),
            lambda: client.connect((B4, 80)),
            client.wait_writable,
        ):
            with raises(errno.EBADF):
                await operation()
        for call in (
            client.getsockname,
            client.getpeername,
            client.listen,
            lambda: client.shutdown(SHUT_WR),
            lambda: client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
            lambda: client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        ):
            with raises(errno.EBADF):
                call()


@on_trio
async def test_closing_delivers_then_ends():
    async with connected() as (client, server):
        await client.send(bytes(50_000))
        client.close()
        got = 0
        while part := await server.recv(65536):
            got += len(part)
        assert got == 50_000


@on_trio
async def test_unread_data_or_linger_0_makes_a_reset():
    async with net() as both:
        client, server = await connect(both)
        with client:
            await client.send(b"unread")
            await trio.sleep(0.01)
            server.close()
            with pytest.raises(ConnectionResetError):
                await client.recv(1)
            with pytest.raises(ConnectionResetError):
                await client.send(b"x")
        client, server = await connect(both)
        with client:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
            with pytest.raises(ConnectionResetError):
                await client.recv(1)
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@on_trio
async def test_stack_closed_under_its_sockets():
    async with net() as both:
        client, server = await connect(both)
        listener = await listen(both.b)

        async def waits(operation) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await operation()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, lambda: server.recv(1))
            nursery.start_soon(waits, listener.accept)
            await wait_all_tasks_blocked()
            await both.stacks.b.aclose()
        for sock in (server, listener):
            assert sock.fileno() == -1
            with raises(errno.EBADF):
                await (sock.recv(1) if sock is server else sock.accept())
            sock.close()
        with raises(errno.ENETDOWN):
            both.b.socket()
        client.close()


@on_trio
async def test_link_failure_ends_a_server_instead_of_keeping_it_busy():
    async with net() as both:
        client, server = await connect(both)
        listener = trio.SocketListener(await listen(both.b))
        stream = trio.SocketStream(server)
        both.stacks.b.engine.fail(-16)
        with raises(errno.ENODEV):
            await listener.accept()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.receive_some()
        assert caught.value.__cause__.errno == errno.ENETDOWN
        for sock in (client, server, listener.socket):
            sock.close()


@on_trio
async def test_a_forgotten_socket_warns_and_closes():
    async with net() as both:
        client, server = await connect(both)
        with pytest.warns(ResourceWarning, match="unclosed <usertcp socket"):  # noqa: PT031
            del client
            gc.collect()
        assert await server.recv(1) == b""
        server.close()


# ---- shutdown ------------------------------------------------------------------------------------


@on_trio
async def test_shutdown():
    async with net() as both:
        client, server = await connect(both)
        with client, server:
            assert not client.did_shutdown_SHUT_WR
            client.shutdown(SHUT_WR)
            client.shutdown(SHUT_WR)
            assert client.did_shutdown_SHUT_WR
            assert await server.recv(1) == b""
            with raises(errno.EPIPE):
                await client.send(b"x")
            await client.wait_writable()
            await server.send(b"still")
            assert await client.recv(10) == b"still"
            with raises(errno.EINVAL):
                client.shutdown(7)
        with make(both.a) as fresh, raises(errno.ENOTCONN):
            fresh.shutdown(SHUT_RDWR)
        assert not fresh.did_shutdown_SHUT_WR


@on_trio
async def test_shutdown_of_reading_wakes_the_reader():
    async with connected() as (client, server):
        async with trio.open_nursery() as nursery:

            async def reads() -> None:
                assert await server.recv(1) == b""

            nursery.start_soon(reads)
            await wait_all_tasks_blocked()
            server.shutdown(SHUT_RD)
        await client.send(b"x")
        await eventually(server.is_readable)


@on_trio
async def test_shutdown_of_a_listener_stops_it():
    async with net() as both:
        with await listen(both.b) as listener, make(both.a) as client:
            listener.shutdown(SHUT_RD)
            with raises(errno.EINVAL):
                await listener.accept()
            with pytest.raises(ConnectionRefusedError):
                await client.connect(listener.getsockname())
