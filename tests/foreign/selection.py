"""pytest plugin: tests that the list of expectations calls inapplicable are skipped, or run alone.

`FOREIGN_INAPPLICABLE` has a line `PATTERN<tab>REASON` for each; a pattern is of a test's id below
the directory `tests`, without `.py`. With `FOREIGN_ALONE` these are all that is run.
"""

import os

import pytest

from foreign.patterns import MARK, matches, short_path


def short_id(nodeid: str) -> str:
    path, _, test = nodeid.partition("::")
    return f"{'/'.join(short_path(path.removesuffix('.py').split('/')))}::{test}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lines = os.environ.get("FOREIGN_INAPPLICABLE", "").splitlines()
    patterns = [line.split("\t", 1) for line in lines]
    others = []
    for item in items:
        reasons = [
            reason for pattern, reason in patterns if matches(pattern, short_id(item.nodeid))
        ]
        if not reasons:
            others.append(item)
        elif "FOREIGN_ALONE" not in os.environ:
            item.add_marker(pytest.mark.skip(reason=MARK + reasons[0]))
    if "FOREIGN_ALONE" in os.environ:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
