"""What the README and the quick start show is what happens; what the pages name is there."""

import re
import shutil
from pathlib import Path

import pytest

from support import pages
from support.csource import ROOT
from support.netns import in_namespace

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
QUICK_START = (ROOT / "docs/quick-start.md").read_text()


def needs(*programs: str) -> None:
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here")


@in_namespace
def test_quick_start(tmp_path: Path):
    needs("bash", "curl", "ip", "unshare")
    assert pages.run_page(QUICK_START, tmp_path) >= 10


@in_namespace
def test_readme(tmp_path: Path):
    """All but the two commands that are the demo and this very suite."""
    needs("bash", "ip", "unshare")
    assert pages.run_page(README, tmp_path, without="make (demo|test)$") >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_is_named_exists(page: Path):
    """Files of tests, tools and benchmarks, and targets of make."""
    text = page.read_text()
    named = re.findall(r"`((?:tests|tools|benchmarks|src|csrc)/[\w./-]+\w)(?:::\w+)?`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_examples_compile():
    """Those that are files, and those that are pieces."""
    for page in PAGES:
        for body in pages.blocks(page.read_text(), "python"):
            compile(body, str(page), "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def test_the_runner_can_fail(tmp_path: Path):
    with pages.Shell(tmp_path) as shell:
        shell.run("echo one; echo two", ["one", "...w..."])
        with pytest.raises(AssertionError, match="instead of"):
            shell.run("echo one; echo two", ["two", "one"])
        with pytest.raises(AssertionError, match="ended with 3"):
            shell.run("(exit 3)", [])
