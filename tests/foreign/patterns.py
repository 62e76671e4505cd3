"""Patterns of tests, for expected.txt. Without pytest: tools/foreign_suites.py uses it too."""

from fnmatch import fnmatchcase

MARK = "inapplicable: "
PROPERTY = "usertcp"
"""Of a test in a report: how many connections and listeners of stacks it had."""


def matches(pattern: str, test: str) -> bool:
    """Brackets mean themselves."""
    return fnmatchcase(test, pattern.replace("[", "[[]"))


def short_path(parts: list[str]) -> list[str]:
    """From below the directory `tests` or `_tests` on."""
    last = max((n for n, part in enumerate(parts) if part in ("tests", "_tests")), default=-1)
    return parts[last + 1 :]


def test_id(classname: str, name: str) -> str:
    """As `short_id` of selection.py, from a report: asyncio/test_client::ClientTests::test_ping."""
    parts = short_path(classname.split("."))
    module = next((n for n, part in enumerate(parts) if part.startswith("test_")), 0)
    return "::".join(["/".join(parts[: module + 1]), *parts[module + 1 :], name])
