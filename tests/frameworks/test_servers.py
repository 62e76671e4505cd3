"""Unchanged servers on a stack, asked by curl, httpx and websockets over kernel TCP.

The address they serve on is the stack's alone: an answer proves that the stack gave it.
"""

import asyncio
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from frameworks.serving import HOST, PORT, ask, curl, environment, serving
from support.cli import STACK
from support.netns import in_namespace, veth

BIND = ("--host", "0.0.0.0", "--port", str(PORT))
GUNICORN = ("-b", f"0.0.0.0:{PORT}", "--no-control-socket")
LOOP = ("--loop", "usertcp.asyncio:new_event_loop")
BOUND = f"0.0.0.0:{PORT}"

# What each way to start one needs, and the way: under `usertcp run`, or told by the environment.
UNDER_RUN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "uvicorn": (("uvicorn", "fastapi"), ("-m", "uvicorn", "asgi_app:app", *BIND)),
    "uvicorn, console script": (("uvicorn", "fastapi"), ("uvicorn", "asgi_app:app", *BIND)),
    "uvicorn on uvloop": (
        ("uvicorn", "fastapi", "uvloop"),
        ("-m", "uvicorn", "asgi_app:app", *BIND, "--loop", "uvloop"),
    ),
    "uvicorn, reloading": (("uvicorn", "fastapi"), ("uvicorn", "asgi_app:app", *BIND, "--reload")),
    "hypercorn": (("hypercorn", "fastapi"), ("-m", "hypercorn", "asgi_app:app", "--bind", BOUND)),
    "hypercorn, one process": (
        ("hypercorn", "fastapi"),
        ("hypercorn", "asgi_app:app", "--workers", "0", "--bind", BOUND),
    ),
    "hypercorn on uvloop": (
        ("hypercorn", "fastapi", "uvloop"),
        ("hypercorn", "asgi_app:app", "-k", "uvloop", "-b", BOUND),
    ),
    "hypercorn on trio": (
        ("hypercorn", "fastapi"),
        ("hypercorn", "asgi_app:app", "-k", "trio", "-b", BOUND),
    ),
    "hypercorn on trio, in code": (
        ("hypercorn", "fastapi"),
        ("hypercorn_trio.py", "0.0.0.0", str(PORT)),
    ),
    "anycorn": (("anycorn", "fastapi"), ("-m", "anycorn", "asgi_app:app", "-b", BOUND)),
    "anycorn on trio": (
        ("anycorn", "fastapi"),
        ("-m", "anycorn", "asgi_app:app", "-k", "trio", "-b", BOUND),
    ),
    "gunicorn": (("gunicorn", "fastapi"), ("gunicorn", "-k", "asgi", *GUNICORN, "asgi_app:app")),
    "gunicorn with uvicorn": (
        ("gunicorn", "uvicorn", "fastapi"),
        ("gunicorn", "-k", "uvicorn.workers.UvicornWorker", *GUNICORN, "asgi_app:app"),
    ),
    "quart on uvicorn": (("quart", "uvicorn"), ("uvicorn", "--factory", "quart_app:app", *BIND)),
    "quart-trio on hypercorn": (
        ("quart_trio",),
        ("hypercorn", "quart_trio_app:app", "-k", "trio", "-b", BOUND),
    ),
    "aiohttp": (("aiohttp",), ("aiohttp_app.py", HOST, str(PORT))),
    "aiohttp, a socket of its own": (("aiohttp",), ("aiohttp_app.py", "a-socket", str(PORT))),
}
BY_ENVIRONMENT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "uvicorn": (("uvicorn", "fastapi"), ("-m", "uvicorn", "asgi_app:app", *BIND, *LOOP)),
    "uvicorn, reloading": (
        ("uvicorn", "fastapi"),
        ("-m", "uvicorn", "asgi_app:app", *BIND, *LOOP, "--reload"),
    ),
    "hypercorn in code": (
        ("hypercorn", "fastapi"),
        ("hypercorn_in_code.py", "asyncio", BOUND, STACK[1], STACK[3]),
    ),
    "hypercorn on trio in code": (
        ("hypercorn", "fastapi"),
        ("hypercorn_in_code.py", "trio", BOUND, STACK[1], STACK[3]),
    ),
}


