"""drops.def: each reason is given somewhere in C, counted under its name, and met by a test."""

import re
import runpy

import pytest

from support import csource
from support.csource import ROOT
from usertcp import _core

DEFINED = [
    name for name, _ in runpy.run_path(str(ROOT / "csrc/_build.py"), run_name="__meta__")["drops"]()
]
UNTESTED = ROOT / "tests/meta/drops_untested.txt"
C_WORDS = set(
    re.findall(r"\bDROP_(\w+)", "".join(csource.code(p.read_text()) for p in csource.files()))
)
TEST_WORDS = {
    word
    for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "src/usertcp/testing").rglob("*.py")]
    for word in re.findall(r"\w+", path.read_text())
}


def untested() -> dict[str, str]:
    """Reason why there is no test, by drop."""
    lines = [line.split("#", 1)[0].strip() for line in UNTESTED.read_text().splitlines()]
    return dict(line.split(None, 1) for line in lines if line)


def test_list_is_whole():
    text = (ROOT / "csrc/base/drops.def").read_text()
    assert len(DEFINED) == len(set(DEFINED)) == text.count("\nUT_DROP(") > 0


@pytest.mark.parametrize("name", DEFINED)
def test_drop_is_given(name: str):
    assert name in C_WORDS


@pytest.mark.parametrize("name", DEFINED)
def test_drop_is_met_by_a_test(name: str):
    assert (name in TEST_WORDS) != (name in untested())


def test_allow_list_names_drops():
    assert set(untested()) <= set(DEFINED)


def test_every_drop_is_a_counter():
    names = []
    while (text := _core.lib.ut_counter_name(len(names))) != _core.ffi.NULL:
        names.append(_core.ffi.string(text).decode())
    assert [name for name in DEFINED if not any(name in counter for counter in names)] == []
