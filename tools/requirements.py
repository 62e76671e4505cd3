"""Gathers what the code and the tests say about the requirements into docs/conformance.md.

Reads docs/requirements.tsv, the `@pytest.mark.rfc(...)` marks of the tests and the `DEVIATES`
comments of the engine. `--check` only says whether the page is current.
"""

import ast
import csv
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/conformance.md"


def requirements() -> list[dict[str, str]]:
    with (ROOT / "docs/requirements.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def citations() -> dict[str, list[str]]:
    """Tests by the requirement that they cite; a mark of a module counts as one of the file."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text())
        owner = {
            id(inner): node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for mark in node.decorator_list
            for inner in ast.walk(mark)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.rfc"):
                where = f"{name}::{owner[id(node)]}" if id(node) in owner else name
                for arg in node.args:
                    found[ast.literal_eval(arg)].append(where)
    return found


# From the word to the end of the comment, or to its next empty line.
_DEVIATION = re.compile(r"(?:/\*|\n\s*\*)\s*(DEVIATES .*?)(?:\*/|\n\s*\*\s*\n)", re.DOTALL)


def deviations() -> list[tuple[str, str]]:
    """(file, text) of each DEVIATES comment."""
    found = []
    for path in sorted((ROOT / "csrc").rglob("*.[ch]")):
        for comment in _DEVIATION.findall(path.read_text()):
            text = re.sub(r"\s*\n\s*\*?\s*", " ", comment).removeprefix("DEVIATES ").strip()
            found.append((path.relative_to(ROOT).as_posix(), text))
    return found


def excused(deviating: list[tuple[str, str]]) -> dict[str, str]:
    """File of the deviation by the requirement it names: "RFC 9293 3.9.2.1 (MUST-51, MUST-52)"."""
    found: dict[str, str] = {}
    for path, text in deviating:
        if named := re.match(r"RFC (\d+) [\d.]+ \(([^)]*)\)", text):
            found |= {f"{named[1]}-{name}": path for name in named[2].split(", ")}
    return found


def page() -> str:
    rows, cited, deviating = requirements(), citations(), deviations()
    excuses = excused(deviating)
    levels = Counter(row["level"].split()[0] for row in rows)
    covered = Counter(row["level"].split()[0] for row in rows if row["id"] in cited)
    deviate = Counter(
        row["level"].split()[0] for row in rows if row["id"] in excuses and row["id"] not in cited
    )
    out = ["# Conformance", "", "Made by `tools/requirements.py`; do not edit.", ""]
    out += ["| level | requirements | cited by tests | deviated from |", "|---|---|---|---|"]
    out += [f"| {n} | {levels[n]} | {covered[n]} | {deviate[n]} |" for n in sorted(levels)]
    out += ["", "## Deviations", "", "| where | what and why |", "|---|---|"]
    out += [f"| {path} | {text.replace('|', '/')} |" for path, text in deviating]
    out += ["", "## Requirements", "", "| id | level | requirement | tests |", "|---|---|---|---|"]
    for row in rows:
        tests = "<br>".join(f"`{test}`" for test in dict.fromkeys(cited.get(row["id"], [])))
        if not tests and row["id"] in excuses:
            tests = f"deviation: {excuses[row['id']]}"
        text = row["description"].replace("|", "/").replace("<", "&lt;")
        out.append(f"| {row['id']} | {row['level']} | {text} | {tests} |")
    return "\n".join(out) + "\n"


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"{PAGE.relative_to(ROOT)} is not current: run tools/requirements.py")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
