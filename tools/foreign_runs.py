"""One suite's run for `make foreign`: pytest in a network of its own, and what its report says."""

import json
import os
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Literal

from foreign_sources import BUILT, ROOT, source

from foreign.expectations import Expectation
from foreign.patterns import MARK, PROPERTY, test_id
from foreign.suites import Suite

Mode = Literal["kernel", "ours", "alone"]
"""`alone`: over ours, only what the list calls inapplicable."""
LONGEST = 300
"""Seconds that a suite may take, once."""
ALONE = ("--timeout=10",)


class StuckError(Exception):
    """A suite took too long, or told nothing."""


@dataclass
class Outcome:
    tests: dict[str, str] = field(default_factory=dict)
    """By id: passed, failed, skipped or inapplicable."""
    on_stacks: set[str] = field(default_factory=set)
    """Those that had a connection or a listener on a stack."""
    counts: Counter[str] = field(default_factory=Counter)
    """Connections of our stacks and of the kernel, where the suite ran."""
    seconds: float = 0.0
    again: list[str] = field(default_factory=list)
    """Failed, and passed when run once more."""

    def count(self, verdict: str) -> int:
        return Counter(self.tests.values())[verdict]


@dataclass(frozen=True)
class Runner:
    """Runs suites with `python`, an interpreter that has their packages."""

    python: Path
    expected: list[Expectation]
    extra: list[str]
    """More arguments for pytest."""

    def run(self, suite: Suite, mode: Mode) -> Outcome:
        """What fails against the list is run once more: a busy machine must not look like a bug."""
        cache = BUILT / f"{suite.name}-{mode}.cache"
        rmtree(cache, ignore_errors=True)
        keep = ["-o", f"cache_dir={cache}"]
        if mode == "alone":
            return self._once(suite, mode, [*keep, *ALONE])
        first = self._once(suite, mode, keep)
        allowed = [e for e in self.expected if e.suite == suite.name]
        failed = {test for test, verdict in first.tests.items() if verdict == "failed"}
        if all(any(e.fails(mode, test) for e in allowed) for test in failed):
            return first
        keep += ["--last-failed", "--last-failed-no-failures=none"]
        second = self._once(suite, mode, keep, name=f"{suite.name}-{mode}-again")
        first.again = sorted(t for t in failed if second.tests.get(t) == "passed")
        first.tests.update(dict.fromkeys(first.again, "passed"))
        return first

    def _once(self, suite: Suite, mode: Mode, extra: list[str], *, name: str = "") -> Outcome:
        base = BUILT / (name or f"{suite.name}-{mode}")
        report, counted = base.with_suffix(".xml"), base.with_suffix(".counts")
        for former in (report, counted):
            former.unlink(missing_ok=True)
        where = source(suite.source, self.python) if suite.source else BUILT
        said = base.with_suffix(".log")
        with said.open("w") as log:
            process = subprocess.Popen(
                self._command(suite, mode, base, extra), cwd=where, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=self._environment(suite, mode, counted),
            )  # fmt: skip
            try:
                process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                raise StuckError(f"{base.name}: more than {LONGEST} s, see {said}") from None
            finally:
                end_group(process)
        if not report.exists():
            raise StuckError(f"{base.name} gave no report\n{said.read_text()[-4000:]}")
        return read(report, counted)

    def _command(self, suite: Suite, mode: Mode, base: Path, extra: list[str]) -> list[str]:
        ours = mode != "kernel"
        plugins = [part for plugin in suite.plugins if ours for part in ("-p", plugin)]
        return [
            *(str(self.python), str(ROOT / "tools/foreign_network.py")),
            *(suite.network if ours else "loopback", str(base.with_suffix(".hosts"))),
            *(str(self.python), "-m", "pytest", "-q", *suite.arguments),
            *("-p", "pytest_timeout", "-p", "foreign.selection"),
            *(f"--junitxml={base.with_suffix('.xml')}", "--tb=short", "-rfE"),
            *(*plugins, *extra, *self.extra),
        ]

    def _environment(self, suite: Suite, mode: Mode, counted: Path) -> dict[str, str]:
        left_out = "\n".join(
            f"{e.pattern}\t{e.reason}"
            for e in self.expected
            if e.suite == suite.name and e.verdict == "inapplicable" and mode != "kernel"
        )
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "FOREIGN_INAPPLICABLE": left_out,
            "FOREIGN_COUNTS": str(counted),
            **({"FOREIGN_ALONE": "1"} if mode == "alone" else {}),
        }


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Whatever the suite has left running; its namespace ends with the last of them."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def read(report: Path, counted: Path) -> Outcome:
    outcome = Outcome()
    for line in counted.read_text().splitlines():
        outcome.counts.update(json.loads(line))
    root = ET.parse(report)
    outcome.seconds = sum(float(suite.get("time", 0)) for suite in root.iter("testsuite"))
    for case in root.iter("testcase"):
        test = test_id(case.get("classname", ""), case.get("name", ""))
        if outcome.tests.get(test) != "failed":  # an error at the end of a test that passed
            outcome.tests[test] = verdict(case)
        for told in case.iter("property"):
            if told.get("name") == PROPERTY and told.get("value") != "0":
                outcome.on_stacks.add(test)
    return outcome


def verdict(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return "inapplicable" if MARK in skipped.get("message", "") else "skipped"
