"""TCP Fast Open (RFC 7413) by the socket options and flags of Linux."""

import errno
import socket
import struct

import pytest
import trio

from support.trio_pairs import B4, B6, Net, eventually, make, net, on_trio, raises
from usertcp._sockopts import FASTOPEN, FASTOPEN_CONNECT, MSG_FASTOPEN
from usertcp.trio import TCPSocket

SYN_DATA = 32


def took_syn_data(sock: TCPSocket) -> bool:
    """TCPI_OPT_SYN_DATA of TCP_INFO."""
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5] & SYN_DATA)


async def serve(both: Net, host: str = B4) -> TCPSocket:
    """A listener whose cookie is known."""
    listener = make(both.b, host)
    await listener.bind((host, 80))
    listener.setsockopt(*FASTOPEN, 5)
    listener.listen()
    with make(both.a, host) as first:
        first.setsockopt(*FASTOPEN_CONNECT, 1)
        await first.connect((host, 80))
        (await listener.accept())[0].close()
    return listener


@pytest.mark.parametrize("how", ["connect", "sendto", "sendmsg", "_sock"])
@pytest.mark.parametrize("host", [B4, B6])
@on_trio
async def test_data_with_the_syn(host: str, how: str):
    async with net() as both:
        with await serve(both, host) as listener, make(both.a, host) as client:
            if how == "connect":
                client.setsockopt(*FASTOPEN_CONNECT, 1)
                await client.connect((host, 80))
                assert await client.send(b"hello") == 5
            elif how == "sendto":
                assert await client.sendto(b"hello", MSG_FASTOPEN, (host, 80)) == 5
            elif how == "sendmsg":
                parts = [b"hel", b"lo"]
                assert await client.sendmsg(parts, [], MSG_FASTOPEN, (host, 80)) == 5
            else:
                assert client._sock.sendto(b"hello", MSG_FASTOPEN, (host, 80)) == 5
            server, peer = await listener.accept()
            assert isinstance(server, TCPSocket)
            with server:
                assert await server.recv(100) == b"hello"
                assert await server.send(b"world") == 5
                assert await client.recv(100) == b"world"
                assert took_syn_data(client)
                assert took_syn_data(server)
                assert client.getsockname()[:2] == peer[:2]


@on_trio
async def test_without_a_cookie():
    """MSG_FASTOPEN: connects, then sends; at once, EINPROGRESS (RFC 7413 A.1)."""
    async with net() as both:
        with make(both.b) as listener:
            await listener.bind((B4, 80))
            listener.listen()
            listener.setsockopt(*FASTOPEN, 1)  # a listener takes it too
            with make(both.a) as waits, make(both.a) as asks:
                with raises(errno.EINPROGRESS):
                    asks._sock.sendto(b"x", MSG_FASTOPEN, (B4, 80))
                assert await waits.sendto(b"hello", MSG_FASTOPEN, (B4, 80)) == 5
                await eventually(lambda: both.stacks.b.connections()[0].accept_queue == 2)
                assert not took_syn_data(waits)
                with raises(errno.EISCONN):
                    await waits.sendto(b"again", MSG_FASTOPEN, (B4, 80))
            for _ in range(2):
                (await listener.accept())[0].close()


@on_trio
async def test_who_receives_first():
    async with net() as both:
        with await serve(both) as listener, make(both.a) as client:
            client.setsockopt(*FASTOPEN_CONNECT, 1)
            assert client._sock.connect_ex((B4, 80)) == 0
            async with trio.open_nursery() as nursery:

                async def greet() -> None:
                    server, _ = await listener.accept()
                    with server:
                        await server.send(b"220")

                nursery.start_soon(greet)
                assert await client.recv(100) == b"220"


@pytest.mark.parametrize(("key", "bad"), [(FASTOPEN, -1), (FASTOPEN_CONNECT, 2)])
@on_trio
async def test_values(key: tuple[int, int], bad: int):
    async with net() as both:
        with make(both.a) as sock:
            assert sock.getsockopt(*key) == 0
            with raises(errno.EINVAL):
                sock.setsockopt(*key, bad)
            sock.setsockopt(*key, struct.pack("@i", 1))
            assert sock.getsockopt(*key) == 1