def check_answers() -> None:
    """Pages, bodies both ways, one connection for many requests."""
    assert ask("/items/3") == {"number": 3, "text": "xxx"}
    assert len(ask("/items/300000")["text"]) == 300_000
    posted = ask("/echo", "--json", '{"a": [1, 2]}')
    assert posted == {"got": {"a": [1, 2]}}
    assert curl("/stream") == b"".join(bytes([number]) * 10_000 for number in range(100))
    many = curl("/items/[1-50]", "--write-out", "\\n#%{num_connects}\\n").decode().splitlines()
    assert sum(int(line[1:]) for line in many if line.startswith("#")) == 1
    answers = [json.loads(line) for line in many if line.startswith("{")]
    assert [answer["number"] for answer in answers] == list(range(1, 51))


def check_upload(tmp_path: Path, size: int) -> None:
    body = tmp_path / "body"
    body.write_bytes(os.urandom(size))
    wanted = {"size": size, "sha256": hashlib.sha256(body.read_bytes()).hexdigest()}
    assert ask("/upload", "--upload-file", str(body)) == wanted
    chunked = ("--header", "Transfer-Encoding: chunked")
    assert ask("/upload", "--upload-file", str(body), *chunked) == wanted


def check_websocket() -> None:
    from websockets.asyncio.client import connect

    async def talk() -> list[Any]:
        async with connect(f"ws://{HOST}:{PORT}/ws") as socket:
            answers = []
            for word in ("abc", "d" * 200_000):
                await socket.send(word)
                answers.append(await socket.recv())
            return answers

    assert asyncio.run(talk()) == ["cba", "d" * 200_000]


@pytest.mark.parametrize(("modules", "command"), UNDER_RUN.values(), ids=UNDER_RUN.keys())
@in_namespace
def test_under_run(tmp_path: Path, modules: tuple[str, ...], command: tuple[str, ...]):
    for module in modules:
        pytest.importorskip(module)
    veth()
    with serving(*command):
        check_answers()
        check_upload(tmp_path, 20_000_000)
        check_websocket()


@pytest.mark.parametrize(("modules", "command"), BY_ENVIRONMENT.values(), ids=BY_ENVIRONMENT.keys())
@in_namespace
def test_told_by_the_environment(
    tmp_path: Path, modules: tuple[str, ...], command: tuple[str, ...]
):
    for module in modules:
        pytest.importorskip(module)
    veth()
    with serving(*command, run=False, env=environment(USERTCP_BYPASS="adopt")):
        check_answers()
        check_upload(tmp_path, 20_000_000)
        check_websocket()


@in_namespace
def test_static_files_of_aiohttp():
    """Its sendfile finds no descriptor to send to, and falls back."""
    pytest.importorskip("aiohttp")
    veth()
    with serving("aiohttp_app.py", HOST, str(PORT)):
        assert (
            curl("/static/asgi_app.py")
            == Path(__file__).with_name("apps").joinpath("asgi_app.py").read_bytes()
        )
        part = curl("/static/asgi_app.py", "--range", "3-12")
        assert len(part) == 10


@in_namespace
def test_uvicorn_serves_what_it_reloads(tmp_path: Path):
    """The new process finds the address free: the old one's stack is gone with it."""
    for module in ("uvicorn", "fastapi"):
        pytest.importorskip(module)
    veth()
    program = tmp_path / "changing.py"
    program.write_text(CHANGING.format("first"))
    words = ("--app-dir", str(tmp_path), "--reload-dir", str(tmp_path), "--reload")
    with serving("uvicorn", "changing:app", *BIND, *words, path="/"):
        assert curl("/") == b"first"
        begin = changed = time.monotonic()
        program.write_text(CHANGING.format("second"))
        while (answer := again("/")) != b"second":
            assert answer in (b"first", None)
            now = time.monotonic()
            assert now < begin + 40
            if now > changed + 8:  # what was there before its first look, it does not see change
                program.touch()
                changed = now


CHANGING = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"{}"}})
"""


def again(path: str) -> bytes | None:
    try:
        return curl(path, "--connect-timeout", "1")
    except AssertionError:
        return None


@in_namespace
def test_workers_of_uvicorn_are_told_about():
    """Told by the environment alone nobody can refuse them: one serves, and the others say why."""
    for module in ("uvicorn", "fastapi"):
        pytest.importorskip(module)
    veth()
    words = ("-m", "uvicorn", "asgi_app:app", *BIND, *LOOP, "--workers", "2")
    adopting = environment(USERTCP_BYPASS="adopt")
    with serving(*words, run=False, env=adopting) as said:
        end = time.monotonic() + 30
        while "has a stack with 10.7.0.2 already" not in said():
            assert time.monotonic() < end
            time.sleep(0.05)
        check_answers()
