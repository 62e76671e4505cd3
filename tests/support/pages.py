"""Pages of the documentation, run as a reader would: files as they are named, commands as typed.

A block of Python whose first line is `# name.py` is a file. Of a `console` block the lines that
begin with `$ ` are typed into one shell, one after the other; what stands below a command must be
in its output, line by line and in that order, with `...` for anything. A command that ends with `&`
goes on; its output is waited for. Every other command must end with 0.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from support.cli import clean_environment

LIMIT = 40.0  # seconds for one command
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, kind: str) -> list[str]:
    return [body for language, body in _BLOCK.findall(text) if language == kind]


def write_files(text: str, where: Path) -> list[Path]:
    """The page's files; none is told twice."""
    written = []
    for body in blocks(text, "python"):
        named = re.match(r"# ([\w.]+)\n", body)
        if named:
            path = where / named[1]
            assert not path.exists(), path.name
            path.write_text(body)
            written.append(path)
    return written


def commands(text: str) -> list[tuple[str, list[str]]]:
    """(what is typed, the lines that it prints) of all console blocks."""
    found: list[tuple[str, list[str]]] = []
    for body in blocks(text, "console"):
        for line in body.splitlines():
            if line.startswith("$ "):
                found.append((re.sub(r"\s+# .*", "", line[2:]).rstrip(), []))
            else:
                assert found, f"output without a command: {line}"
                found[-1][1].append(line)
    return found


def shows(output: str, expected: list[str]) -> bool:
    """Whether the expected lines are there, in order."""
    lines = iter(output.splitlines())
    patterns = [".*".join(map(re.escape, line.split("..."))) for line in expected if line != "..."]
    return all(any(re.fullmatch(pattern, line) for line in lines) for pattern in patterns)


class Shell:
    """bash, told one command at a time. Whatever it has started ends with it."""

    def __init__(self, where: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        more = {"PATH": path, "PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": str(where)}
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=where,
            env=clean_environment(**more),
            start_new_session=True,
            bufsize=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def run(self, command: str, expected: list[str]) -> None:
        goes_on = command.endswith("&")
        if command.endswith(" bash"):  # the shell within answers from now on
            command += " 2>&1"
        mark = f"-- {time.monotonic_ns()}"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\necho '{mark}' $?\n".encode())
        output, ended = "", None
        until = time.monotonic() + LIMIT
        while ended is None or (goes_on and not shows(output, expected)):
            output += self._read(until, f"{command}\n{output}")
            ended = re.search(rf"^{mark} (\d+)\n", output, re.MULTILINE)
        output = output.replace(ended[0], "")
        assert ended[1] == "0", f"{command}\n{output}\nended with {ended[1]}"
        assert shows(output, expected), f"{command}\n{output}\ninstead of\n" + "\n".join(expected)

    def _read(self, until: float, so_far: str) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select(
            [self._process.stdout], [], [], max(0, until - time.monotonic())
        )
        assert ready, f"no answer within {LIMIT} s:\n{so_far}"
        data = os.read(self._process.stdout.fileno(), 65536)
        assert data, f"the shell ended:\n{so_far}"
        return data.decode()


def run_page(text: str, where: Path, *, without: str = "") -> int:
    """Runs it; returns how many commands that were. `without`: commands to leave out, a pattern."""
    write_files(text, where)
    count = 0
    with Shell(where) as shell:
        for command, expected in commands(text):
            if not (without and re.match(without, command)):
                shell.run(command, expected)
                count += 1
    return count
