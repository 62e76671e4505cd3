"""The control socket: who may use it, what it answers, what it survives, what it leaves behind."""

import json
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import pytest

import usertcp
from usertcp import _control
from usertcp._control import ControlServer
from usertcp._control_path import CLIENTS, outer_user

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("USERTCP_CONTROL", raising=False)
    return tmp_path


@asynccontextmanager
async def a_stack(**options: Any) -> AsyncIterator[usertcp.Stack]:
    name = f"memory:control-{time.monotonic_ns()}"
    async with usertcp.open_stack(name, addresses=["10.7.0.1/24"], **options) as stack:
        yield stack


class Talk:
    """A client by hand, in threads so that the loop stays free."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def _line(self, data: bytes) -> Any:
        try:
            if data:
                self.sock.sendall(data)
            line = self.file.readline()
        except (BrokenPipeError, ConnectionResetError):
            return None
        return json.loads(line) if line else None

    async def raw(self, data: bytes) -> Any:
        return await anyio.to_thread.run_sync(self._line, data)

    async def ask(self, request: str) -> Any:
        return await self.raw(json.dumps({"request": request}).encode() + b"\n")

    async def next(self) -> Any:
        return await self.raw(b"")


async def test_it_is_the_owners_alone(tmp_path: Path):
    async with a_stack(control=True):
        path = tmp_path / "usertcp" / f"{os.getpid()}.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_what_it_answers(tmp_path: Path):
    async with (
        a_stack(control=tmp_path / "s") as stack,
        await stack.create_tcp_listener(local_port=80, backlog=7),
    ):
        with Talk(tmp_path / "s") as talk:
            hello = await talk.ask("hello")
            assert (hello["pid"], hello["addresses"]) == (os.getpid(), ["10.7.0.1/24"])
            assert (await talk.ask("connections"))["rows"] == 1
            row = await talk.next()
            assert (row["state"], row["local"][1], row["backlog"]) == ("LISTEN", 80, 7)
            assert set(row) == set(usertcp.ConnectionInfo.__dataclass_fields__)
            assert "segments_in" in (await talk.ask("statistics"))["counters"]


@pytest.mark.parametrize(
    "line", [b"\n", b"hello\n", b"[]\n", b'{"request": 7}\n', b'{"request": "off"}\n', b"\xff\n"]
)
async def test_nonsense_is_answered_and_the_next_request_works(tmp_path: Path, line: bytes):
    async with a_stack(control=tmp_path / "s"):
        with Talk(tmp_path / "s") as talk:
            assert (await talk.raw(line))["ok"] is False
            assert (await talk.ask("hello"))["ok"] is True


async def test_a_request_without_end_is_cut_off(tmp_path: Path):
    async with a_stack(control=tmp_path / "s"):
        with Talk(tmp_path / "s") as talk:
            assert "at most" in (await talk.raw(b"x" * (2 * _control.LINE)))["error"]
            assert await talk.next() is None


async def test_clients_are_bounded(tmp_path: Path):
    async with a_stack(control=tmp_path / "s"):
        talks = [Talk(tmp_path / "s") for _ in range(CLIENTS)]
        try:
            for talk in talks:
                assert (await talk.ask("hello"))["ok"]
            with Talk(tmp_path / "s") as talk:
                assert "connected already" in (await talk.next())["error"]
        finally:
            for talk in talks:
                talk.__exit__()


class Stranger:
    """A socket whose peer has another uid."""

    def getsockopt(self, *_: int) -> bytes:
        return struct.pack("iII", 1, os.geteuid() + 1, 0)


async def test_another_user_is_refused(tmp_path: Path):
    async with a_stack() as stack:
        with ControlServer(stack, tmp_path / "s") as server:
            assert "may not look" in server._refusal(Stranger())  # type: ignore[arg-type]


async def test_a_stale_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with a_stack(control=path) as stack:
        with pytest.raises(OSError, match=r"control socket .*in use"):
            ControlServer(stack, path)
        with Talk(path) as talk:
            assert (await talk.ask("hello"))["ok"]


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path):
    (tmp_path / "s").write_text("mine")
    with pytest.raises(OSError, match="in use"):
        async with a_stack(control=tmp_path / "s"):
            pass
    assert (tmp_path / "s").read_text() == "mine"


async def test_a_directory_of_others_is_refused(tmp_path: Path):
    (tmp_path / "usertcp").mkdir(mode=0o777)
    (tmp_path / "usertcp").chmod(0o777)
    with pytest.raises(PermissionError, match="only this user"):
        async with a_stack(control=True):
            pass


async def test_several_stacks_of_a_process(tmp_path: Path):
    async with a_stack(control=True), a_stack(control=True):
        names = sorted(path.name for path in (tmp_path / "usertcp").iterdir())
        assert names == [f"{os.getpid()}-2.sock", f"{os.getpid()}.sock"]
    assert list((tmp_path / "usertcp").iterdir()) == []


async def test_the_environment_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USERTCP_CONTROL", str(tmp_path / "s"))
    async with a_stack():
        assert (tmp_path / "s").exists()
        async with a_stack():  # the second says in the log that it goes without
            pass
        async with a_stack(control=False):
            pass
        with Talk(tmp_path / "s") as talk:
            assert (await talk.ask("hello"))["ok"]


async def test_as_a_task(tmp_path: Path):
    async with a_stack() as stack, anyio.create_task_group() as group:
        path = await group.start(_control.serve, stack, tmp_path / "s")
        assert path == tmp_path / "s"
        with Talk(path) as talk:
            assert (await talk.ask("hello"))["ok"]
        group.cancel_scope.cancel()
    assert not (tmp_path / "s").exists()


async def test_a_loop_that_is_busy_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_control, "ANSWER", 0.1)
    async with a_stack(control=tmp_path / "s"):
        with Talk(tmp_path / "s") as talk:
            answer: list[Any] = []
            asking = threading.Thread(
                target=lambda: answer.append(talk._line(b'{"request": "connections"}\n'))
            )
            asking.start()
            time.sleep(0.5)  # noqa: ASYNC251 - the point of it
            asking.join()
            assert "busy" in answer[0]["error"]
            assert (await talk.ask("connections"))["ok"]


async def test_the_end_of_the_stack_hangs_up(tmp_path: Path):
    async with a_stack(control=tmp_path / "s"):
        talk = Talk(tmp_path / "s")
        assert (await talk.ask("hello"))["ok"]
    with talk:
        assert await talk.next() is None


async def test_a_capture_needs_a_pipe_and_is_one_at_a_time(tmp_path: Path):
    async with a_stack(control=tmp_path / "s"):
        with Talk(tmp_path / "s") as talk, Talk(tmp_path / "s") as other:
            assert "needs" in (await talk.ask("capture"))["error"]
            with (tmp_path / "file").open("wb") as file:
                socket.send_fds(talk.sock, [b" "], [file.fileno()])
                assert "pipe only" in (await talk.ask("capture"))["error"]
            reading, writing = os.pipe()
            try:
                socket.send_fds(talk.sock, [b" "], [writing])
                assert (await talk.ask("capture"))["ok"]
                socket.send_fds(other.sock, [b" "], [writing])
                assert "of its own" in (await other.ask("capture"))["error"]
            finally:
                os.close(writing)
            talk.sock.shutdown(socket.SHUT_WR)
            assert await talk.next() is None
            with os.fdopen(reading, "rb") as pipe:
                assert pipe.read()[:4] == b"\x0a\x0d\x0d\x0a"


async def test_a_capture_of_the_programs_own_is_not_ended(tmp_path: Path):
    async with a_stack(control=tmp_path / "s", capture=str(tmp_path / "own.pcapng")):
        reading, writing = os.pipe()
        os.close(reading)
        with Talk(tmp_path / "s") as talk:
            socket.send_fds(talk.sock, [b" "], [writing])
            assert "of its own" in (await talk.ask("capture"))["error"]
        os.close(writing)


@pytest.mark.parametrize(
    ("uid", "uid_map", "outside"),
    [
        (0, "         0          0 4294967295\n", 0),
        (1000, "0 0 4294967295\n", 1000),
        (0, "0 1001 1\n", 1001),
        (7, "0 1001 1\n1 100000 65536\n", 100006),
        (65534, "0 1001 1\n", 65534),
        (5, "", 5),
    ],
)
def test_users_of_namespaces(uid: int, uid_map: str, outside: int):
    assert outer_user(uid, uid_map) == outside


@pytest.mark.netns
def test_a_user_namespace_has_its_users_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """There is one /tmp, and whoever makes a namespace is 0 in it."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    program = "from usertcp._control_path import default_directory; print(default_directory())"
    told = [
        subprocess.run(
            [*way, sys.executable, "-c", program], capture_output=True, check=True
        ).stdout
        for way in ([], ["unshare", "--user", "--map-root-user"])
    ]
    assert told[0] == told[1]
    assert told[0].decode().startswith(f"{tmp_path}/usertcp-")
