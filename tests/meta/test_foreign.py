"""The table of other projects' tests is what `make foreign` found; its list is kept."""

from pathlib import Path

import pytest

from foreign import tables
from foreign.expectations import Expectation, expectations, holds
from foreign.suites import REQUIRES, SUITES, Suite
from support.csource import ROOT

FOUND = tables.load()
NAMES = {suite.name for suite in SUITES}
PYTHON = tuple(FOUND["python"])


@pytest.mark.parametrize("page", tables.TABLES, ids=lambda page: page.name)
def test_table_is_of_the_results(page: Path):
    text = page.read_text()
    assert tables.replaced(text, tables.TABLES[page](FOUND)) == text


def test_every_suite_has_figures():
    assert set(FOUND["suites"]) == NAMES


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_version_is_the_one_that_is_run(suite: Suite):
    package = suite.name.partition("-")[0]
    assert f"{package}=={suite.version}" in REQUIRES
    if suite.source and "://" not in suite.source.name:
        assert suite.source.name == f"{package}=={suite.version}"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_failed_is_listed(name: str):
    figures = FOUND["suites"][name]
    listed = figures["listed"]

    def tests(*verdicts: str) -> int:
        return sum(entry["tests"] for entry in listed if entry["verdict"] in verdicts)

    assert all(entry["tests"] > 0 for entry in listed)
    assert figures["ours"]["failed"] == tests("fails", "fails-everywhere")
    assert figures["ours"]["inapplicable"] == tests("inapplicable")
    assert figures["ours"]["passed"] > 0
    assert figures["on_stacks"] > 0
    assert figures["connections"]["opened"] > 0


def test_the_list_is_the_one_of_the_results():
    # of a patch release that is not told: all that may hold with it
    expected = expectations(NAMES, (*PYTHON, 99))
    found = [
        Expectation(name, entry["verdict"], entry["pattern"], entry["reason"])
        for name in FOUND["suites"]
        for entry in FOUND["suites"][name]["listed"]
    ]
    assert sorted(found, key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("condition", "python", "expected"),
    [("", (), True), ("python<3.12", (3, 11, 9), True), ("python<3.12", (3, 12, 0), False),
     ("python<3.12", (), False)],
)  # fmt: skip
def test_conditions(condition: str, python: tuple[int, ...], expected: bool):
    assert holds(condition, python) is expected


@pytest.mark.parametrize("line", ["x | fails | t | r", "trio | may | t | r", "trio | fails | t |"])
def test_bad_line(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "expected.txt"
    path.write_text(line + "\n")
    monkeypatch.setattr("foreign.expectations.LIST", path)
    with pytest.raises(ValueError, match=r"expected\.txt"):
        expectations(NAMES)


def test_table_needs_its_marks():
    with pytest.raises(ValueError, match="once"):
        tables.replaced("no marks", "table")


def test_nightly_runs_it():
    assert "make foreign" in (ROOT / ".ci/nightly").read_text()
