"""Where a control socket is: the user's directory for them, stale sockets, mode and owner."""

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

CLIENTS = 8
"""Of a socket at a time."""
MOST_STACKS = 64
"""Sockets of one process in the default directory."""
PathArgument: TypeAlias = "str | os.PathLike[str] | Literal[True]"


def outer_user(uid: int, uid_map: str) -> int:
    """This user as seen from outside its user namespace (user_namespaces(7))."""
    for first, outside, count in (map(int, row.split()) for row in uid_map.splitlines()):
        if first <= uid < first + count:
            return outside + uid - first
    return uid


def _user() -> int:
    """Inside a namespace everybody may be 0, and /tmp is one for all of them."""
    try:
        uid_map = Path("/proc/self/uid_map").read_text()
    except OSError:
        uid_map = ""
    return outer_user(os.geteuid(), uid_map)


def default_directory() -> Path:
    """`$XDG_RUNTIME_DIR/usertcp`; without that variable a directory of the user's in /tmp."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "usertcp")
    return Path(tempfile.gettempdir(), f"usertcp-{_user()}")


def _own_directory(path: Path) -> None:
    """Makes it, mode 0700; `PermissionError` when it is somebody else's or open to others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(
            errno.EPERM, f"control socket: {path} is not a directory that only this user may change"
        )


def _candidates(path: PathArgument) -> Iterator[Path]:
    """Where the socket may be made, best first. A directory stands for a default name in it."""
    given = None if path is True or path == "1" else Path(path)
    if given is not None and not given.is_dir():
        yield given
        return
    directory = default_directory() if given is None else given
    if given is None:
        _own_directory(directory)
    yield directory / f"{os.getpid()}.sock"
    for number in range(2, MOST_STACKS + 1):
        yield directory / f"{os.getpid()}-{number}.sock"


def _is_stale(path: Path) -> bool:
    """Whether a socket is there that nobody listens at."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(os.fspath(path)) == errno.ECONNREFUSED


def _bind(path: Path) -> socket.socket:
    """A socket that listens at `path`, for its owner only. `OSError` EADDRINUSE when one does."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(os.fspath(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(path):
                raise
            path.unlink()
            sock.bind(os.fspath(path))
        path.chmod(0o600)  # before anybody can connect
        sock.listen(CLIENTS)
    except OSError as error:
        sock.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"control socket {path}: {reason}") from None
    return sock


def listen(path: PathArgument) -> tuple[socket.socket, Path]:
    for candidate in (candidates := list(_candidates(path))):
        try:
            return _bind(candidate), candidate
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate is candidates[-1]:
                raise
    raise AssertionError("there is always a candidate")
