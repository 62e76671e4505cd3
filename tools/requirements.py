"""Gathers what the code and the tests say about the requirements into docs/conformance.md.

Reads docs/requirements.tsv, the `@pytest.mark.rfc(...)` marks of the tests, the `DEVIATES` comments
of the engine and the lists of packetdrill scripts. Writes the counts between `<!-- conformance -->`
and its end in README.md too. `--check` only says whether both are current.
"""

import ast
import csv
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/conformance.md"
README = ROOT / "README.md"
SCRIPTS = ROOT / "tests/conformance/packetdrill"
FAMILIES = ("v4", "v6")


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


def counts() -> dict[str, tuple[int, int, int]]:
    """By level: requirements, those that tests cite, those deviated from and not cited."""
    rows, cited, excuses = requirements(), citations(), excused(deviations())
    levels = Counter(row["level"].split()[0] for row in rows)
    covered = Counter(row["level"].split()[0] for row in rows if row["id"] in cited)
    deviate = Counter(
        row["level"].split()[0] for row in rows if row["id"] in excuses and row["id"] not in cited
    )
    return {name: (levels[name], covered[name], deviate[name]) for name in sorted(levels)}


def _lines(name: str) -> list[str]:
    found = (SCRIPTS / name).read_text().splitlines()
    return [line for line in found if line and not line.startswith("#")]


def scripts() -> tuple[int, dict[str, int], list[tuple[str, str, str]]]:
    """How many portable scripts there are, how many pass by family, and (script, over, why not)."""
    portable = {line.split()[1] for line in _lines("portable.txt")}
    failing = []
    for line in _lines("expected.txt"):
        name, families, why = (part.strip() for part in line.split("|", 2))
        if name in portable:
            failing.append((name, families, why))
    passing = {
        family: len(portable) - sum(families in (family, "both") for _, families, _ in failing)
        for family in FAMILIES
    }
    return len(portable), passing, failing


def page() -> str:
    rows, cited, deviating = requirements(), citations(), deviations()
    excuses = excused(deviating)
    out = ["# Conformance", "", "Made by `tools/requirements.py`; do not edit.", ""]
    out += ["| level | requirements | cited by tests | deviated from |", "|---|---|---|---|"]
    out += [f"| {n} | {a} | {b} | {c} |" for n, (a, b, c) in counts().items()]
    total, passing, failing = scripts()
    out += ["", "## Other people's scripts", ""]
    out += [f"google/packetdrill has {total} scripts of TCP that do not depend on Linux's inside. "]
    out[-1] += f"{passing['v4']} pass over IPv4 and {passing['v6']} over IPv6"
    out[-1] += ", as run by `make packetdrill`, with Linux's choices where there is one to make "
    out[-1] += "(`tests/conformance/packetdrill/README.md`). The others:"
    out += ["", "| script | over | why |", "|---|---|---|"]
    out += [f"| {name} | {families} | {why.replace('|', '/')} |" for name, families, why in failing]
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


_BEGIN, _END = "<!-- conformance -->", "<!-- end of conformance -->"


def readme() -> str:
    """README.md with today's counts."""
    found = counts()
    must, should = found["MUST"], found["SHOULD"]
    total, passing, _ = scripts()
    said = (
        f"Of {must[0]} requirements at the level of MUST, tests cite {must[1]}, and {must[2]} are "
        f"deviated from with a written\nreason; of {should[0]} at SHOULD, {should[1]} and "
        f"{should[2]}. [Row by row](docs/conformance.md).\n"
        f"Of google/packetdrill's {total} portable scripts of TCP, {passing['v4']} pass over IPv4 "
        f"and {passing['v6']} over IPv6; why the others do not\nstands there too."
    )
    old = README.read_text()
    head, _, rest = old.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n\n{said}\n\n{_END}{tail}"


def main() -> int:
    for path, text in ((PAGE, page()), (README, readme())):
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path.relative_to(ROOT)} is not current: run tools/requirements.py")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
