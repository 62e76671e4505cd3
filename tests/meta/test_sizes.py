"""The size guide. A file or function over it is a design question, not an exemption."""

import ast
import re
from pathlib import Path

import pytest

from support import csource, sizes
from support.csource import ROOT

C_FILES = csource.files()
PYTHON = sizes.python_files()
PUBLIC = set(
    re.findall(
        r"\b(ut_\w+)\(",
        "".join(csource.code(path.read_text()) for path in csource.CSRC.glob("include/*.h")),
    )
)


def project_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [*C_FILES, *PYTHON], ids=project_name)
def test_file_fits(path: Path):
    lines = path.read_text().splitlines()
    assert len(lines) <= sizes.FILE_LINES[path.suffix]
    long = [f"{n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > sizes.LINE]
    assert long == []


@pytest.mark.parametrize("path", [*C_FILES, *PYTHON], ids=project_name)
def test_functions_fit(path: Path):
    long = [f"{f} has {f.lines} lines" for f in sizes.functions(path) if f.lines > sizes.FUNCTION]
    assert long == []


def is_in_a_table(name: str, text: str) -> bool:
    """Whether the function is given away as a value: a table of functions dictates its shape."""
    return re.search(rf"\b{name}\b(?!\s*\()", text) is not None


@pytest.mark.parametrize("path", C_FILES, ids=csource.name)
def test_c_functions_take_five_parameters_at_most(path: Path):
    text = csource.code(path.read_text())
    wide = [
        f"{f} takes {f.parameters}"
        for f in csource.functions(path)
        if f.parameters > sizes.PARAMETERS
        and f.name not in PUBLIC
        and not is_in_a_table(f.name, text)
    ]
    assert wide == []


@pytest.mark.parametrize("path", [p for p in PYTHON if "src" in p.parts], ids=project_name)
def test_python_functions_take_five_positional_parameters_at_most(path: Path):
    wide = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [arg.arg for arg in [*node.args.posonlyargs, *node.args.args]]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > sizes.PARAMETERS:
                wide.append(f"{node.lineno} {node.name} takes {count}")
    assert wide == []


def test_the_ruler_measures(tmp_path: Path):
    """Against a file of known sizes, so that the tests above cannot pass by finding nothing."""
    source = csource.CSRC / "base" / "nowhere.c"
    text = (
        "/* int no(int a) { */\nstruct s {\n    int x;\n};\n"
        "static int two(int a, int (*f)(int, int))\n{\n    if (a) {\n        return 1;\n    }\n"
        '    return f(a, "}"[0]);\n}\n#define M(x) \\\n    { x }\nvoid none(void) {}\n'
    )

    class Text(type(source)):  # type: ignore[misc]
        def read_text(self, *_: object) -> str:
            return text

    found = [(f.name, f.line, f.lines, f.parameters) for f in csource.functions(Text(source))]
    assert found == [("two", 5, 7, 2), ("none", 14, 1, 0)]
