"""trio's own streams, helpers and checks over our sockets."""

import ssl
from functools import partial
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing
from anyio.abc import SocketAttribute

import usertcp.trio
from support.trio_pairs import A4, B4, B6, NOBODY4, cables, connect, listen, net, on_trio, using
from usertcp.trio import TCPSocket

# Small rings and quick timers: what a silly window holds back goes out soon, and then it is full.
SMALL = {"rcv_buffer": 32768, "snd_buffer": 32768, "rto_min": 0.01, "delack": 0.01}
CERTS = Path(__file__).parent.parent / "aio" / "certs"


@pytest.fixture
def mock_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


async def clog(*ends: trio.SocketStream) -> None:
    """Sends until the windows are shut and the rings full: nothing can be taken by itself."""

    def is_open(end: trio.SocketStream) -> bool:
        info = end.socket._sock.info()
        return info.snd_wnd > 0 or info.snd_queued - info.flight_size < 16384

    while any(is_open(end) for end in ends):
        for end in ends:
            with trio.move_on_after(0.02):
                await end.send_all(bytes(10_000))


@pytest.mark.parametrize("host", [B4, B6])
@pytest.mark.parametrize(
    "check",
    [
        trio.testing.check_one_way_stream,
        trio.testing.check_two_way_stream,
        trio.testing.check_half_closeable_stream,
    ],
)
@on_trio
async def test_trios_own_checks(check, host: str):
    async with net(**SMALL) as both:

        async def maker():
            client, server = await connect(both, host)
            return trio.SocketStream(client), trio.SocketStream(server)

        async def clogged_maker():
            ends = await maker()
            await clog(*ends)
            return ends

        await check(maker, clogged_maker)


@pytest.mark.parametrize("host", [B4, B6, None])
@on_trio
async def test_serve_tcp_and_open_tcp_stream(host: str | None):
    async def echo(stream: trio.SocketStream) -> None:
        async for part in stream:
            await stream.send_all(part)

    async with net() as both, trio.open_nursery() as nursery:
        with using(both.b):
            listeners = await nursery.start(partial(trio.serve_tcp, echo, 0, host=host))
        for listener in listeners:
            assert isinstance(listener.socket, TCPSocket)
            target = host or (B4 if listener.socket.family == trio.socket.AF_INET else B6)
            with using(both.a):
                stream = await trio.open_tcp_stream(target, listener.socket.getsockname()[1])
            async with stream:
                assert isinstance(stream.socket, TCPSocket)
                for size in (1, 1000, 300_000):
                    nursery.start_soon(stream.send_all, bytes(size))
                    got = 0
                    while got < size:
                        got += len(await stream.receive_some())
        nursery.cancel_scope.cancel()
    assert len(listeners) == (2 if host is None else 1)


@on_trio
async def test_local_address():
    async with net() as both:
        with await listen(both.b) as listener, using(both.a):
            name = listener.getsockname()
            for local in (A4, "0.0.0.0"):
                async with await trio.open_tcp_stream(*name, local_address=local) as stream:
                    assert stream.socket.getsockname()[0] == A4
                    accepted, peer = await listener.accept()
                    accepted.close()
                    assert peer == stream.socket.getsockname()
            for wrong in (B4, "::"):
                with pytest.raises(OSError, match="failed"):
                    await trio.open_tcp_stream(*name, local_address=wrong)


@on_trio
async def test_refused():
    async with net() as both:
        with using(both.a), pytest.raises(OSError, match="all attempts") as caught:
            await trio.open_tcp_stream(B4, 9)
    (error,) = caught.value.__cause__.exceptions
    assert isinstance(error, ConnectionRefusedError)
    assert "Error connecting to ('10.7.0.2', 9): Connection refused" in str(error)


@pytest.fixture(scope="module")
def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTS / "server.pem")
    return context


@pytest.fixture(scope="module")
def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTS / "ca.pem")


