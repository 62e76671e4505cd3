"""The typed stub is what the header says, and the compiled module is what the stub says."""

import ast
import runpy

from support.csource import ROOT
from usertcp import _core

TOOL = runpy.run_path(str(ROOT / "tools/core_stub.py"), run_name="__meta__")
STUB = ROOT / "src/usertcp/_core.pyi"


def members(name: str) -> set[str]:
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            named = (n for n in node.body if isinstance(n, ast.AnnAssign | ast.FunctionDef))
            return {n.target.id if isinstance(n, ast.AnnAssign) else n.name for n in named}
    raise LookupError(name)


def test_stub_is_current():
    assert TOOL["generate"]() == STUB.read_text(), "run tools/core_stub.py"


def test_module_has_what_the_stub_names():
    assert members("Lib") == {name for name in dir(_core.lib) if not name.startswith("__")}


def test_structs_have_the_stubs_fields():
    for name in ("ut_info", "ut_config", "ut_event", "ut_shared"):
        fields = {field for field, _ in _core.ffi.typeof(name).fields}
        assert members(name) == fields
