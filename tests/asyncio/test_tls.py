"""TLS by asyncio's own protocol over our transports: ssl=, start_tls, both directions."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from support.asyncio_pairs import B4, B6, Recorder, eventually, join, on, on_loops, two_stacks

CERTS = Path(__file__).parent.parent / "aio" / "certs"
DATA = os.urandom(500_000)


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTS / "server.pem")
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTS / "ca.pem")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def exchange(reader, writer) -> None:
    async def send() -> None:
        writer.write(DATA)
        await writer.drain()

    task = asyncio.create_task(send())
    assert await reader.readexactly(len(DATA)) == DATA
    await task
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("host", [B4, B6])
@on_loops
async def test_streams(host: str):
    async with two_stacks() as stacks:
        with on(stacks.b):
            server = await asyncio.start_server(echo, host, 8443, ssl=server_context())
        with on(stacks.a):
            reader, writer = await asyncio.open_connection(host, 8443, ssl=client_context())
        assert writer.get_extra_info("sslcontext")
        assert writer.get_extra_info("peercert")["subject"]
        assert writer.get_extra_info("cipher")
        assert writer.get_extra_info("peername")[0] == host
        assert writer.get_extra_info("usertcp.stack") is stacks.a
        assert not writer.can_write_eof()
        await exchange(reader, writer)
        server.close()
        await server.wait_closed()


@on_loops
async def test_start_tls_on_both_sides():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        a, pa, b, pb, _ = await join(stacks)
        server = asyncio.create_task(loop.start_tls(b, pb, server_context(), server_side=True))
        ta = await loop.start_tls(a, pa, client_context(), server_hostname=B4)
        tb = await server
        ta.write(DATA)
        tb.write(b"greeting")
        await eventually(lambda: len(pb.data) == len(DATA) and pa.data == b"greeting")
        assert pb.data == DATA
        ta.close()
        assert await pa.lost is None
        assert await pb.lost is None


@on_loops
async def test_sendfile_over_tls(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        pb = Recorder()
        with on(stacks.b):
            server = await loop.create_server(lambda: pb, B4, 8443, ssl=server_context())
        with on(stacks.a):
            transport, _ = await loop.create_connection(Recorder, B4, 8443, ssl=client_context())
        with (tmp_path / "file").open("rb") as file:
            assert await loop.sendfile(transport, file) == len(DATA)
        transport.close()
        assert await pb.lost is None
        assert pb.data == DATA
        server.close()


@on_loops
async def test_handshakes_that_fail():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        with on(stacks.b):
            server = await loop.create_server(Recorder, B4, 8443, ssl=server_context())
        with on(stacks.a):
            with pytest.raises(ssl.SSLCertVerificationError):
                await loop.create_connection(Recorder, B4, 8443, ssl=ssl.create_default_context())
            plain, protocol = await loop.create_connection(Recorder, B4, 8443)
            plain.write(b"this is no TLS at all, is it?\r\n")
            await protocol.lost
            silent, protocol = await loop.create_connection(Recorder, B4, 8443)
            silent.close()
            await protocol.lost
        server.close()
        await server.wait_closed()
        assert not [c for c in stacks.b.connections() if c.state.name == "ESTABLISHED"]


@on_loops
async def test_wrong_arguments():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        a, pa, b, _, _ = await join(stacks)
        with pytest.raises(TypeError):
            await loop.start_tls(a, pa, "context")
        a.abort()
        b.abort()
