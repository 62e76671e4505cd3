"""pytest plugin: counts what the stacks of this process did; no test can pass unseen on the kernel.

The counts are the engines' own, read before each is freed. They are printed, and appended to the
file `FOREIGN_COUNTS`, a line of JSON for each process (pytest-xdist has several).
"""

import json
import os
from collections import Counter
from functools import wraps
from typing import Any

import pytest

from usertcp._stack import Engine

KINDS = {"active_opens": "opened", "passive_opens": "accepted"}
counts: Counter[str] = Counter(dict.fromkeys(("opened", "accepted", "listeners"), 0))


def watch() -> None:
    free, listen = Engine.free, Engine.listen

    @wraps(free)
    def counted_free(self: Engine) -> None:
        if not self.freed:
            counters = self.counters()
            for name, kind in KINDS.items():
                counts[kind] += counters[name]
        free(self)

    @wraps(listen)
    def counted_listen(self: Engine, *args: Any) -> tuple[int, int]:
        code, handle = listen(self, *args)
        counts["listeners"] += code >= 0
        return code, handle

    Engine.free, Engine.listen = counted_free, counted_listen  # type: ignore[method-assign]


watch()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    terminalreporter.line(f"usertcp: {told}")


def pytest_unconfigure() -> None:
    if path := os.environ.get("FOREIGN_COUNTS"):
        with open(path, "a") as file:
            file.write(json.dumps(counts) + "\n")
