"""What `make foreign` runs with and on: an interpreter, an environment, other projects' sources."""

import os
import re
import subprocess
import sys
import tarfile
from glob import glob
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build/foreign"
sys.path.insert(0, str(ROOT / "tests"))

from foreign.expectations import Version  # noqa: E402
from foreign.suites import REQUIRES, Source  # noqa: E402

NEWEST = (3, 14)
"""Of the interpreters, the newest up to this one is taken: 3.12 has tests that 3.11 cannot run."""
PLACES = ("~/.pyenv/versions/*/bin/python", "/usr/local/bin/python3.*", "/usr/bin/python3.*")
PROBE = """
import ensurepip, platform, sys, sysconfig, venv
assert platform.python_implementation() == "CPython"
assert not sysconfig.get_config_var("Py_GIL_DISABLED")
print(*sys.version_info[:3])
"""


class MissingSourceError(Exception):
    """A suite's source cannot be had."""


def version_of(python: str) -> Version | None:
    """`None` for what is no CPython that can make an environment."""
    try:
        told = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, told.stdout.split()))


def newest_python() -> tuple[Version, str]:
    """This machine's newest that the suites' packages have wheels for, or this very one."""
    own = tuple(sys.version_info[:3])
    found = {own: sys.executable}
    for place in PLACES:
        for python in sorted(glob(os.path.expanduser(place))):
            if not re.search(r"(python|\d)$", python):
                continue
            version = version_of(python)
            if version and own[:2] < version[:2] <= NEWEST:
                found.setdefault(version, python)
    return max(found.items())


def pip(python: Path | str, *arguments: str) -> None:
    command = [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingSourceError(f"pip {arguments[0]} failed\n{done.stderr}")


def environment(asked: str) -> tuple[Path, Version]:
    """A python with the suites' packages, its version; `asked`: an interpreter, or nothing."""
    if asked:
        version = version_of(asked)
        if version is None:
            raise MissingSourceError(f"{asked} is no CPython with venv and ensurepip")
        base = asked
    else:
        version, base = newest_python()
    place = BUILT / "venv-{}.{}".format(*version[:2])
    python, stamp = place / "bin/python", place / ".made"
    wanted = sha256(repr((version, REQUIRES)).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"foreign: making {place.relative_to(ROOT)}", file=sys.stderr, flush=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([base, "-m", "venv", "--clear", place], check=True)
        pip(python, "install", *REQUIRES)
        stamp.write_text(wanted)
    return python, version


def source(wanted: Source, python: Path) -> Path:
    """The unpacked source distribution, or the repository at its commit."""
    target = BUILT / wanted.directory
    if target.exists():
        return target
    print(f"foreign: fetching {wanted.directory}", file=sys.stderr, flush=True)
    if "://" in wanted.name:
        repository, _, commit = wanted.name.partition("@")
        cloned(repository, commit, target)
        return target
    fetched, making = BUILT / "sdists", BUILT / "unpacked"
    package = wanted.name.partition("==")[0]
    pip(
        *(python, "download", "--no-deps", "--no-binary", package),
        *("--dest", str(fetched), wanted.name),
    )
    rmtree(making, ignore_errors=True)
    with tarfile.open(fetched / f"{wanted.directory}.tar.gz") as archive:
        archive.extractall(making, filter="data")
    if wanted.leave_out:
        rmtree(making / wanted.directory / wanted.leave_out)
    (making / wanted.directory).rename(target)
    return target


def cloned(repository: str, commit: str, target: Path) -> None:
    """git's own settings (`url.<base>.insteadOf`) lead to a mirror, where there is one."""
    making = target.with_suffix(".part")
    rmtree(making, ignore_errors=True)
    for command in (
        ("git", "clone", "--quiet", "--no-checkout", repository, str(making)),
        ("git", "-C", str(making), "checkout", "--quiet", commit),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise MissingSourceError(f"cannot get {repository}\n{done.stderr}")
    making.rename(target)
