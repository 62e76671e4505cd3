"""errors.def is the one list of failures; the package's map and the engine's words follow it."""

import builtins
import runpy

import anyio
import pytest

from support.csource import ROOT
from usertcp import _core, _errors

DEFINED = runpy.run_path(str(ROOT / "csrc/_build.py"), run_name="__meta__")["errors"]()


def test_list_is_whole():
    """Every line of the file has been understood, and no code or name is used twice."""
    text = (ROOT / "csrc/base/errors.def").read_text()
    assert len(DEFINED) == text.count("\nUT_ERROR(") > 0
    assert (
        len({code for code, *_ in DEFINED})
        == len({name for _, name, *_ in DEFINED})
        == len(DEFINED)
    )


def test_package_has_exactly_these():
    ours = [(int(c), c.name, i.exception, i.sentence) for c, i in _errors.ERRORS.items()]
    assert sorted(ours) == sorted(DEFINED)


@pytest.mark.parametrize(("code", "name", "exception", "sentence"), DEFINED, ids=str)
def test_engine_says_the_same(code: int, name: str, exception: str, sentence: str):
    lib, ffi = _core.lib, _core.ffi
    assert getattr(lib, f"UT_E_{name}") == code
    assert ffi.string(lib.ut_error_name(code)).decode() == name
    assert ffi.string(lib.ut_error_sentence(code)).decode() == sentence
    assert hasattr(builtins, exception) or hasattr(anyio, exception)
