"""setsockopt and getsockopt, struct tcp_info, and what the factory serves."""

import errno
import socket
import struct
from socket import IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET

import pytest
import trio

from support.trio_pairs import (
    B4,
    B6,
    connect,
    connected,
    eventually,
    listen,
    make,
    net,
    on_trio,
    raises,
)
from usertcp._sockopts import Options, as_int
from usertcp._tcp_info import pack_tcp_info
from usertcp.streams import StreamOption
from usertcp.trio import TCPSocket
from usertcp.trio._raw_io import RawSocket

ACCEPTED = [
    (SOL_SOCKET, socket.SO_REUSEADDR, 1),
    (SOL_SOCKET, socket.SO_REUSEPORT, 1),
    (SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (SOL_SOCKET, socket.SO_SNDBUF, 20_000),
    (SOL_SOCKET, socket.SO_RCVBUF, 20_000),
    (IPPROTO_TCP, socket.TCP_NODELAY, 0),
    (IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500),
    (IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16384),
    (IPPROTO_TCP, socket.TCP_QUICKACK, 1),
    (IPPROTO_IP, socket.IP_TTL, 9),
    (IPPROTO_IP, socket.IP_TOS, 0x28),
    (IPPROTO_IP, 24, 1),  # IP_BIND_ADDRESS_NO_PORT
    (IPPROTO_IPV6, socket.IPV6_V6ONLY, 1),
    (IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9),
]


@pytest.mark.parametrize("is_connected", [False, True])
@pytest.mark.parametrize(("level", "name", "value"), ACCEPTED)
@on_trio
async def test_accepted(level: int, name: int, value: int, is_connected: bool):
    async with net() as both:
        with make(both.a) as sock, await listen(both.b) as listener:
            if is_connected:
                await sock.connect(listener.getsockname())
            sock.setsockopt(level, name, value)
            assert sock.getsockopt(level, name) == value
            assert sock.getsockopt(level, name, 4) == struct.pack("@i", value)
            sock.setsockopt(level, name, struct.pack("@i", value))
            if not is_connected:
                await sock.connect(listener.getsockname())
            assert sock.getsockopt(level, name) == value
            (await listener.accept())[0].close()


@on_trio
async def test_accepted_sockets_inherit():
    async with net() as both:
        with await listen(both.b) as listener, make(both.a) as client:
            listener.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, 0)
            listener.setsockopt(SOL_SOCKET, socket.SO_SNDBUF, 8192)
            listener.setsockopt(SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await client.connect(listener.getsockname())
            server, _ = await listener.accept()
            with server:
                assert server.getsockopt(IPPROTO_TCP, socket.TCP_NODELAY) == 0
                assert server.getsockopt(SOL_SOCKET, socket.SO_SNDBUF) == 8192
                assert server.getsockopt(SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert client.getsockopt(IPPROTO_TCP, socket.TCP_NODELAY) == 1


@on_trio
async def test_path_mtu():
    """IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU of linux/in.h."""
    discover, mtu = (IPPROTO_IP, 10), (IPPROTO_IP, 14)
    async with connected() as (client, _):
        assert (client.getsockopt(*mtu), client.getsockopt(*discover)) == (1500, 1)
        for value in range(4):
            client.setsockopt(*discover, value)
            assert client.getsockopt(*discover) == value
        for value in (-1, 4):
            with raises(errno.EINVAL):
                client.setsockopt(*discover, value)
        client.setsockopt(socket.IPPROTO_IPV6, 23, 2)
        assert client.getsockopt(socket.IPPROTO_IPV6, 23) == 2
        assert client.getsockopt(socket.IPPROTO_IPV6, 24) == 1500
    async with net() as both:
        with make(both.b) as fresh:
            assert fresh.getsockopt(*discover) == 1
            with raises(errno.ENOTCONN):
                fresh.getsockopt(*mtu)


@on_trio
async def test_facts():
    async with connected(host=B6) as (client, _):
        assert client.getsockopt(SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert client.getsockopt(SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET6
        assert client.getsockopt(SOL_SOCKET, socket.SO_PROTOCOL) == IPPROTO_TCP
        assert client.getsockopt(SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        assert client.getsockopt(SOL_SOCKET, socket.SO_ERROR) == 0
        assert client.getsockopt(IPPROTO_TCP, socket.TCP_MAXSEG) > 1000
        assert client.getsockopt(IPPROTO_TCP, socket.TCP_CONGESTION, 16).strip(b"\0")
        assert client.getsockopt(SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8)
        client.setsockopt(SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 7))
        assert client.getsockopt(SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("@ii", 1, 7)
        client.setsockopt(SOL_SOCKET, socket.SO_LINGER, None, 8)
        assert client.getsockopt(SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8)
        client.setsockopt(SOL_SOCKET, socket.SO_BINDTODEVICE, None, 0)
    async with net() as both:
        with await listen(both.b) as listener:
            assert listener.getsockopt(SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert listener.getsockopt(IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x0a"
        with make(both.b) as fresh:
            assert fresh.getsockopt(SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
            assert fresh.getsockopt(IPPROTO_TCP, socket.TCP_MAXSEG) == 536
            with pytest.raises(ValueError, match="listening"):
                trio.SocketListener(fresh)


@on_trio
async def test_refused():
    async with connected() as (client, _):
        for level, name in ((IPPROTO_TCP, 9999), (SOL_SOCKET, 9999), (IPPROTO_IP, 9999)):
            with raises(errno.ENOPROTOOPT):
                client.setsockopt(level, name, 1)
            with raises(errno.ENOPROTOOPT):
                client.getsockopt(level, name)
        with raises(errno.ENOPROTOOPT):
            client.setsockopt(SOL_SOCKET, socket.SO_ERROR, 1)
        with raises(errno.EINVAL):
            client.setsockopt(IPPROTO_IP, socket.IP_TTL, 256)
        with raises(errno.EINVAL):
            client.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, b"1")
        with raises(errno.ENODEV):
            client.setsockopt(SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        with raises(errno.ENOENT):
            client.setsockopt(IPPROTO_TCP, socket.TCP_CONGESTION, b"nonsense")
        with pytest.raises(TypeError, match="invalid value for argument 'value'"):
            client.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, 1, 4)
        with pytest.raises(TypeError, match="invalid value for argument 'value'"):
            client.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, None)
        with pytest.raises(OSError, match="out of range"):
            client.getsockopt(IPPROTO_TCP, socket.TCP_INFO, 1025)


def test_numbers():
    assert as_int(struct.pack("@i", -5)) == -5
    with pytest.raises(OverflowError):
        as_int(1 << 31)
    options = Options()
    assert options.set(IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5) == (
        StreamOption.USER_TIMEOUT, 5_000_000,
    )  # fmt: skip
    assert options.for_connection() == [(StreamOption.USER_TIMEOUT, 5_000_000)]
    assert Options(options).for_connection() == options.for_connection()


# ---- struct tcp_info -----------------------------------------------------------------------------


def unpack(raw: bytes) -> dict[str, int]:
    """As programs do, by the offsets of linux/tcp.h."""
    names = (
        "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent "
        "last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss "
        "reordering rcv_rtt rcv_space total_retrans"
    ).split()
    found = dict(zip(names, struct.unpack_from("=24I", raw, 8), strict=True))
    found["state"], found["options"] = raw[0], raw[5]
    found["bytes_acked"], found["bytes_received"] = struct.unpack_from("=2Q", raw, 120)
    found["notsent"], found["min_rtt"] = struct.unpack_from("=2I", raw, 144)
    found["bytes_sent"] = struct.unpack_from("=Q", raw, 200)[0]
    found["snd_wnd"] = struct.unpack_from("=I", raw, 228)[0]
    return found


@on_trio
async def test_tcp_info_is_the_connections():
    async with connected() as (client, server):
        await client.send(bytes(10_000))
        await server.recv(10_000)
        await eventually(lambda: client._sock.info().bytes_acked >= 10_000)
        raw = client.getsockopt(IPPROTO_TCP, socket.TCP_INFO, 1000)
        assert len(raw) == 240
        found, info = unpack(raw), client._sock.info()
        assert found["state"] == 1  # TCP_ESTABLISHED
        assert found["options"] & 7 == 7  # timestamps, SACK, window scale
        assert found["bytes_acked"] == info.bytes_acked
        assert found["bytes_sent"] == 10_000
        assert found["snd_mss"] == info.snd_mss
        assert found["rtt"] == info.srtt_ns // 1000
        assert found["rto"] == info.rto_ns // 1000
        assert found["snd_wnd"] == info.snd_wnd
        assert found["snd_cwnd"] >= 1
        assert found["notsent"] == 0
        assert unpack(server._sock.getsockopt(IPPROTO_TCP, 11, 240))["bytes_received"] == 10_000
        server.close()
        assert await client.recv(1) == b""
        assert client.getsockopt(IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x08"  # TCP_CLOSE_WAIT
    assert unpack(pack_tcp_info(None))["state"] == 7


@on_trio
async def test_tcp_info_has_the_layout_of_this_kernel():
    """The same fields of a kernel socket, by the same offsets, are sane."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        client.sendall(bytes(10_000))
        got = 0
        while got < 10_000:
            got += len(server.recv(10_000))
        found = unpack(server.getsockopt(IPPROTO_TCP, socket.TCP_INFO, 240))
    assert found["state"] == 1
    assert found["bytes_received"] == 10_000
    assert found["snd_mss"] > 500


# ---- the factory ---------------------------------------------------------------------------------


@on_trio
async def test_other_sockets_are_the_kernels():
    async with net() as both:
        for family, kind, proto in (
            (socket.AF_INET, socket.SOCK_DGRAM, 0),
            (socket.AF_UNIX, socket.SOCK_STREAM, 0),
            (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        ):
            with both.a.socket(family, kind, proto) as sock:
                assert not isinstance(sock, TCPSocket)
                assert (sock.family, sock.type) == (family, kind)
        assert both.a.kernel_sockets == 3
        with both.a.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 6) as sock:
            assert isinstance(sock, TCPSocket)
        assert both.a.kernel_sockets == 3
        assert repr(both.a.stack) in repr(both.a)


@on_trio
async def test_family_without_an_address():
    async with net() as both:
        both.a.stack.families = frozenset([socket.AF_INET])
        with raises(errno.EAFNOSUPPORT):
            both.a.socket(socket.AF_INET6)


# ---- the non-blocking socket behind it -----------------------------------------------------------


@on_trio
async def test_sock_is_a_nonblocking_socket():
    async with net() as both:
        client, server = await connect(both)
        with client, server:
            raw, far = client._sock, server._sock
            assert isinstance(raw, socket.socket)
            assert (raw.gettimeout(), raw.timeout, raw.getblocking()) == (0, 0, False)
            raw.setblocking(False)
            with raises(errno.EOPNOTSUPP):
                raw.settimeout(3)
            with pytest.raises(BlockingIOError):
                far.recv(1)
            with pytest.raises(BlockingIOError):
                far.recv_into(bytearray(1))
            assert raw.send(b"xyz") == 3
            await trio.sleep(0.01)
            buffer = bytearray(2)
            assert far.recv_into(buffer) == 2
            assert far.recv(9) == b"z"
            with pytest.raises(BlockingIOError):  # noqa: PT012
                while True:
                    raw.send(bytes(100_000))
        with RawSocket(both.stacks.b, socket.AF_INET) as listener:
            listener.bind((B4, 0))
            listener.listen()
            with pytest.raises(BlockingIOError):
                listener.accept()
            sock = RawSocket(both.stacks.a, socket.AF_INET)
            with raises(errno.EINPROGRESS):
                sock.connect(listener.getsockname())
            assert sock.connect_ex((B4, 1)) == errno.EALREADY
            await eventually(listener.is_readable)
            accepted, _ = listener.accept()
            assert sock.connect_ex((B4, 1)) == errno.EISCONN
            accepted.close()
            sock.close()
            assert "closed" in repr(sock)
