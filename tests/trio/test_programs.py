"""Unchanged programs on trio: docs/recipes/trio.md's own, httpx, websockets."""

import re
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

import usertcp
from support.csource import ROOT
from support.trio_pairs import B4, eventually, net, on_trio, using

RECIPE = (ROOT / "docs/recipes/trio.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", RECIPE, re.DOTALL | re.MULTILINE)
CLIENTS = [block for block in BLOCKS if "serve" not in block]
SERVERS = [block for block in BLOCKS if "serve" in block]
ANSWER = b"HTTP/1.0 200 OK\r\n\r\nhello"


def main_of(block: str) -> Any:
    names: dict[str, Any] = {}
    exec(block.replace("packet:v1", "memory:recipe"), names)
    return names["main"]


def test_recipe_has_both():
    assert len(CLIENTS) == 2
    assert len(SERVERS) == 1


@pytest.mark.parametrize("block", CLIENTS, ids=["trio", "anyio"])
@on_trio
async def test_recipe_client(block: str, capsys):
    async with usertcp.open_stack("memory:recipe", addresses=["10.7.0.1/24"]) as far:
        listener = await far.create_tcp_listener(local_port=80)

        async def answer(stream: usertcp.TCPStream) -> None:
            async with stream:
                assert (await stream.receive()).startswith(b"GET /")
                await stream.send(ANSWER)

        async with trio.open_nursery() as nursery, listener:
            nursery.start_soon(listener.serve, answer)
            await main_of(block)()
            nursery.cancel_scope.cancel()
    assert "hello" in capsys.readouterr().out


@pytest.mark.parametrize("block", SERVERS, ids=["trio"])
@on_trio
async def test_recipe_server(block: str):
    opening = usertcp.open_stack("memory:recipe", addresses=["10.7.0.1/24"])
    async with opening as far, trio.open_nursery() as nursery:
        nursery.start_soon(main_of(block))
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with await far.connect_tcp("10.7.0.2", 8080) as stream:
            await stream.send(b"again")
            assert await stream.receive() == b"again"
        nursery.cancel_scope.cancel()


@on_trio
async def test_httpx_reuses_its_connection():
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    connections = []

    async def serve(stream: trio.SocketStream) -> None:
        connections.append(stream)
        rest = b""
        async for part in stream:
            rest += part
            while b"\r\n\r\n" in rest:
                rest = rest.partition(b"\r\n\r\n")[2]
                await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

    async with net() as both, trio.open_nursery() as nursery:
        with using(both.b):
            await nursery.start(trio.serve_tcp, serve, 8000)
        with using(both.a):
            async with httpx.AsyncClient(trust_env=False) as client:
                for _ in range(5):
                    response = await client.get(f"http://{B4}:8000/")
                    assert response.text == "hello"
                assert len(connections) == 1
                await connections[0].send_eof()  # an idle connection that the server ends
                await eventually(lambda: both.stacks.b.statistics().unfinished == 0)
                assert (await client.get(f"http://{B4}:8000/")).text == "hello"
        assert len(connections) == 2
        nursery.cancel_scope.cancel()


@on_trio
async def test_websockets():
    pytest.importorskip("websockets.trio", reason="websockets is not installed")
    from websockets.trio.client import connect
    from websockets.trio.server import serve

    async def reverse(websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message[::-1])

    async with net() as both, trio.open_nursery() as nursery:
        with using(both.b):
            await nursery.start(partial(serve, reverse, 8765, host=B4))
        with using(both.a):
            async with connect(f"ws://{B4}:8765", proxy=None) as websocket:
                await websocket.send("abc" * 100_000)
                assert await websocket.recv() == "cba" * 100_000
        nursery.cancel_scope.cancel()
