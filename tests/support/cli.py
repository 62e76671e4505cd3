"""Running the commands as processes, for tests within a namespace and without."""

import os
import subprocess
import sys
from typing import Any

STACK = ("--link", "packet:v1", "--address", "10.7.0.2/24")
LIMIT = 40


def clean_environment(**more: str) -> dict[str, str]:
    """This process's, without what would speak to the command."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("USERTCP_")}
    return mine | more


def plain_environment() -> dict[str, str]:
    """The same for programs that are not ours: no sanitizer is loaded into them before their own
    libraries (PostgreSQL's server waits for itself forever with one).
    """
    return {name: value for name, value in clean_environment().items() if name != "LD_PRELOAD"}


def usertcp(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """One command from start to end."""
    command = [sys.executable, "-m", "usertcp", *words]
    settings = {"capture_output": True, "text": True, "timeout": LIMIT} | options
    settings.setdefault("env", clean_environment())
    return subprocess.run(command, check=False, **settings)


def start(*words: str, **options: Any) -> "subprocess.Popen[str]":
    """One that goes on; pipes on everything."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    settings = pipes | {"text": True, "env": clean_environment()} | options
    return subprocess.Popen([sys.executable, "-m", "usertcp", *words], **settings)


def line_of(error: str) -> str:
    """The one line that stderr has."""
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error.strip()
