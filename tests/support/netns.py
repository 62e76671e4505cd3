"""Tests in a network of their own: `@in_namespace` runs one in a forked child inside it.

Nothing of the machine's network is reachable there, and all of it ends with the child. What the
test raises, pytest's skip included, is raised again in the parent, with the child's traceback.
"""

import ctypes
import functools
import os
import pickle
import signal
import struct
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from usertcp import netns

LIMIT = 100  # seconds: less than the suite's own limit, so that the child never outlives it


class NamespaceTestError(AssertionError):
    """The child's traceback."""


def in_namespace(test: Callable[..., None]) -> Callable[..., None]:
    @pytest.mark.netns
    @functools.wraps(test)
    def parent(*args: Any, **kwargs: Any) -> None:
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child starts no thread's work
            pid = os.fork()
        if pid == 0:
            os.close(read)
            _child(write, functools.partial(test, *args, **kwargs))
        os.close(write)
        try:
            with os.fdopen(read, "rb") as pipe:
                report = pipe.read()
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(pid, 0)
        kind, text = pickle.loads(report) if report else ("died", f"wait status {status:#x}")
        if kind == "skip":
            pytest.skip(text)
        if kind != "ok":
            raise NamespaceTestError(f"{kind}\n{text}")

    return parent


def _child(write: int, test: Callable[[], None]) -> NoReturn:
    signal.alarm(LIMIT)
    try:
        try:
            netns.enter_private_namespace()
        except PermissionError as error:
            report = ("skip", f"no private network namespace here: {error}")
        else:
            test()
            report = ("ok", "")
    except pytest.skip.Exception as skipped:
        report = ("skip", str(skipped))
    except BaseException as error:
        report = (type(error).__name__, traceback.format_exc())
    with os.fdopen(write, "wb") as pipe:
        pipe.write(pickle.dumps(report))
    os._exit(0)


def drop_capabilities() -> None:
    """This process keeps its user but may do nothing special any more."""
    header = struct.pack("II", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
    if ctypes.CDLL(None).capset(header, bytes(24)) != 0:
        raise OSError("capset")


def kernel_counts() -> dict[str, int]:
    """The kernel's counters of TCP and IP in this namespace, as `nstat` names them without Ext."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found |= dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    return found


def veth(ours: str = "v1", kernel: str = "v0", mtu: int = 1500) -> None:
    """A cable: the kernel's end has 10.7.0.1/24 and fd07::1/64, our end is silent; both are up."""
    netns.veth_pair(kernel, ours, mtu)
    netns.quiet(ours)
    netns.addr_add(kernel, "10.7.0.1/24")
    netns.addr_add(kernel, "fd07::1/64")
    netns.link_up(ours)
    netns.link_up(kernel)
