"""Builds a C driver of this folder together with the engine's own sources, without Python.

The engine is compiled file by file with plain -O2: the shipped module adds link-time optimisation,
which would inline away the function borders that callgrind attributes to. So counts here are an
upper bound of what is shipped.
"""

import os
import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent / "csrc"
CC = os.environ.get("CC", "gcc")
FLAGS = (
    "-std=gnu11",
    "-O2",
    "-g",
    "-D_GNU_SOURCE",
    "-pthread",
    f"-I{CSRC}",
    f"-I{CSRC / 'include'}",
)
COMPILE_TIMEOUT = 120.0
"""Seconds one compiler call may take."""


def engine_sources() -> list[Path]:
    """All C files of the engine but the white-box ones of the tests."""
    found = sorted(CSRC.glob("*/*.c"))
    return [path for path in found if not path.name.startswith("whitebox")]


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def build(driver: str, directory: Path) -> Path:
    """Compiles benchmarks/`driver`.c and the engine into `directory`; returns the program."""
    sources = [HERE / f"{driver}.c", *engine_sources()]
    objects = [directory / f"{path.parent.name}_{path.stem}.o" for path in sources]
    commands = [
        [CC, *FLAGS, "-c", str(source), "-o", str(obj)]
        for source, obj in zip(sources, objects, strict=True)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_run, commands))
    program = directory / driver
    _run([CC, "-O2", "-pthread", *map(str, objects), "-o", str(program)])
    return program


def compiler() -> str:
    """The compiler's first line of `--version`, and the machine it compiles for."""
    done = subprocess.run(
        [CC, "--version"], capture_output=True, text=True, timeout=COMPILE_TIMEOUT, check=True
    )
    version = re.sub(r"\s+", " ", done.stdout.splitlines()[0])
    return f"{version}, {platform.machine()}"
