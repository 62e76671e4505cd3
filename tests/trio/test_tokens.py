"""Kernel sockets brought to trio: adopted, let pass or refused; counted, and told once."""

import logging
import socket

import anyio
import pytest
import trio

import usertcp
import usertcp.trio
from support.trio_pairs import B4, B6, on_trio

OURS = [f"{B4}/24", f"{B6}/64"]


def opening(bypass: str | None = None):
    return usertcp.trio.open_stack("memory:tokens", addresses=OURS, bypass=bypass)


def far():
    return usertcp.open_stack("memory:tokens", addresses=["10.7.0.1/24", "fd07::1/64"])


@on_trio
async def test_error_names_the_option():
    async with far(), opening() as stack:
        with socket.create_server(("0.0.0.0", 0)) as kernel:
            for _ in range(2):
                with pytest.raises(OSError, match="USERTCP_BYPASS=adopt"):
                    trio.socket.from_stdlib_socket(kernel)
            assert kernel.fileno() >= 0
        assert stack.statistics().bypasses == {"from_stdlib_socket refused": 2}


@pytest.mark.parametrize("host", [B4, B6])
@on_trio
async def test_anyio_listener_adopted(host: str):
    async with far() as other, opening("adopt") as stack:
        listener = await anyio.create_tcp_listener(local_host="::" if ":" in host else "0.0.0.0")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        client = await other.connect_tcp(host, port)

        async def answer(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.send(b"from " + await stream.receive())
                remote = stream.extra(anyio.abc.SocketAttribute.remote_address)
                assert remote[1] == client.extra(anyio.abc.SocketAttribute.local_port)

        async with listener, client, trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve, answer)
            await client.send(b"afar")
            assert await client.receive() == b"from afar"
            nursery.cancel_scope.cancel()
        assert stack.statistics().bypasses == {"from_stdlib_socket adopted": 1}
        with pytest.raises(OSError, match="connection attempts failed"):
            await other.connect_tcp(host, port)  # closed with AnyIO's


@on_trio
async def test_ticket_lives_as_long_as_the_socket():
    async with far(), opening("adopt"):
        kernel = socket.socket()
        ours = trio.socket.from_stdlib_socket(kernel)
        assert isinstance(ours, usertcp.trio.TCPSocket)
        assert kernel.fileno() >= 0
        ours.close()
        assert kernel.fileno() == -1


@on_trio
async def test_adopted_client():
    async with far() as other, opening("adopt"):
        listener = await other.create_tcp_listener(local_port=80)
        with trio.socket.from_stdlib_socket(socket.socket()) as client:
            await client.connect(("10.7.0.1", 80))
            async with listener, await listener.listeners[0].accept() as server:
                await client.send(b"hello")
                assert await server.receive() == b"hello"


@on_trio
async def test_connected_ones_cannot_be_adopted():
    async with far(), opening("adopt"):
        kernel = socket.create_server(("127.0.0.1", 0))
        with kernel, socket.create_connection(kernel.getsockname()) as client:
            client.setblocking(False)
            with pytest.raises(OSError, match="not connected"):
                trio.socket.from_stdlib_socket(client)


@on_trio
async def test_loopback_stands_for_the_own_address(caplog: pytest.LogCaptureFixture):
    async with far() as other, opening("adopt"):
        with socket.create_server(("127.0.0.1", 0)) as kernel:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(kernel))
            async with listener:
                assert "which other hosts reach" in caplog.text
                async with await other.connect_tcp(B4, kernel.getsockname()[1]):
                    await (await listener.accept()).aclose()


@on_trio
async def test_kernel_lets_pass_and_tells_once(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "usertcp.trio")
    async with far(), opening("kernel") as stack:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            with socket.create_connection(("127.0.0.1", port)):
                await (await listener.listeners[0].accept()).aclose()
        async with await anyio.create_tcp_listener(local_host="127.0.0.1"):
            pass
        assert stack.statistics().bypasses == {"from_stdlib_socket left": 2}
    assert len(caplog.records) == 1


@on_trio
async def test_others_and_other_times_are_trios():
    trios = trio.socket.from_stdlib_socket
    async with far(), opening() as stack:
        assert trio.socket.from_stdlib_socket is not trios
        with trio.socket.from_stdlib_socket(socket.socket(type=socket.SOCK_DGRAM)) as datagrams:
            assert not isinstance(datagrams, usertcp.trio.TCPSocket)
        with trio.socket.socket() as ours, trio.socket.from_stdlib_socket(ours._sock) as again:
            assert isinstance(again, usertcp.trio.TCPSocket)
        assert stack.statistics().bypasses == {}
    assert trio.socket.from_stdlib_socket is trios
    with trio.socket.from_stdlib_socket(socket.socket()):
        pass


def test_another_run_of_the_process_is_not_concerned():
    async def kernel_socket() -> None:
        with trio.socket.from_stdlib_socket(socket.socket()) as sock:
            assert not isinstance(sock, usertcp.trio.TCPSocket)

    async def main() -> None:
        async with far(), opening():
            await trio.to_thread.run_sync(trio.run, kernel_socket)
            with pytest.raises(OSError, match="USERTCP_BYPASS"), socket.socket() as sock:
                trio.socket.from_stdlib_socket(sock)

    trio.run(main)


@on_trio
async def test_a_wrong_policy_opens_nothing(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="bypass: 'perhaps' is none of adopt"):
        async with opening("perhaps"):
            pass
    monkeypatch.setenv("USERTCP_BYPASS", "no")
    with pytest.raises(ValueError, match="USERTCP_BYPASS: 'no' is none of adopt"):
        async with opening():
            pass
