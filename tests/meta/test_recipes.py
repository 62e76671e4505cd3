"""What the recipes and the README say is tested by a test is: files and names exist."""

import re
from fnmatch import fnmatchcase

import pytest

from support.csource import ROOT

# docs/index.md links to generated pages too: mkdocs' strict build checks that one.
PAGES = [
    "README.md",
    *(f"docs/recipes/{p.name}" for p in (ROOT / "docs/recipes").glob("*.md")),
]
# tests/x/test_y.py, with ::test_z behind it or not; a lone test_z belongs to the file named last.
NAMED = re.compile(
    r"(tests/[\w/]+(?:\.py)?)(?:::(test_\w+))?|(?<![\w/])(test_\w+)(?!\.py|\w)(?:\[([^\]]+)\])?"
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


def without_examples(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str):
    text = (ROOT / page).read_text()
    missing = [
        target for target in LINK.findall(text) if not ((ROOT / page).parent / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_tests_of_a_page_exist(page: str):
    file, missing = None, []
    for path, name, alone, parameter in NAMED.findall(without_examples((ROOT / page).read_text())):
        if path:
            file = ROOT / path
            if not file.exists():
                missing.append(path)
        wanted = name or alone
        if not wanted or file is None or not file.is_file():
            continue
        source = file.read_text()
        if not re.search(rf"^def {wanted}\(", source, re.MULTILINE):
            missing.append(f"{file.name}::{wanted}")
        elif parameter:
            known = re.findall(r'^    "([^"]+)": \(', source, re.MULTILINE)
            if not any(fnmatchcase(one, parameter) for one in known):
                missing.append(f"{file.name}::{wanted}[{parameter}]")
    assert missing == []


def test_the_table_of_frameworks_names_tests():
    text = (ROOT / "README.md").read_text()
    table = text.partition("<!-- frameworks -->")[2].partition("<!-- end of frameworks -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 8
    assert [row for row in rows if "](tests/" not in row] == []
