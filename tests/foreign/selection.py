"""pytest plugin: tests that the list of expectations calls inapplicable are skipped.

`FOREIGN_INAPPLICABLE` has a line `PATTERN<tab>REASON` for each; a pattern is of a test's id below the
directory `tests`, without `.py`.
"""

import os

import pytest

from foreign.patterns import MARK, matches, short_path


def short_id(nodeid: str) -> str:
    path, _, test = nodeid.partition("::")
    return f"{'/'.join(short_path(path.removesuffix('.py').split('/')))}::{test}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lines = os.environ.get("FOREIGN_INAPPLICABLE", "").splitlines()
    patterns = [line.split("\t", 1) for line in lines]
    for item in items:
        for pattern, reason in patterns:
            if matches(pattern, short_id(item.nodeid)):
                item.add_marker(pytest.mark.skip(reason=MARK + reason))
