"""The kernel's side of these tests: real servers on kernel TCP, at the other end of the cable."""

import ctypes
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from frameworks.serving import APPS, LIMIT, stop
from support.cli import clean_environment, plain_environment

KERNEL = "10.7.0.1"
"""The kernel's end of the cable."""
_CLONE_NEWUSER = 0x10000000


@contextmanager
def running(command: list[str], port: int, **options: object) -> Iterator[int]:
    """A program that listens on KERNEL:port, until the block ends. Its process id."""
    log = os.memfd_create("said")
    options.setdefault("env", plain_environment())
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
        stop(process)
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


def certified(place: Path) -> tuple[ssl.SSLContext, Path, Path]:
    """Who trusts it, and the files of a certificate for KERNEL and its key."""
    authority = trustme.CA()
    issued = authority.issue_cert(KERNEL)
    certificate, key = place / "cert.pem", place / "key.pem"
    issued.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return trusting, certificate, key


def as_user(name: str) -> Callable[[], None]:
    """For `preexec_fn`: the database refuses to run as root.

    A user namespace made without privilege has root and nobody else. There, one more namespace
    within it calls the same user by the other number.
    """
    entry = pwd.getpwnam(name)

    def become() -> None:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    def rename() -> None:
        if ctypes.CDLL(None).unshare(_CLONE_NEWUSER) != 0:
            raise OSError("unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{entry.pw_uid} 0 1")
        Path("/proc/self/gid_map").write_text(f"{entry.pw_gid} 0 1")

    return become if _exists(entry.pw_uid) else rename


def give(path: Path, name: str) -> None:
    """Makes a user of `as_user` the owner, where that is another user."""
    if _exists(pwd.getpwnam(name).pw_uid):
        shutil.chown(path, name)


def _exists(uid: int) -> bool:
    """Whether this user namespace has the user."""
    text = Path("/proc/self/uid_map").read_text()
    ranges = [map(int, line.split()) for line in text.splitlines()]
    return any(first <= uid < first + count for first, _, count in ranges)


def found(program: str, *places: Path) -> str:
    """Where a program is that Debian puts outside the path; the test is skipped without it."""
    path = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *map(str, places)]))
    if path is None:
        pytest.skip(f"no {program} on this machine")
    return path
