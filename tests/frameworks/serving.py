"""Servers of these tests: started in the test's namespace, awaited, asked with curl, ended."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.cli import STACK, clean_environment

APPS = Path(__file__).parent / "apps"
HOST, PORT = "10.7.0.2", 8080
"""The stack's own address; the kernel's end of the cable is 10.7.0.1."""
LIMIT = 60


def curl(path: str, *options: str, host: str = HOST, port: int = PORT) -> bytes:
    """What curl over kernel TCP gets; its complaint as an `AssertionError`."""
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", str(LIMIT), *options]
    command += [f"http://{host}:{port}{path}"]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT + 5, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def ask(path: str, *options: str) -> Any:
    return json.loads(curl(path, *options))


def environment(**more: str) -> dict[str, str]:
    """For a program that is told of its stack by variables alone."""
    return clean_environment(USERTCP_LINK=STACK[1], USERTCP_ADDRESS=STACK[3], **more)


@contextmanager
def serving(
    *command: str,
    run: bool = True,
    env: dict[str, str] | None = None,
    path: str | None = "/items/1",
) -> Iterator[Callable[[], str]]:
    """A Python program (`-m module ...` or a script) that serves until the block ends.

    With `run`, under `usertcp run` on the stack of the tests. `path`: a page that is there when it
    serves; None for what speaks no HTTP. What it has said so far the block's value tells, and it is
    shown should it not come to serve.
    """
    words = ["-m", "usertcp", "run", *STACK, *command] if run else list(command)
    log = os.memfd_create("said")
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=APPS,
        env=env or clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        _await_answer(process, log, path)
        yield lambda: os.pread(log, 1 << 20, 0).decode(errors="replace")
    finally:
        stop(process)
        os.close(log)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Asks it to, and makes it after a while."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_answer(process: "subprocess.Popen[bytes]", log: int, path: str | None) -> None:
    end = time.monotonic() + LIMIT
    while True:
        try:
            if path is None:
                socket.create_connection((HOST, PORT), timeout=1).close()
            else:
                curl(path, "--connect-timeout", "1")
            return
        except (AssertionError, OSError) as error:
            if process.poll() is not None or time.monotonic() > end:
                said = os.pread(log, 1 << 20, 0).decode(errors="replace")
                status = process.poll()
                raise AssertionError(f"{error}\nstatus {status}, it said:\n{said}") from None
            time.sleep(0.05)
