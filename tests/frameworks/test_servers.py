"""Unchanged servers on a stack, asked by curl, httpx and websockets over kernel TCP.

The address they serve on is the stack's alone: an answer proves that the stack gave it.
"""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from frameworks.serving import HOST, PORT, ask, curl, environment, serving
from support.netns import in_namespace, veth

BIND = ("--host", "0.0.0.0", "--port", str(PORT))
LOOP = ("--loop", "usertcp.asyncio:new_event_loop")
ADOPT = {"USERTCP_BYPASS": "adopt"}


def needs(*modules: str) -> pytest.MarkDecorator:
    return pytest.mark.needs(*modules)


# Each way to start one: under `usertcp run`, or told by the environment.
UNDER_RUN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "uvicorn": (("uvicorn", "fastapi"), ("-m", "uvicorn", "asgi_app:app", *BIND)),
    "uvicorn, console script": (("uvicorn", "fastapi"), ("uvicorn", "asgi_app:app", *BIND)),
    "uvicorn on uvloop": (
        ("uvicorn", "fastapi", "uvloop"),
        ("-m", "uvicorn", "asgi_app:app", *BIND, "--loop", "uvloop"),
    ),
    "hypercorn": (
        ("hypercorn", "fastapi"),
        ("-m", "hypercorn", "asgi_app:app", "--workers", "0", "--bind", f"0.0.0.0:{PORT}"),
    ),
    "hypercorn on trio, in code": (
        ("hypercorn", "fastapi"),
        ("hypercorn_trio.py", "0.0.0.0", str(PORT)),
    ),
    "hypercorn on trio": (
        ("hypercorn", "fastapi"),
        ("hypercorn", "asgi_app:app", "-k", "trio", "-w", "0", "-b", f"0.0.0.0:{PORT}"),
    ),
    "aiohttp": (("aiohttp",), ("aiohttp_app.py", HOST, str(PORT))),
}
BY_ENVIRONMENT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "uvicorn": (("uvicorn", "fastapi"), ("-m", "uvicorn", "asgi_app:app", *BIND, *LOOP)),
}


def check_answers() -> None:
    """Pages, bodies both ways, one connection for many requests."""
    assert ask("/items/3") == {"number": 3, "text": "xxx"}
    assert len(ask("/items/300000")["text"]) == 300_000
    posted = ask("/echo", "--json", '{"a": [1, 2]}')
    assert posted == {"got": {"a": [1, 2]}}
    assert curl("/stream") == b"".join(bytes([number]) * 10_000 for number in range(100))
    many = curl("/items/[1-50]", "--write-out", "\\n%{num_connects}\\n").decode().splitlines()
    assert sum(int(line) for line in many[1::2]) == 1


def check_upload(tmp_path: Path, size: int) -> None:
    body = tmp_path / "body"
    body.write_bytes(os.urandom(size))
    answer = ask("/upload", "--upload-file", str(body))
    assert answer == {"size": size, "sha256": hashlib.sha256(body.read_bytes()).hexdigest()}


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
    with serving(*command, run=False, env=environment()):
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
