"""The size guide's numbers, and what they measure: used by tests/meta and tools/sizes.py."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support import csource
from support.csource import ROOT, Function

FILE_LINES = {".c": 600, ".h": 250, ".py": 400}
FUNCTION = 70
LINE = 100
PARAMETERS = 5


def python_files() -> list[Path]:
    """All Python of the project."""
    found = [ROOT / "setup.py", *ROOT.glob("csrc/*.py")]
    for folder in ("src", "tests", "benchmarks", "tools"):
        found += (ROOT / folder).rglob("*.py")
    return sorted(found)


def functions(path: Path) -> Iterator[Function]:
    """The functions of a C or Python file; of a Python one without its docstring."""
    if path.suffix != ".py":
        yield from csource.functions(path)
        return
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if (doc := ast.get_docstring(node, clean=False)) is not None:
                lines -= doc.count("\n") + 1
            yield Function(name, node.name, node.lineno, lines, len(node.args.args))
