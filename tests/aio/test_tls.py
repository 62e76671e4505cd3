"""TLS, by AnyIO's own `TLSStream`, with our stream at either end."""

import ssl
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSConnectable, TLSListener, TLSStream

from aio.pairs import B4, B6, two_stacks

pytestmark = pytest.mark.anyio

CERTS = Path(__file__).parent / "certs"  # made to last a century; server.pem holds its key too


@pytest.fixture(scope="module")
def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTS / "server.pem")
    return context


@pytest.fixture(scope="module")
def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CERTS / "ca.pem")
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


async def echo(stream: TLSStream) -> None:
    async with stream:
        async for part in stream:
            await stream.send(part)


@pytest.mark.parametrize("host", [B4, B6])
async def test_both_directions(host: str, server_context, client_context):
    data = bytes(i * 7 % 256 for i in range(500_000))
    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        plain = await b.create_tcp_listener(local_host=host)
        port = plain.extra(SocketAttribute.local_port)
        async with TLSListener(plain, server_context) as listener:
            tg.start_soon(listener.serve, echo)
            async with await a.connect_tcp(host, port, ssl_context=client_context) as stream:
                assert isinstance(stream, TLSStream)
                assert stream.extra(TLSAttribute.tls_version).startswith("TLS")
                assert stream.extra(SocketAttribute.remote_port) == port
                tg.start_soon(stream.send, data)
                got = bytearray()
                while len(got) < len(data):
                    got += await stream.receive()
                assert got == data
            tg.cancel_scope.cancel()


async def test_end_of_stream_is_authenticated(server_context, client_context):
    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        plain = await b.create_tcp_listener(local_host=B4)

        async def says_goodbye(stream: TLSStream) -> None:
            await stream.send(b"bye")
            await stream.aclose()

        async with TLSListener(plain, server_context) as listener:
            tg.start_soon(listener.serve, says_goodbye)
            stream = await a.connect_tcp(
                B4,
                plain.extra(SocketAttribute.local_port),
                ssl_context=client_context,
                tls_hostname="b.test",
            )
            assert await stream.receive() == b"bye"
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            await stream.aclose()
            tg.cancel_scope.cancel()


async def test_truncation_is_noticed(server_context, client_context):
    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        plain = await b.create_tcp_listener(local_host=B4)

        async def drops(stream: TLSStream) -> None:
            await stream.send(b"half a")
            await stream.transport_stream.aclose()

        async with TLSListener(plain, server_context) as listener:
            tg.start_soon(listener.serve, drops)
            port = plain.extra(SocketAttribute.local_port)
            stream = await a.connect_tcp(B4, port, ssl_context=client_context)
            assert await stream.receive() == b"half a"
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await stream.receive()
            # CPython before 3.11.4 has no class of its own for this
            cause = caught.value.__cause__
            assert isinstance(cause, ssl.SSLError)
            assert "EOF" in str(cause)
            await anyio.aclose_forcefully(stream)
            tg.cancel_scope.cancel()


async def test_failed_handshake_closes_the_stream(server_context):
    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        plain = await b.create_tcp_listener(local_host=B4)
        async with TLSListener(plain, server_context, standard_compatible=False) as listener:
            tg.start_soon(listener.serve, echo)
            port = plain.extra(SocketAttribute.local_port)
            with pytest.raises(ssl.SSLCertVerificationError):
                await a.connect_tcp(B4, port, tls=True)
            assert not a.engine.endpoints
            tg.cancel_scope.cancel()


async def test_wrong_name(server_context, client_context):
    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        plain = await b.create_tcp_listener(local_host=B4)
        async with TLSListener(plain, server_context, standard_compatible=False) as listener:
            tg.start_soon(listener.serve, echo)
            port = plain.extra(SocketAttribute.local_port)
            with pytest.raises(ssl.SSLCertVerificationError):
                await a.connect_tcp(B4, port, ssl_context=client_context, tls_hostname="c.test")
            tg.cancel_scope.cancel()


async def test_connectable(server_context, client_context):
    async with two_stacks() as (a, b), anyio.create_task_group() as tg:
        plain = await b.create_tcp_listener(local_host=B4)
        async with TLSListener(plain, server_context) as listener:
            tg.start_soon(listener.serve, echo)
            port = plain.extra(SocketAttribute.local_port)
            connectable = TLSConnectable(
                a.connectable(B4, port), hostname="b.test", ssl_context=client_context
            )
            async with await connectable.connect() as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x"
            tg.cancel_scope.cancel()
