"""The socket object: a socket.socket without a kernel's socket; sock_* of the loop."""

import asyncio
import errno
import os
import select
import socket
import warnings

import pytest

from support.asyncio_pairs import (
    A4,
    A6,
    B4,
    B6,
    NOBODY4,
    Recorder,
    eventually,
    joined,
    listening,
    on,
    on_loops,
    pair,
    raises,
    spins,
    two_stacks,
)  # fmt: skip
from usertcp.asyncio import Socket, socket_factory


def is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


@on_loops
async def test_is_a_socket_of_the_library():
    sock = Socket()
    assert isinstance(sock, socket.socket)
    assert (sock.family, sock.type, sock.proto) == (
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP,
    )  # fmt: skip
    assert sock.gettimeout() == sock.timeout == 0
    assert not sock.getblocking()
    sock.setblocking(False)
    sock.settimeout(0)
    assert sock.getsockname() == ("0.0.0.0", 0)
    with raises(errno.ENOTCONN):
        sock.getpeername()
    assert "10.7" not in repr(sock)
    sock.close()
    sock.close()
    assert sock.fileno() == -1
    assert "closed" in repr(sock)
    with raises(errno.EBADF):
        sock.getsockname()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((socket.AF_UNIX,), errno.EAFNOSUPPORT),
        ((socket.AF_INET, socket.SOCK_DGRAM), errno.ESOCKTNOSUPPORT),
        ((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP), errno.EPROTONOSUPPORT),
        ((socket.AF_INET, socket.SOCK_STREAM, 0, 5), errno.EOPNOTSUPP),
    ],
)
def test_others_than_tcp_are_refused(arguments, code):
    with raises(code):
        Socket(*arguments)


def test_what_needs_a_kernel_socket_says_so():
    with Socket() as sock:
        calls = [
            sock.dup, sock.detach, sock.makefile, lambda: sock.sendfile(None),
            lambda: sock.setblocking(True), lambda: sock.settimeout(None),
            lambda: sock.set_inheritable(True), lambda: sock.sendto(b"", ("", 1)),
            lambda: sock.recvmsg(1), lambda: sock.recvmsg_into([]),
        ]  # fmt: skip
        for call in calls:
            with raises(errno.EOPNOTSUPP):
                call()


def test_factory_for_aiohttp():
    info = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0))
    with socket_factory(info) as sock:
        assert sock.family == socket.AF_INET6


@pytest.mark.parametrize("host", [B4, B6])
@on_loops
async def test_data_by_the_loops_calls(host: str):
    data = os.urandom(1_000_000)
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        a, b = await pair(stacks, host)
        assert a.getpeername() == b.getsockname()
        assert a.getsockname()[0] == (A6 if ":" in host else A4)

        async def receive() -> bytes:
            got, memory = bytearray(), bytearray(5000)
            while count := await loop.sock_recv_into(b, memory):
                got += memory[:count]
                got += await loop.sock_recv(b, 1000)
            return bytes(got)

        task = asyncio.create_task(receive())
        await loop.sock_sendall(a, data)
        a.shutdown(socket.SHUT_WR)
        assert await task == data
        assert await loop.sock_recv(b, 10) == b""
        b.close()
        assert await loop.sock_recv(a, 10) == b""
        a.close()


@on_loops
async def test_cancelled_receive_loses_nothing():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        a, b = await pair(stacks)
        for i in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(b, 10), 0.001)
            await loop.sock_sendall(a, b"%03d" % i)
            assert await loop.sock_recv(b, 10) == b"%03d" % i
        a.close()
        b.close()


@on_loops
async def test_calls_that_do_not_wait():
    async with two_stacks() as stacks:
        a, b = await pair(stacks)
        with pytest.raises(BlockingIOError):
            b.recv(1)
        assert a.send(b"abc") == 3
        assert a.sendmsg([b"d", b"e"]) == 2
        await eventually(lambda: b.info().rcv_readable == 5)
        assert b.recv(2) == b"ab"
        assert b.recv(0) == b""
        memory = bytearray(10)
        assert b.recv_into(memory, 1) == 1
        assert b.recvfrom(10) == (b"de", None)
        assert memory[:1] == b"c"
        with raises(errno.EOPNOTSUPP):
            b.recv(1, socket.MSG_PEEK)
        with pytest.raises(BlockingIOError):
            a.sendall(bytes(50_000_000))
        with raises(errno.EISCONN):
            a.connect((B4, 1))
        a.close()
        b.close()


