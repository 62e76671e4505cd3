"""Other projects' test suites over our sockets, and over the kernel's in the same run.

    make foreign                            # all of them
    make foreign ARGS="--suite trio"        # one; more: --suite trio --suite aiohttp
    make foreign ARGS="--suite aiohttp --only ours --pytest='-x --tb=long'"

Sources come from PyPI's source distributions (websockets' from its repository, by git), into
build/foreign; so do an environment and the results, `results.json`. tests/foreign/expected.txt tells
which tests do not apply or fail over our sockets, and why. Fails when a test that passes over the
kernel's fails over ours, or is not run, or passes, against that list.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build/foreign"
VENV = BUILT / "venv-{}.{}".format(*sys.version_info)
PYTHON = VENV / "bin/python"
sys.path.insert(0, str(ROOT / "tests"))

from foreign.patterns import MARK, matches, test_id  # noqa: E402
from foreign.suites import REQUIRES, SUITES, Source, Suite  # noqa: E402

Mode = Literal["ours", "kernel"]
LONGEST = 600
"""Seconds that a suite may take."""
STAYING = 0.2
"""The share of the kernel's connections that may stay on it: of blocking sockets in threads."""


@dataclass
class Outcome:
    tests: dict[str, str] = field(default_factory=dict)
    """By id: passed, failed, skipped or inapplicable."""
    counts: Counter[str] = field(default_factory=Counter)
    """Connections of our stacks and of the kernel, where the suite ran."""
    seconds: float = 0.0
    again: list[str] = field(default_factory=list)
    """Failed, and passed when run once more."""

    def count(self, verdict: str) -> int:
        return Counter(self.tests.values())[verdict]


@dataclass(frozen=True)
class Expectation:
    suite: str
    verdict: str
    pattern: str
    reason: str


