"""Patterns of tests, for expected.txt. Without pytest: tools/foreign_suites.py uses it too."""

from fnmatch import fnmatchcase

MARK = "inapplicable: "


def matches(pattern: str, test: str) -> bool:
    """Brackets mean themselves."""
    return fnmatchcase(test, pattern.replace("[", "[[]"))
