"""The figures of `make foreign`, results.json, and the tables made of them. Without pytest."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from foreign.suites import ROOT, SUITES, Suite

Result: TypeAlias = dict[str, Any]
"""`kernel`, `ours`: tests by verdict; `listed`; `on_stacks`, `connections`: these vary a little."""

RESULTS = Path(__file__).with_name("results.json")
VARY = ("on_stacks", "connections")
LEGEND = """CPython {}. *Over stacks*: tests that had a connection or a listener on a stack; \
*connections* that stacks opened, and that the kernel's TCP opened in the same run (of AnyIO's, \
those of the tests' own peers).
"""


def load() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


def record(python: tuple[int, ...], suites: dict[str, Result]) -> bool:
    """Writes figures and tables, unless they are the former ones, or of an older Python."""
    if RESULTS.exists():
        former = load()
        if tuple(former["python"]) > python:
            return False
        if former["python"] == list(python) and stable(former["suites"]) == stable(suites):
            return False
    found = {"python": list(python), "suites": suites}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    write_tables()
    return True


def stable(suites: dict[str, Result]) -> dict[str, Result]:
    return {
        name: {key: value for key, value in figures.items() if key not in VARY}
        for name, figures in suites.items()
    }


def write_tables() -> None:
    for path, table in TABLES.items():
        path.write_text(replaced(path.read_text(), table(load())))


def replaced(text: str, table: str) -> str:
    """With `table` between the two marks; `ValueError` without them."""
    begin, end = "<!-- foreign -->\n", "<!-- end of foreign -->"
    new, count = re.subn(
        f"(?s){re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text
    )
    if count != 1:
        raise ValueError(f"{begin.strip()} ... {end} must be there once")
    return new


def of_applicable(figures: Result) -> str:
    ours = figures["ours"]
    return f"{ours['passed']:,} of {ours['passed'] + ours['failed']:,}"


def counted_tests(figures: Result) -> int:
    return sum(entry["tests"] for entry in figures["listed"])


def linked(suite: Suite, base: str) -> str:
    test = suite.plugins[0].replace(".", "/")
    return f"[{suite.title}]({base}tests/{test}.py)"


def short_table(found: dict[str, Any]) -> str:
    """README's."""
    rows = [
        "| suite | version | loops | kernel TCP | shim | usertcp | listed |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for suite in SUITES:
        figures = found["suites"][suite.name]
        kernel = f"{figures['kernel']['passed']:,}"
        rows.append(
            f"| {linked(suite, '')} | {suite.version} | {suite.loops} | {kernel} | {suite.shim} "
            f"| **{of_applicable(figures)}** | [{counted_tests(figures)}](docs/foreign.md) |"
        )
    return "\n".join(rows) + "\n"


def full_tables(found: dict[str, Any]) -> str:
    """Those of docs/foreign.md: figures, and what is listed, with its reason."""
    python = ".".join(map(str, found["python"]))
    titles = ("kernel TCP: passed", "failed", "usertcp: passed", "failed", "inapplicable",
              "skipped in both", "over stacks", "connections", "past them")  # fmt: skip
    rows = [
        LEGEND.format(python),
        "| suite | " + " | ".join(titles) + " |",
        "|---" + "|---:" * 9 + "|",
    ]
    listed = ["", "| suite | tests | name | is | because |", "|---|---:|---|---|---|"]
    for suite in SUITES:
        figures = found["suites"][suite.name]
        kernel, ours, made = (figures[key] for key in ("kernel", "ours", "connections"))
        cells = (
            *(kernel["passed"], kernel["failed"], ours["passed"], ours["failed"]),
            *(ours["inapplicable"], ours["skipped"], figures["on_stacks"]),
            *(made["opened"], made["kernel opened"]),
        )
        rows.append(f"| `{suite.name}` | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
        for entry in figures["listed"]:
            test = entry["pattern"].rstrip("[*")
            listed.append(
                f"| `{suite.name}` | {entry['tests']} | `{test}` | {entry['verdict']} "
                f"| {entry['reason']} |"
            )
    return "\n".join([*rows, *listed]) + "\n"


TABLES: dict[Path, Callable[[dict[str, Any]], str]] = {
    ROOT / "README.md": short_table,
    ROOT / "docs/foreign.md": full_tables,
}
