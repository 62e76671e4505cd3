"""pytest plugin: counts what the stacks of this process did; no test can pass unseen on the kernel.

The counts are those of `Stack.statistics()`, read when each is closed. They are printed, appended
to the file `FOREIGN_COUNTS`, a line of JSON for each process (pytest-xdist has several), and each
test's own is a property of it in the report.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import wraps
from typing import Any

import pytest

from foreign.patterns import PROPERTY
from usertcp import Stack
from usertcp._stack import Engine

KINDS = {"active_opens": "opened", "passive_opens": "accepted"}
counts: Counter[str] = Counter(dict.fromkeys(("opened", "accepted", "listeners"), 0))


def watch() -> None:
    close, listen = Stack.aclose, Engine.listen

    @wraps(close)
    async def counted_close(self: Stack, **options: Any) -> None:
        if not (self._closing or self.engine.freed):
            statistics = self.statistics()
            for name, kind in KINDS.items():
                counts[kind] += statistics.counters[name]
            for what, count in statistics.bypasses.items():
                counts[f"bypass: {what}"] += count
        await close(self, **options)

    @wraps(listen)
    def counted_listen(self: Engine, *args: Any, **options: Any) -> tuple[int, int]:
        code, handle = listen(self, *args, **options)
        counts["listeners"] += code >= 0
        return code, handle

    Stack.aclose, Engine.listen = counted_close, counted_listen  # type: ignore[method-assign]


def used() -> int:
    return counts["opened"] + counts["accepted"] + counts["listeners"]


watch()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.stash[BEFORE] = used()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    done = yield
    item.user_properties.append((PROPERTY, used() - item.stash[BEFORE]))
    return done


BEFORE = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    terminalreporter.line(f"usertcp: {told}")


def pytest_unconfigure() -> None:
    if path := os.environ.get("FOREIGN_COUNTS"):
        with open(path, "a") as file:
            file.write(json.dumps(counts) + "\n")
