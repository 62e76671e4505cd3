"""SO_REUSEPORT on trio's sockets: who may bind and listen, and that all of them are served."""

import errno
import socket

import pytest
import trio

from support.trio_pairs import B4, make, net, on_trio, raises
from usertcp.trio import SocketFactory, TCPSocket


def _reusing(factory: SocketFactory, host: str = B4, *, port: bool = True) -> TCPSocket:
    sock = make(factory, host)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(port))
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == int(port)
    return sock


@on_trio
async def test_sockets_with_reuse_port_share_a_port():
    async with net() as both:
        sharing = [_reusing(both.b) for _ in range(3)]
        name: tuple[str, int] = (B4, 0)
        for sock in sharing:  # as in Linux: bound and listening alike
            await sock.bind(name)
            name = sock.getsockname()
            sock.listen()
        accepted = []
        for _ in range(60):
            with make(both.a) as client:
                await client.connect(name)
                with trio.move_on_after(5):
                    accepted.append(await _who_accepts(sharing))
        assert {*accepted} == {0, 1, 2}
        with make(both.b) as other, raises(errno.EADDRINUSE):
            await other.bind(name)
        sharing.pop(1).close()
        for _ in range(10):
            with make(both.a) as client:
                await client.connect(name)
                await _who_accepts(sharing)
        for sock in sharing:
            sock.close()
        with make(both.b) as other:
            await other.bind(name)


async def _who_accepts(listeners: list[TCPSocket]) -> int:
    found: list[int] = []
    async with trio.open_nursery() as nursery:

        async def wait(number: int) -> None:
            (await listeners[number].accept())[0].close()
            found.append(number)
            nursery.cancel_scope.cancel()

        for number in range(len(listeners)):
            nursery.start_soon(wait, number)
    return found[0]


@on_trio
@pytest.mark.parametrize("is_listening", [False, True])
@pytest.mark.parametrize("wildcard", [False, True])
async def test_reuse_port_must_be_asked_for_by_all(is_listening: bool, wildcard: bool):
    async with net() as both:
        for first, second in ((False, True), (True, False)):
            with _reusing(both.b, port=first) as one, _reusing(both.b, port=second) as two:
                await one.bind((B4, 4000))
                if is_listening:
                    one.listen()
                with raises(errno.EADDRINUSE):
                    await two.bind(("0.0.0.0" if wildcard else B4, 4000))
