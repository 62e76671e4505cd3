"""What became of kernel TCP sockets under `usertcp run` is told at its end, and by `usertcp ss`."""

import json
from pathlib import Path

import pytest

from support.cli import start, usertcp

STACK = ("--link", "memory:bypasses", "--address", "10.7.0.2/24")
ASYNCIO = """
import asyncio, socket, sys
async def main():
    loop = asyncio.get_running_loop()
    for _ in range(2):
        sock = socket.socket()
        sock.bind(("0.0.0.0", 0))
        try:
            await loop.create_server(asyncio.Protocol, sock=sock)
        except OSError:
            pass
        bound.append(sock)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
bound = []
asyncio.run(main())
"""
TRIO = """
import socket, sys, trio
async def main():
    for _ in range(2):
        sock = socket.socket()
        sock.bind(("0.0.0.0", 0))
        try:
            made.append(trio.socket.from_stdlib_socket(sock))
        except OSError:
            pass
        bound.append(sock)
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
bound, made = [], []
trio.run(main)
"""
CALLS = {"create_server": ASYNCIO, "from_stdlib_socket": TRIO}


@pytest.mark.parametrize("policy", ["adopt", "error", "kernel"])
@pytest.mark.parametrize("call", CALLS)
def test_sockets_that_a_loop_was_given(call: str, policy: str, tmp_path: Path):
    path, control = tmp_path / "program.py", str(tmp_path / "c.sock")
    path.write_text(CALLS[call] if policy != "error" else CALLS[call].replace("0.0.0.0", ""))
    words = ("--json", "--bypass", policy, "--control-path", control)
    process = start("run", *words, *STACK, str(path))
    with process:
        assert process.stdout is not None
        if policy == "error":  # the bind itself is refused, so no loop is given anything
            _, errors = process.communicate(timeout=40)
            assert process.returncode == 1
            assert "a kernel TCP socket was bound" in errors
            assert json.loads(errors.splitlines()[-1])["bypasses"] == {"bind": 1}
            return
        assert process.stdout.readline() == "ready\n"
        word = {"adopt": "adopted", "kernel": "left"}[policy]
        if call == "create_server" and policy == "kernel":
            found: dict[str, int] = {}  # no stack was opened
        else:
            found = _asked(control)
            assert found == {f"{call} {word}": 2}
            lines = usertcp("ss", "-s", control).stdout.splitlines()
            assert f"kernel sockets: {call} {word}" in "\n".join(lines)
        _, errors = process.communicate("\n", timeout=40)
    summary = json.loads(errors.splitlines()[-1])
    assert summary["tickets"] == found
    assert summary["bypasses"] == ({"bind": 2} if policy == "kernel" else {})


def _asked(control: str) -> dict[str, int]:
    done = usertcp("ss", "-s", "--json", control)
    (one,) = json.loads(done.stdout)
    found: dict[str, int] = one["statistics"]["bypasses"]
    return found


def test_in_words(tmp_path: Path):
    path = tmp_path / "program.py"
    path.write_text(TRIO)
    done = usertcp("run", "--bypass", "adopt", *STACK, str(path), input="\n")
    assert "event loops were given: 2 x from_stdlib_socket adopted" in done.stderr
