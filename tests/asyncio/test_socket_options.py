"""getsockopt and setsockopt: the engine's options, remembered ones, TCP_INFO."""

import asyncio
import errno
import socket
import struct

import pytest

from support.asyncio_pairs import (
    A4,
    eventually,
    joined,
    listening,
    on,
    on_loops,
    pair,
    raises,
    two_stacks,
)  # fmt: skip
from usertcp.asyncio import Socket


@on_loops
async def test_path_mtu():
    """IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU of linux/in.h."""
    discover, mtu = (socket.IPPROTO_IP, 10), (socket.IPPROTO_IP, 14)
    async with two_stacks() as stacks:
        a, b = await pair(stacks)
        assert (a.getsockopt(*mtu), a.getsockopt(*discover)) == (1500, 1)
        for value in range(4):
            a.setsockopt(*discover, value)
            assert a.getsockopt(*discover) == value
        for value in (-1, 4):
            with raises(errno.EINVAL):
                a.setsockopt(*discover, value)
        a.setsockopt(socket.IPPROTO_IPV6, 23, 2)
        assert a.getsockopt(socket.IPPROTO_IPV6, 23) == 2
        assert a.getsockopt(socket.IPPROTO_IPV6, 24) == 1500
        a.close()
        b.close()
        fresh = Socket()
        assert fresh.getsockopt(*discover) == 1
        with raises(errno.ENOTCONN):
            fresh.getsockopt(*mtu)
        fresh.close()


@on_loops
async def test_options():
    async with two_stacks() as stacks:
        a, b = await pair(stacks)
        tcp, sol = socket.IPPROTO_TCP, socket.SOL_SOCKET
        assert a.getsockopt(tcp, socket.TCP_NODELAY) == 1
        a.setsockopt(tcp, socket.TCP_NODELAY, 0)
        assert a.getsockopt(tcp, socket.TCP_NODELAY) == 0
        assert a.getsockopt(tcp, socket.TCP_NODELAY, 4) == bytes(4)
        for key in (
            (sol, socket.SO_REUSEADDR), (tcp, socket.TCP_KEEPIDLE),
            (tcp, socket.TCP_KEEPINTVL), (tcp, socket.TCP_KEEPCNT), (tcp, socket.TCP_QUICKACK),
            (tcp, socket.TCP_NOTSENT_LOWAT), (socket.IPPROTO_IP, socket.IP_TTL),
            (tcp, socket.TCP_USER_TIMEOUT),
        ):  # fmt: skip
            a.setsockopt(*key, 5)
            assert a.getsockopt(*key) == 5, key
        assert a.getsockopt(sol, socket.SO_KEEPALIVE) == 0
        a.setsockopt(sol, socket.SO_KEEPALIVE, 5)
        assert a.getsockopt(sol, socket.SO_KEEPALIVE) == 1
        with raises(errno.EINVAL):
            a.setsockopt(tcp, socket.TCP_KEEPIDLE, 0)
        a.setsockopt(sol, socket.SO_SNDBUF, 100_000)
        assert a.getsockopt(sol, socket.SO_SNDBUF) == 100_000
        assert a.getsockopt(sol, socket.SO_TYPE) == socket.SOCK_STREAM
        assert a.getsockopt(sol, socket.SO_ERROR) == 0
        assert a.getsockopt(sol, socket.SO_ACCEPTCONN) == 0
        assert a.getsockopt(tcp, socket.TCP_MAXSEG) > 500
        a.setsockopt(sol, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert a.getsockopt(sol, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
        with raises(errno.ENOPROTOOPT):
            a.setsockopt(sol, 9999, 1)
        with raises(errno.ENOPROTOOPT):
            a.getsockopt(sol, 9999)
        loop = asyncio.get_running_loop()
        a.close()  # linger 0: a reset
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(b, 1)
        b.close()


@on_loops
async def test_options_set_before_connecting_hold_afterwards():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        listener = await listening(stacks.b)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        sock = Socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        sock.bind((A4, 5555))
        with on(stacks.a):
            await loop.sock_connect(sock, listener.getsockname())
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        assert not sock.info().nodelay
        assert sock.getsockname() == (A4, 5555)
        sock.close()
        listener.close()


@on_loops
async def test_tcp_info_is_the_kernels():
    async with joined() as (a, _, _, pb, _):
        a.write(bytes(100_000))
        await eventually(lambda: len(pb.data) == 100_000)
        await asyncio.sleep(0.05)
        sock = a.get_extra_info("socket")
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 240)
        assert len(raw) == 240
        assert raw[0] == 1  # TCP_ESTABLISHED
        assert raw[5] & 7 == 7  # timestamps, SACK, window scaling
        words = struct.unpack_from("=24I", raw, 8)
        info = a.get_extra_info("usertcp.connection")
        assert words[0] == info.rto_ns // 1000
        assert words[2] == info.snd_mss
        assert words[15] == info.srtt_ns // 1000
        assert words[18] == info.cwnd // info.snd_mss
        acked, received = struct.unpack_from("=2Q", raw, 120)
        assert (acked, received) == (info.bytes_acked, 0)
        assert struct.unpack_from("=Q", raw, 200)[0] == info.bytes_sent
        short = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        assert (len(short), short[0]) == (104, 1)
