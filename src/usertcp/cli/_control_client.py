"""The other side of `usertcp._control`: finding running stacks and asking them."""

import errno
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from usertcp._control_path import default_directory
from usertcp.cli._common import Failure

TIMEOUT = 10.0
HOW = (
    "start the program with `usertcp run --control ...`, with USERTCP_CONTROL=1 in its environment "
    "or with open_stack(..., control=True)"
)


class Client:
    """One connection to a control socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock: socket.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        try:
            self.sock.connect(os.fspath(path))
        except OSError as error:
            self.sock.close()
            raise Failure(f"control socket {path}: {error.strerror or error}; {HOW}") from None
        self._lines = self.sock.makefile("rb")

    def close(self) -> None:
        self._lines.close()
        self.sock.close()

    def ask(self, request: str, pass_fd: int | None = None) -> dict[str, Any]:
        """The first line of the reply; `Failure` with the program's words when it refuses."""
        line = json.dumps({"request": request}).encode() + b"\n"
        try:
            if pass_fd is None:
                self.sock.sendall(line)
            else:
                socket.send_fds(self.sock, [line], [pass_fd])
        except OSError:  # it may have said why before it hung up
            pass
        reply = self._line()
        if not reply.get("ok"):
            raise Failure(f"{self.path}: {reply.get('error', 'the program refused')}")
        return reply

    def rows(self, request: str) -> list[dict[str, Any]]:
        return [self._line() for _ in range(self.ask(request)["rows"])]

    def _line(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
            if not line:
                raise Failure(f"{self.path}: the program hung up")
            document = json.loads(line)
        except (OSError, ValueError) as error:
            raise Failure(f"{self.path}: {error}") from None
        assert isinstance(document, dict)
        return document


@contextmanager
def connected(path: Path) -> Iterator[Client]:
    client = Client(path)
    try:
        yield client
    finally:
        client.close()


_NAME = re.compile(r"(\d+)(-\d+)?")
"""How sockets in a directory are called: process, and which of its stacks."""


def _answers(path: Path) -> bool:
    """Whether a program listens there. What a program that is gone has left is removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        code = probe.connect_ex(os.fspath(path))
    name = _NAME.fullmatch(path.stem)
    if code == errno.ECONNREFUSED and name and not Path("/proc", name[1]).exists():
        with suppress(OSError):
            path.unlink()
    return code == 0


def find(target: str | None) -> list[Path]:
    """Control sockets of a process (its number, or a path), or of all of this user's."""
    directory, names = default_directory(), ["*.sock"]
    if target is not None and _NAME.fullmatch(target):
        names = [f"{target}.sock", f"{target}-*.sock"]
    elif target is not None:
        directory = Path(target)
        if not directory.is_dir():
            return [directory]
    found = sorted(path for name in names for path in directory.glob(name))
    living = [path for path in found if _answers(path)]
    if not living:
        whose = f"process {target}" if len(names) > 1 else "any process"
        raise Failure(f"no control socket of {whose} in {directory}: {HOW}")
    return living


def find_one(target: str | None) -> Path:
    paths = find(target)
    if len(paths) > 1 and paths[0].stem != target:
        names = ", ".join(path.stem for path in paths)
        raise Failure(f"several stacks are running: name one of {names}, or its socket's path")
    return paths[0]
