"""Kernel sockets given to the loop: adopted, let pass or refused; counted, and told once."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import usertcp.asyncio
from support.asyncio_pairs import (
    A4,
    B4,
    BASES,
    Recorder,
    eventually,
    join,
    on,
    spins,
    two_stacks,
)  # fmt: skip
from usertcp.asyncio import Socket


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> object:
    return BASES[request.param]


class Wrapped:
    """As gunicorn has them: no socket, but with all that one has, until it is closed."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock: socket.socket | None = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


@pytest.fixture(params=["socket", "wrapped", "called UNIX"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A kernel's listening socket, as libraries bring them along."""
    with socket.create_server(("0.0.0.0", 0)) as sock:
        sock.setblocking(False)
        if request.param == "called UNIX":  # by uvicorn --fd
            with socket.fromfd(sock.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as named:
                yield named
        else:
            yield sock if request.param == "socket" else Wrapped(sock)


def is_closed(kernel: Any) -> bool:
    return kernel.sock is None if isinstance(kernel, Wrapped) else kernel.fileno() == -1


def kernel_client() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock


def test_error_names_the_option(base, kernel):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with two_stacks() as stacks:
            with on(stacks.a), kernel_client() as client:
                for call in (
                    lambda: loop.sock_connect(client, (B4, 80)),
                    lambda: loop.sock_accept(kernel),
                    lambda: loop.create_server(Recorder, sock=kernel),
                    lambda: loop.create_connection(Recorder, sock=client),
                    lambda: loop.connect_accepted_socket(Recorder, client),
                ):
                    with pytest.raises(OSError, match="USERTCP_BYPASS=adopt"):
                        await call()
        assert sum(loop.usertcp.bypasses.values()) == 5

    usertcp.asyncio.run(main(), base=base)


def test_adopted_server(base, kernel):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with two_stacks() as stacks:
            port = kernel.getsockname()[1]
            with on(stacks.b):
                server = await loop.create_server(Recorder, sock=kernel)
            assert server.sockets[0].getsockname() == ("0.0.0.0", port)
            with on(stacks.a):
                transport, protocol = await loop.create_connection(Recorder, B4, port)
            assert kernel.getsockname()[1] == port  # still open: programs ask it
            transport.close()
            await protocol.lost
            server.close()
            await server.wait_closed()
            assert is_closed(kernel)

    usertcp.asyncio.run(main(), base=base, bypass="adopt")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_adopted_server_of_an_unbound_socket(base, family: socket.AddressFamily):
    """Listening binds it, and its user sees the port: uvicorn's --fd."""

    async def ports() -> tuple[int, int]:
        with socket.socket(family) as kernel:
            server = await asyncio.get_running_loop().create_server(Recorder, sock=kernel.dup())
            (own,) = server.sockets
            named = kernel.getsockname()[1], own.getsockname()[1]
            server.close()
            await server.wait_closed()
            return named

    async def main() -> None:
        async with two_stacks() as stacks:
            with on(stacks.b):
                for _ in range(5):  # another test may have the port in the kernel: then it stays 0
                    kernels, own = await ports()
                    assert own > 0
                    if kernels != 0:
                        break
                assert kernels == own

    usertcp.asyncio.run(main(), base=base, bypass="adopt")


def test_adopted_listener_of_sock_accept(base, kernel):
    """The way of AnyIO's listener."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with two_stacks() as stacks:
            address = (B4, kernel.getsockname()[1])
            with on(stacks.b):
                accepting = asyncio.create_task(loop.sock_accept(kernel))
                await asyncio.sleep(0.01)
            with on(stacks.a):
                a, pa = await loop.create_connection(Recorder, *address)
            sock, peer = await accepting
            assert isinstance(sock, Socket)
            assert peer[0] == A4
            b, pb = await loop.connect_accepted_socket(Recorder, sock)
            a.write(b"hello")
            await eventually(lambda: pb.data == b"hello")
            with on(stacks.b):
                accepting = asyncio.create_task(loop.sock_accept(kernel))
                await spins()
            accepting.cancel()
            await spins()
            kernel.close()
            await eventually(
                lambda: not [c for c in stacks.b.connections() if c.state.name == "LISTEN"]
            )
            b.close()
            await pa.lost
            assert a.is_closing()

    usertcp.asyncio.run(main(), base=base, bypass="adopt")


def test_adopted_client(base, caplog):
    """The way of aiohttp."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with two_stacks() as stacks:
            pb = Recorder()
            with on(stacks.b):
                server = await loop.create_server(lambda: pb, B4, 0)
            client = kernel_client()
            with on(stacks.a):
                await loop.sock_connect(client, server.sockets[0].getsockname())
                transport, pa = await loop.create_connection(Recorder, sock=client)
            assert transport.get_extra_info("usertcp.stack") is stacks.a
            transport.write(b"hello")
            await eventually(lambda: pb.data == b"hello")
            transport.close()
            await pa.lost
            assert client.fileno() == -1
            dropped = kernel_client()
            with on(stacks.a):
                await loop.sock_connect(dropped, server.sockets[0].getsockname())
                await loop.sock_sendall(dropped, b"x")
                assert await asyncio.wait_for(_closes(loop, dropped, pb), 2) == b""
            dropped.close()
            del dropped
            server.close()
            server.close_clients()

    async def _closes(loop, sock, pb):
        await asyncio.sleep(0.02)
        pb.transport.close()
        return await loop.sock_recv(sock, 10)

    with caplog.at_level(logging.INFO, "usertcp.asyncio"):
        usertcp.asyncio.run(main(), base=base, bypass="adopt")
    assert caplog.text.count("sock_connect") == 1


def test_kernel_policy_counts_and_warns_once(base, kernel, monkeypatch, caplog):
    monkeypatch.setenv("USERTCP_BYPASS", "kernel")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, sock=kernel)
        for _ in range(2):
            client = kernel_client()
            await loop.sock_connect(client, ("127.0.0.1", kernel.getsockname()[1]))
            transport, protocol = await loop.create_connection(Recorder, sock=client)
            transport.close()
            await protocol.lost
        server.close()
        assert loop.usertcp.at_hand() is None
        assert {key.split()[0]: n for key, n in loop.usertcp.bypasses.items()} == {
            "create_server": 1, "sock_connect": 2, "create_connection": 2,
        }  # fmt: skip

    usertcp.asyncio.run(main(), base=base)
    assert caplog.text.count("in sock_connect") == 1
    assert caplog.records[0].levelno == logging.WARNING


def test_kernel_policy_leaves_loopback_to_the_kernel(base):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as real:
            async with two_stacks() as stacks:
                with on(stacks.a):
                    transport, protocol = await loop.create_connection(
                        Recorder, *real.getsockname()
                    )
                assert transport.get_extra_info("usertcp.stack") is None
                transport.close()
                await protocol.lost
        assert sum(loop.usertcp.bypasses.values()) == 1

    usertcp.asyncio.run(main(), base=base, bypass="kernel")


def test_connected_kernel_socket_cannot_be_adopted(base, kernel):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with two_stacks() as stacks:
            client = socket.create_connection(kernel.getsockname())
            with on(stacks.a), client, pytest.raises(OSError, match="connected already"):
                await loop.create_connection(Recorder, sock=client)
            ends = await join(stacks)
            ends.a.abort()
            ends.b.abort()

    usertcp.asyncio.run(main(), base=base, bypass="adopt")


@pytest.mark.parametrize("where", ["environment", "argument"])
def test_unknown_policy(where: str, kernel, monkeypatch):
    if where == "argument":
        with pytest.raises(ValueError, match="bypass: 'perhaps' is none of adopt"):
            usertcp.asyncio.loop_factory(bypass="perhaps")
        return
    monkeypatch.setenv("USERTCP_BYPASS", "perhaps")

    async def main() -> None:
        with pytest.raises(ValueError, match="USERTCP_BYPASS: 'perhaps' is none of adopt"):
            await asyncio.get_running_loop().create_server(Recorder, sock=kernel)

    usertcp.asyncio.run(main())
