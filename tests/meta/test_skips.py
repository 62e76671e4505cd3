"""Under CI a skip that skips.txt does not list fails the run; elsewhere it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.csource import ROOT

SUITE = """
import pytest

@pytest.mark.skip(reason="no device v1")
def test_listed(): pass

@pytest.mark.parametrize("x", [1])
def test_other(x):
    if {skip}: pytest.skip("no time")
"""


def run(where: Path, *, ci: bool, skip: bool, workers: int) -> subprocess.CompletedProcess[str]:
    (where / "meta").mkdir()
    shutil.copy(ROOT / "tests/conftest.py", where)
    (where / "meta/skips.txt").write_text("# why\n*::test_listed | no device *\n")
    (where / "test_it.py").write_text(SUITE.format(skip=skip))
    (where / "pytest.ini").write_text("[pytest]\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("CI", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", str(workers), "-p", "no:cacheprovider", str(where)],
        env=env | ({"CI": "true"} if ci else {}),
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("ci", "skip", "ok"), [(True, False, True), (False, True, True)])
def test_passes(tmp_path: Path, ci: bool, skip: bool, ok: bool, workers: int):
    done = run(tmp_path, ci=ci, skip=skip, workers=workers)
    assert (done.returncode == 0) is ok, done.stdout


@pytest.mark.parametrize("workers", [0, 2])
def test_unlisted_skip_fails_under_ci(tmp_path: Path, workers: int):
    done = run(tmp_path, ci=True, skip=True, workers=workers)
    assert done.returncode == 1, done.stdout
    assert "test_it.py::test_other[1] | no time" in done.stdout
    assert "::test_listed |" not in done.stdout