@on_loops
async def test_connect_that_fails():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        with on(stacks.a):
            for _ in range(2):
                sock = Socket()
                with pytest.raises(ConnectionRefusedError):
                    await loop.sock_connect(sock, (B4, 9))
                with raises(errno.ENOTCONN):
                    sock.send(b"x")
                sock.close()
            sock = Socket()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_connect(sock, (NOBODY4, 9)), 0.02)
            sock.close()
        assert stacks.a.connections() == []


@on_loops
async def test_connect_without_waiting():
    async with two_stacks() as stacks:
        listener = await listening(stacks.b)
        address = listener.getsockname()
        sock = Socket()
        with on(stacks.a):
            assert sock.connect_ex(address) == errno.EINPROGRESS
            await eventually(lambda: sock.connect_ex(address) in (0, errno.EISCONN))
        assert sock.getpeername() == address
        sock.close()
        listener.close()


@on_loops
async def test_readiness_descriptor():
    async with two_stacks() as stacks:
        a, b = await pair(stacks)
        fd = b.fileno()
        assert fd == b.fileno() >= 0
        assert not is_readable(fd)
        for _ in range(3):
            a.send(b"abcdef")
            await eventually(lambda: is_readable(fd))
            b.recv(3)
            assert is_readable(fd)
            b.recv(100)
            assert not is_readable(fd)
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_reader(fd, told.set)
        a.close()
        await told.wait()
        loop.remove_reader(fd)
        assert b.recv(1) == b""
        assert is_readable(fd)
        b.close()
        assert b.fileno() == -1
        with raises(errno.EBADF):
            os.fstat(fd)


@on_loops
async def test_readiness_of_a_listener_and_of_a_paused_transport():
    async with joined() as (a, _, b, pb, stacks):
        b.pause_reading()
        fd = b.get_extra_info("socket").fileno()
        assert not is_readable(fd)
        a.write(b"x")
        await eventually(lambda: is_readable(fd))
        b.resume_reading()
        await eventually(lambda: pb.data == b"x")
        assert not is_readable(fd)
        pb.keep_open = True
        a.close()
        await pb.eof.wait()
        assert is_readable(fd)
        listener = await listening(stacks.b)
        fd = listener.fileno()
        assert not is_readable(fd)
        with on(stacks.a):
            c, _ = await asyncio.get_running_loop().create_connection(
                Recorder, *listener.getsockname()
            )
        await eventually(lambda: is_readable(fd))
        made, _ = listener.accept()
        assert not is_readable(fd)
        made.close()
        listener.close()
        c.abort()
        await spins()


@on_loops
async def test_sendfile(tmp_path):
    data = os.urandom(500_000)
    (tmp_path / "file").write_bytes(data)
    loop = asyncio.get_running_loop()
    async with joined() as (a, _, _, pb, stacks):
        with (tmp_path / "file").open("rb") as file:
            assert await loop.sendfile(a, file) == len(data)
            assert await loop.sendfile(a, file, 100, 1000) == 1000
            assert file.tell() == 1100
            with pytest.raises(RuntimeError):
                await loop.sendfile(a, file, fallback=False)
            await eventually(lambda: len(pb.data) == len(data) + 1000)
            assert pb.data == data + data[100:1100]
            c, d = await pair(stacks)
            task = asyncio.create_task(loop.sock_recv(d, 2000))
            assert await loop.sock_sendfile(c, file, 7, 1000) == 1000
            assert await task == data[7:1007]
            with pytest.raises(ValueError, match="count"):
                await loop.sock_sendfile(c, file, 0, 0)
            c.close()
            d.close()


@on_loops
async def test_forgotten_socket_warns():
    async with two_stacks() as stacks:
        a, b = await pair(stacks)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            del a
        assert [w.category for w in found] == [ResourceWarning]
        assert await asyncio.get_running_loop().sock_recv(b, 1) == b""
        b.close()


@on_loops
async def test_kernel_sockets_of_other_kinds_are_the_base_loops():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        await loop.sock_sendall(left, b"abc")
        assert await loop.sock_recv(right, 10) == b"abc"
        memory = bytearray(3)
        await loop.sock_sendall(left, b"def")
        assert await loop.sock_recv_into(right, memory) == 3
        transport, pa = await loop.create_connection(Recorder, sock=left)
        await loop.sock_sendall(right, b"xyz")
        await eventually(lambda: pa.data == b"xyz")
        transport.close()
        await pa.lost
    assert loop.usertcp.at_hand() is None
    assert loop.usertcp.bypasses == {}
