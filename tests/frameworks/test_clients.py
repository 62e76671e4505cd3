"""Unchanged clients on a stack, with servers on kernel TCP at the other end of the cable."""

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest

import usertcp
import usertcp.asyncio
from frameworks.kernel_side import KERNEL, certified, python_server
from frameworks.on_stack import LOOPS, on_stack, opened
from support.netns import in_namespace, veth

PORT = 8000
URL = f"http://{KERNEL}:{PORT}"
UVICORN = ("-m", "uvicorn", "asgi_app:app", "--host", KERNEL, "--port", str(PORT))


@pytest.mark.parametrize("package", ["httpx", "httpx2"])
@pytest.mark.parametrize("loop", LOOPS)
@in_namespace
def test_httpx_reuses_its_connection(loop: str, package: str):
    httpx = pytest.importorskip(package)
    pytest.importorskip("fastapi")
    veth()

    async def main(stack: usertcp.Stack) -> None:
        async with httpx.AsyncClient(base_url=URL, trust_env=False) as client:
            for number in range(20):
                assert (await client.get(f"/items/{number}")).json()["number"] == number
            assert len((await client.get("/stream")).content) == 1_000_000
            body = bytes(range(256)) * 20_000
            assert (await client.put("/upload", content=body)).json()["size"] == len(body)
        assert opened(stack) == 1

    with python_server(*UVICORN, port=PORT):
        on_stack(loop, main, "error")


@pytest.mark.parametrize("loop", LOOPS)
@in_namespace
def test_httpx_with_tls_and_http2(tmp_path: Path, loop: str):
    httpx = pytest.importorskip("httpx")
    for module in ("h2", "hypercorn", "fastapi"):
        pytest.importorskip(module)
    veth()
    trusting, certificate, key = certified(tmp_path)
    files = ("--certfile", str(certificate), "--keyfile", str(key))
    words = ("-m", "hypercorn", "asgi_app:app", "-w", "0", "--bind", f"{KERNEL}:{PORT}", *files)

    async def main(stack: usertcp.Stack) -> None:
        url = f"https://{KERNEL}:{PORT}"
        settings = {"base_url": url, "verify": trusting, "trust_env": False}
        async with httpx.AsyncClient(http2=True, **settings) as client:
            answers: list[Any] = []

            async def ask(number: int) -> None:
                answers.append(await client.get(f"/items/{number}"))

            await ask(0)
            async with anyio.create_task_group() as group:
                for number in range(1, 20):
                    group.start_soon(ask, number)
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert {answer.json()["number"] for answer in answers} == set(range(20))
        assert opened(stack) == 1  # all of them in one connection
        async with httpx.AsyncClient(**settings) as client:
            answer = await client.get("/items/70000")
            assert (answer.http_version, len(answer.json()["text"])) == ("HTTP/1.1", 70_000)

    with python_server(*words, port=PORT):
        on_stack(loop, main, "error")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@in_namespace
def test_aiohttp_client_adopted(loop: str):
    """It makes kernel sockets and connects them by the loop."""
    aiohttp = pytest.importorskip("aiohttp")
    pytest.importorskip("fastapi")
    veth()

    async def main(stack: usertcp.Stack) -> None:
        async with aiohttp.ClientSession(URL) as session:
            for number in range(5):
                async with session.get(f"/items/{number}") as answer:
                    assert (await answer.json())["number"] == number
            async with session.ws_connect("/ws") as socket:
                await socket.send_str("abc" * 1000)
                assert await socket.receive_str() == "cba" * 1000
        assert opened(stack) == 1  # the WebSocket came over the idle one
        assert stack.statistics().bypasses == {"sock_connect adopted": 1}

    with python_server(*UVICORN, port=PORT):
        on_stack(loop, main, "adopt")


@in_namespace
def test_aiohttp_client_with_our_sockets():
    aiohttp = pytest.importorskip("aiohttp")
    pytest.importorskip("fastapi")
    veth()

    async def main(stack: usertcp.Stack) -> None:
        connector = aiohttp.TCPConnector(socket_factory=usertcp.asyncio.socket_factory)
        async with (
            aiohttp.ClientSession(URL, connector=connector) as session,
            session.get("/stream") as answer,
        ):
            assert len(await answer.read()) == 1_000_000
        assert (opened(stack), stack.statistics().bypasses) == (1, {})

    with python_server(*UVICORN, port=PORT):
        on_stack("asyncio", main, "error")


@pytest.mark.parametrize("loop", LOOPS)
@in_namespace
def test_websockets(loop: str):
    pytest.importorskip("websockets")
    pytest.importorskip("fastapi")
    veth()
    url = f"ws://{KERNEL}:{PORT}/ws"

    async def main(stack: usertcp.Stack) -> None:
        if loop == "trio":
            from websockets.trio.client import connect
        else:
            from websockets.asyncio.client import connect  # type: ignore[assignment]
        async with connect(url) as socket:
            for word in ("abc", "d" * 500_000):
                await socket.send(word)
                assert await socket.recv() == word[::-1]
        assert opened(stack) == 1

    with python_server(*UVICORN, port=PORT):
        on_stack(loop, main, "error")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@in_namespace
def test_grpclib_client(loop: str):
    channel_of = pytest.importorskip("grpclib.client")
    pytest.importorskip("google.protobuf")
    veth()

    async def main(stack: usertcp.Stack) -> None:
        async with channel_of.Channel(KERNEL, PORT) as channel:
            await shout(channel_of, channel)
        assert opened(stack) == 1

    with python_server("grpclib_app.py", KERNEL, str(PORT), port=PORT):
        on_stack(loop, main, "error")


async def shout(module: Any, channel: Any) -> None:
    """Words by grpclib's client API, short ones and one that fills windows."""
    from google.protobuf.wrappers_pb2 import StringValue

    method = module.StreamStreamMethod(channel, "/words.Words/Upper", StringValue, StringValue)
    words = ["one", "two", "x" * 300_000]
    answers = await method([StringValue(value=word) for word in words])
    assert [answer.value for answer in answers] == [word.upper() for word in words]


@in_namespace
def test_grpclib_server():
    """Both ends on one stack's loop would prove little: the client is on kernel TCP."""
    module = pytest.importorskip("grpclib.client")
    pytest.importorskip("google.protobuf")
    from frameworks.serving import HOST, serving

    veth()

    async def main() -> None:
        async with module.Channel(HOST, 8080) as channel:
            await shout(module, channel)

    with serving("grpclib_app.py", HOST, "8080", path=None):
        asyncio.run(main())
