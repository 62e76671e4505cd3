"""TCP Fast Open (RFC 7413) by the socket options and flags of Linux."""

import asyncio
import errno
import socket
import struct

import pytest

from support.asyncio_pairs import B4, Stacks, on, on_loops, raises, two_stacks
from usertcp.asyncio import Socket
from usertcp.asyncio._options import FASTOPEN, FASTOPEN_CONNECT, MSG_FASTOPEN


def took_syn_data(sock: socket.socket) -> bool:
    """TCPI_OPT_SYN_DATA of TCP_INFO."""
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5] & 32)


async def serve(stacks: Stacks) -> Socket:
    """A listener whose cookie is known."""
    loop = asyncio.get_running_loop()
    listener = Socket()
    listener.attach(stacks.b)
    listener.bind((B4, 80))
    listener.setsockopt(*FASTOPEN, 5)
    listener.listen()
    with client(stacks) as first:
        await loop.sock_connect(first, (B4, 80))
        (await loop.sock_accept(listener))[0].close()
    return listener


def client(stacks: Stacks) -> Socket:
    sock = Socket()
    sock.attach(stacks.a)
    sock.setsockopt(*FASTOPEN_CONNECT, 1)
    return sock


@pytest.mark.parametrize("how", ["sock_connect", "sendto", "transport", "stream"])
@on_loops
async def test_data_with_the_syn(how: str):
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        sock = client(stacks)
        with await serve(stacks) as listener, on(stacks.a):
            close = sock.close
            if how == "sendto":
                assert sock.sendto(b"hello", MSG_FASTOPEN, (B4, 80)) == 5
            else:
                await loop.sock_connect(sock, (B4, 80))
            if how == "sock_connect":
                await loop.sock_sendall(sock, b"hello")
            elif how == "transport":
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
                transport.write(b"hello")
                close = transport.close
            elif how == "stream":
                _, writer = await asyncio.open_connection(sock=sock)
                writer.write(b"hello")
                await writer.drain()
                close = writer.close
            server, _ = await loop.sock_accept(listener)
            with server:
                assert await loop.sock_recv(server, 100) == b"hello"
                assert took_syn_data(server)
            close()


@on_loops
async def test_a_server_that_speaks_first_to_a_transport():
    """The SYN waits for data, but not for ever."""
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        sock = client(stacks)
        with await serve(stacks) as listener, on(stacks.a):
            await loop.sock_connect(sock, (B4, 80))
            reader, writer = await asyncio.open_connection(sock=sock)
            server, _ = await loop.sock_accept(listener)
            with server:
                await loop.sock_sendall(server, b"220 ready")
                assert await reader.readexactly(9) == b"220 ready"
            writer.close()


@on_loops
async def test_without_a_cookie():
    """RFC 7413 A.1: EINPROGRESS, and the data is to be given again."""
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        with Socket() as listener, Socket() as sock:
            listener.attach(stacks.b)
            listener.bind((B4, 80))
            listener.listen()
            listener.setsockopt(*FASTOPEN, 5)
            sock.attach(stacks.a)
            with raises(errno.EINPROGRESS):
                sock.sendto(b"hello", MSG_FASTOPEN, (B4, 80))
            server, _ = await loop.sock_accept(listener)
            server.close()
            with raises(errno.EOPNOTSUPP):
                sock.sendto(b"hello", (B4, 80))


@pytest.mark.parametrize("key", [FASTOPEN, FASTOPEN_CONNECT])
@on_loops
async def test_values(key: tuple[int, int]):
    with Socket() as sock:
        assert sock.getsockopt(*key) == 0
        with raises(errno.EINVAL):
            sock.setsockopt(*key, -1)
        sock.setsockopt(*key, struct.pack("=i", 1))
        assert sock.getsockopt(*key) == 1
