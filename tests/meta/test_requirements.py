"""docs/requirements.tsv: the list of requirements, and the marks in the tests that cite it."""

import ast
import csv
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.csource import ROOT

LIST = ROOT / "docs/requirements.tsv"
COLUMNS = ["id", "source", "level", "description", "test_idea"]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def rows() -> list[dict[str, str]]:
    with LIST.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


KNOWN = {row["id"] for row in rows()}


def cited(path: Path) -> Iterator[tuple[int, str]]:
    """(line, id) of each `pytest.mark.rfc("id", ...)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "rfc"
            and ast.unparse(node.func.value).endswith("mark")
        ):
            for arg in node.args:
                yield node.lineno, ast.literal_eval(arg)


def test_list_is_well_formed():
    found = rows()
    assert list(found[0]) == COLUMNS
    assert len(found) == len(KNOWN) > 400
    assert all(row["description"] and row["level"] for row in found)


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_marks_cite_the_list(path: Path):
    assert [(line, name) for line, name in cited(path) if name not in KNOWN] == []


def test_some_test_cites_a_requirement():
    assert sum(1 for path in TESTS for _ in cited(path)) > 0


TOOL = runpy.run_path(str(ROOT / "tools/requirements.py"), run_name="__meta__")


def test_each_must_has_its_test_or_its_deviation():
    settled = {*TOOL["citations"](), *TOOL["excused"](TOOL["deviations"]())}
    assert [r["id"] for r in rows() if r["level"] == "MUST" and r["id"] not in settled] == []


def test_the_readme_has_today_s_counts():
    assert TOOL["readme"]() == (ROOT / "README.md").read_text(), "run tools/requirements.py"
