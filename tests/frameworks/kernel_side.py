"""The kernel's side of these tests: real servers on kernel TCP, at the other end of the cable."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from frameworks.serving import APPS, LIMIT
from support.cli import clean_environment

KERNEL = "10.7.0.1"
"""The kernel's end of the cable."""


@contextmanager
def running(command: list[str], port: int, **options: object) -> Iterator[int]:
    """A program that listens on KERNEL:port, until the block ends. Its process id."""
    log = os.memfd_create("said")
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        **options,  # type: ignore[call-overload]
    )
    try:
        end = time.monotonic() + LIMIT
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                said = os.pread(log, 1 << 20, 0).decode(errors="replace")
                raise AssertionError(f"{command[0]}: status {process.poll()}\n{said}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(log)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((KERNEL, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def python_server(*words: str, port: int) -> Iterator[None]:
    """A Python server program of apps/ on kernel TCP."""
    with running([sys.executable, *words], port, cwd=APPS, env=clean_environment()):
        yield


def as_user(name: str) -> Callable[[], None]:
    """For `preexec_fn`: the database refuses to run as root."""
    entry = pwd.getpwnam(name)

    def become() -> None:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return become


def found(program: str, *places: Path) -> str:
    """Where a program is that Debian puts outside the path; the test is skipped without it."""
    path = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *map(str, places)]))
    if path is None:
        pytest.skip(f"no {program} on this machine")
    return path
