"""What users can import is what docs/reference.md lists, and the settled names are among it."""

import importlib
import re

import pytest

from support.csource import ROOT

REFERENCE = ROOT / "docs/reference.md"
MODULES = ("usertcp", "usertcp.asyncio", "usertcp.trio", "usertcp.testing")

# Scripts outside the project rely on these.
SETTLED = {
    "usertcp": {"open_stack", "connect_tcp", "create_tcp_listener"},
    "usertcp.testing": {"Network", "figure", "check_stream", "check_listener"},
}


def documented(module: str) -> set[str]:
    """Names in the reference's headings and table rows, written `module.name`."""
    names = re.findall(rf"^[#|].*?`{re.escape(module)}\.(\w+)", REFERENCE.read_text(), re.MULTILINE)
    return {name for name in names if f"{module}.{name}" not in MODULES}


def present() -> list[str]:
    return [m for m in MODULES if (ROOT / "src" / m.replace(".", "/")).is_dir()]


@pytest.mark.parametrize("module", present())
def test_all_is_documented(module: str):
    exported = importlib.import_module(module).__all__
    assert len(exported) == len(set(exported))
    assert set(exported) == documented(module)


@pytest.mark.parametrize("module", present())
def test_all_exists(module: str):
    found = importlib.import_module(module)
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


@pytest.mark.parametrize("module", SETTLED)
def test_settled_names_are_there(module: str):
    assert set(importlib.import_module(module).__all__) >= SETTLED[module]


def test_package_is_typed():
    assert (ROOT / "src/usertcp/py.typed").exists()