@on_trio
async def test_tls_both_directions(server_context, client_context):
    data = bytes(i * 7 % 256 for i in range(500_000))

    async def echo(stream: trio.SSLStream) -> None:
        async for part in stream:
            await stream.send_all(part)

    async with net() as both, trio.open_nursery() as nursery:
        with using(both.b):
            serve = partial(trio.serve_ssl_over_tcp, echo, 0, server_context, host=B4)
            (listener,) = await nursery.start(serve)
        port = listener.transport_listener.socket.getsockname()[1]
        with using(both.a):
            stream = await trio.open_ssl_over_tcp_stream(B4, port, ssl_context=client_context)
        async with stream:
            nursery.start_soon(stream.send_all, data)
            got = bytearray()
            while len(got) < len(data):
                got += await stream.receive_some()
            assert got == data
        nursery.cancel_scope.cancel()


@on_trio
async def test_virtual_time(mock_clock):
    """An hour of nothing, and a host that never answers, take no time."""
    async with net() as both:
        client, server = await connect(both)
        with client, server:
            began = trio.current_time()
            await trio.sleep(3600)
            await client.send(b"x")
            assert await server.recv(10) == b"x"
            with both.a.socket() as lost, pytest.raises(OSError, match=NOBODY4):
                await lost.connect((NOBODY4, 80))
            assert trio.current_time() - began > 3600


@on_trio
async def test_open_stack_installs_the_factory_and_puts_the_former_back():
    class Names(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host, port, *_):
            assert host == b"b.test"
            return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (B4, port))]

        async def getnameinfo(self, sockaddr, flags):
            raise NotImplementedError

    left, right = cables()
    options = {"check_duplicates": False, "linger": 1.0}
    async with usertcp.trio.open_stack(left, addresses=[f"{B4}/24"], **options) as b:
        with trio.socket.socket() as listener:
            assert listener._sock.stack is b
            await listener.bind((B4, 80))
            listener.listen()
            opening = usertcp.trio.open_stack(
                right, addresses=[f"{A4}/24"], resolver=Names(), **options
            )
            async with opening as a:
                stream = await trio.open_tcp_stream("b.test", 80)
                assert stream.socket._sock.stack is a
                await stream.aclose()
            accepted, _ = await listener.accept()
            accepted.close()
        with trio.socket.socket() as again:
            assert again._sock.stack is b
    with trio.socket.socket() as plain:
        assert not isinstance(plain, TCPSocket)


def test_open_stack_needs_trio():
    left, right = cables()

    async def main() -> None:
        with pytest.raises(RuntimeError):
            async with usertcp.trio.open_stack(left, addresses=[f"{A4}/24"]):
                pass

    anyio.run(main, backend="asyncio")
    left.close()
    right.close()


# ---- AnyIO on trio: connect_tcp as it is (way C) -------------------------------------------------


@pytest.mark.parametrize("host", [B4, B6])
@on_trio
async def test_anyio_connect_tcp(host: str):
    async with net() as both:
        with await listen(both.b, host) as listener, using(both.a):
            port = listener.getsockname()[1]
            async with await anyio.connect_tcp(host, port) as stream:
                server, peer = await listener.accept()
                with server:
                    await check_anyio_stream(stream, server, peer, (host, port))
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()
            assert stream.extra(SocketAttribute.raw_socket).fileno() == -1
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()


async def check_anyio_stream(stream, server, peer, target) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    assert isinstance(stream._trio_socket, TCPSocket)
    assert raw.gettimeout() == 0
    assert raw.getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY) == 1
    assert stream.extra(SocketAttribute.family) == server.family
    assert stream.extra(SocketAttribute.remote_address) == target
    assert stream.extra(SocketAttribute.local_port) == peer[1]
    await stream.send(b"ping")
    assert await server.recv(10) == b"ping"
    await server.send(b"pong")
    assert await stream.receive() == b"pong"
    await stream.send_eof()
    assert await server.recv(10) == b""


@on_trio
async def test_anyio_reset_is_broken_with_its_cause():
    async with net() as both:
        with await listen(both.b) as listener, using(both.a):
            stream = await anyio.connect_tcp(B4, listener.getsockname()[1])
            server, _ = await listener.accept()
            await stream.send(b"unread")
            await trio.sleep(0.01)
            server.close()
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await stream.receive()
            assert isinstance(caught.value.__cause__, ConnectionResetError)
            await stream.aclose()


@on_trio
async def test_anyio_refused():
    async with net() as both:
        with using(both.a), pytest.raises(OSError, match="All connection") as caught:
            await anyio.connect_tcp(B4, 9)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