def expectations() -> list[Expectation]:
    found = []
    for line in (ROOT / "tests/foreign/expected.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            suite, verdict, pattern, reason = (part.strip() for part in line.split("|", 3))
            if verdict not in ("inapplicable", "fails"):
                raise ValueError(f"expected.txt: {verdict!r} in {line!r}")
            found.append(Expectation(suite, verdict, pattern, reason))
    return found


# -- set-up ----------------------------------------------------------------------------------------


def pip(python: Path | str, *arguments: str) -> None:
    command = [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"foreign: pip {arguments[0]} failed\n{done.stderr}")


def environment() -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    stamp, wanted = VENV / ".made", sha256(repr((sys.version, REQUIRES)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"foreign: making {VENV.relative_to(ROOT)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip(PYTHON, "install", *REQUIRES)
    stamp.write_text(wanted)


def source(wanted: Source) -> Path:
    """The unpacked source distribution, or the repository at its commit."""
    target = BUILT / wanted.directory
    if target.exists():
        return target
    print(f"foreign: fetching {wanted.directory}", file=sys.stderr, flush=True)
    if "://" in wanted.name:
        cloned(*wanted.name.split("@"), target)
        return target
    fetched = BUILT / "sdists"
    package = wanted.name.partition("==")[0]
    pip(
        *(PYTHON, "download", "--no-deps", "--no-binary", package),
        *("--dest", str(fetched), wanted.name),
    )
    with tarfile.open(fetched / f"{wanted.directory}.tar.gz") as archive:
        archive.extractall(BUILT, filter="data")
    if wanted.leave_out:
        rmtree(target / wanted.leave_out)
    return target


def cloned(repository: str, commit: str, target: Path) -> None:
    """git's own settings (`url.<base>.insteadOf`) lead to a mirror, where there is one."""
    making = target.with_suffix(".part")
    rmtree(making, ignore_errors=True)
    for command in (
        ("git", "clone", "--quiet", "--no-checkout", repository, str(making)),
        ("git", "-C", str(making), "checkout", "--quiet", commit),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"foreign: cannot get {repository}\n{done.stderr}")
    making.rename(target)


# -- running ---------------------------------------------------------------------------------------


def run(suite: Suite, mode: Mode, expected: list[Expectation], extra: list[str]) -> Outcome:
    """The suite; what fails over ours, once more: a machine that is busy must not look like a bug."""
    cache = BUILT / f"{suite.name}-{mode}.cache"
    rmtree(cache, ignore_errors=True)
    first = run_once(suite, mode, expected, [*extra, "-o", f"cache_dir={cache}"])
    allowed = [e.pattern for e in expected if e.suite == suite.name and e.verdict == "fails"]
    failed = {test for test, verdict in first.tests.items() if verdict == "failed"}
    if not any(not any(matches(p, test) for p in allowed) for test in failed):
        return first
    options = [*extra, "-o", f"cache_dir={cache}", "--last-failed", "--last-failed-no-failures=none"]
    second = run_once(suite, mode, expected, options, name=f"{suite.name}-{mode}-again")
    first.again = sorted(t for t in failed if second.tests.get(t) == "passed")
    first.tests.update(dict.fromkeys(first.again, "passed"))
    return first


def run_once(
    suite: Suite, mode: Mode, expected: list[Expectation], extra: list[str], name: str = ""
) -> Outcome:
    ours = mode == "ours"
    base = BUILT / (name or f"{suite.name}-{mode}")
    report, counted = base.with_suffix(".xml"), base.with_suffix(".counts")
    for former in (report, counted):
        former.unlink(missing_ok=True)
    plugins = [part for plugin in suite.plugins if ours for part in ("-p", plugin)]
    command = [
        *(str(PYTHON), str(ROOT / "tools/foreign_network.py"), suite.network if ours else "loopback"),
        *(str(base.with_suffix(".hosts")), str(PYTHON), "-m", "pytest", "-q"),
        *suite.arguments,
        *("-p", "pytest_timeout", "-p", "foreign.selection", f"--junitxml={report}"),
        *("--tb=short", "-rfE", *plugins, *extra),
    ]
    left_out = "\n".join(
        f"{e.pattern}\t{e.reason}"
        for e in expected
        if e.suite == suite.name and e.verdict == "inapplicable" and ours
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "FOREIGN_INAPPLICABLE": left_out,
        "FOREIGN_COUNTS": str(counted),
    }
    said = base.with_suffix(".log")
    with said.open("w") as log:
        process = subprocess.Popen(
            command, cwd=source(suite.source) if suite.source else BUILT, env=environment,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(LONGEST)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if not report.exists():
        raise SystemExit(f"foreign: {base.name} gave no report\n{said.read_text()[-4000:]}")
    return read(report, counted)


def read(report: Path, counted: Path) -> Outcome:
    outcome = Outcome()
    for line in counted.read_text().splitlines():
        outcome.counts.update(json.loads(line))
    root = ET.parse(report)
    outcome.seconds = sum(float(suite.get("time", 0)) for suite in root.iter("testsuite"))
    for case in root.iter("testcase"):
        where, name = case.get("classname", ""), case.get("name", "")
        test = test_id(where, name)
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            verdict = "failed"
        elif skipped is not None:
            inapplicable = MARK in skipped.get("message", "")
            verdict = "inapplicable" if inapplicable else "skipped"
        else:
            verdict = "passed"
        if outcome.tests.get(test) != "failed":  # an error at the end of a test that passed
            outcome.tests[test] = verdict
    return outcome


def complaints(suite: Suite, got: dict[Mode, Outcome], expected: list[Expectation]) -> list[str]:
    """What is not as the list says."""
    if "ours" not in got:
        return []
    ours, kernel = got["ours"], got.get("kernel", Outcome())
    mine = [e for e in expected if e.suite == suite.name]
    fails = [e for e in mine if e.verdict == "fails"]
    wrong = []
    for test, verdict in ours.tests.items():
        allowed = any(matches(e.pattern, test) for e in fails)
        baseline = kernel.tests.get(test, "passed")
        if verdict == "failed" and not allowed and baseline == "passed":
            wrong.append(f"{suite.name}: {test} failed")
        elif verdict == "passed" and allowed:
            wrong.append(f"{suite.name}: {test} passed, which expected.txt denies")
        elif verdict == "skipped" and kernel.tests.get(test) == "passed":
            wrong.append(f"{suite.name}: {test} was skipped, which passes over the kernel's")
    missing = {test for test, verdict in kernel.tests.items() if verdict == "passed"}
    wrong += [f"{suite.name}: {test} was not run" for test in sorted(missing - set(ours.tests))]
    wrong += by_connections(suite, ours, kernel)
    wrong += [
        f"expected.txt: {e.pattern} is no test of {suite.name}"
        for e in mine
        if not any(matches(e.pattern, test) for test in ours.tests)
    ]
    return wrong


def by_connections(suite: Suite, ours: Outcome, kernel: Outcome) -> list[str]:
    """Tests may not pass because they stayed on the kernel."""
    made = ours.counts["opened"] + ours.counts["accepted"]
    if not made or not ours.counts["listeners"]:
        return [f"{suite.name}: our stacks made no connection or no listener: {ours.counts}"]
    if suite.network == "tun":  # the kernel is at the other end of each
        return []
    stayed, all_of_them = ours.counts["kernel opened"], kernel.counts["kernel opened"]
    if stayed > all_of_them * STAYING:
        return [f"{suite.name}: {stayed} of {all_of_them} connections stayed on the kernel"]
    return []


# -- telling ---------------------------------------------------------------------------------------

COLUMNS = ("passed", "failed", "inapplicable", "skipped")
MODES: tuple[Mode, ...] = ("kernel", "ours")


def table(results: dict[str, dict[Mode, Outcome]]) -> str:
    """Outcomes, and connections: of the kernel in each run, of our stacks in ours."""
    titles = ("suite", "on", "passed", "failed", "inappl.", "skipped", "opened", "accepted",
              "listeners", "kernel's", "seconds")  # fmt: skip
    rows: list[tuple[object, ...]] = [titles]
    for suite, outcomes in results.items():
        for mode, got in outcomes.items():
            counts = [got.count(c) for c in COLUMNS]
            own = [got.counts[c] for c in ("opened", "accepted", "listeners", "kernel opened")]
            rows.append((suite, mode, *counts, *own, f"{got.seconds:.1f}"))
    return "\n".join(f"{row[0]:20}{row[1]:8}" + "".join(f"{c:>10}" for c in row[2:]) for row in rows)


def as_json(results: dict[str, dict[Mode, Outcome]], wrong: list[str]) -> str:
    suites = {
        suite: {
            mode: {
                **{c: got.count(c) for c in COLUMNS},
                "seconds": round(got.seconds, 1),
                "connections": got.counts,
                "passed_when_run_again": got.again,
                "not_passed": {t: v for t, v in sorted(got.tests.items()) if v != "passed"},
            }
            for mode, got in outcomes.items()
        }
        for suite, outcomes in results.items()
    }
    return json.dumps({"suites": suites, "unexpected": wrong}, indent=2) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suite", action="append", choices=names, help="this one (repeatable)")
    parser.add_argument("--only", choices=("ours", "kernel"))
    parser.add_argument("--pytest", default="", help="more arguments for pytest")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    environment()
    expected = expectations()
    results: dict[str, dict[Mode, Outcome]] = {}
    wrong: list[str] = []
    for suite in SUITES:
        if args.suite and suite.name not in args.suite:
            continue
        outcomes = results[suite.name] = {}
        for mode in (args.only,) if args.only else MODES:
            got = outcomes[mode] = run(suite, mode, expected, args.pytest.split())
            again = f", {len(got.again)} only when run again" if got.again else ""
            told = f"{suite.name} on {mode}: {got.count('passed')} passed, {got.count('failed')} failed"
            print(f"foreign: {told}{again}", file=sys.stderr, flush=True)
        wrong += complaints(suite, outcomes, expected)
    print(table(results))
    (BUILT / "results.json").write_text(as_json(results, wrong))
    for suite_name, outcomes in results.items():
        for mode, got in outcomes.items():
            for test in got.again:
                print(f"{suite_name} on {mode}: {test} passed only when run again")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
