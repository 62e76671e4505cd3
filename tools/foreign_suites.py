"""Other projects' test suites over our sockets, and over the kernel's in the same run.

    make foreign                            # all of them
    make foreign ARGS="--suite trio"        # one; more: --suite trio --suite aiohttp
    make foreign ARGS="--suite aiohttp --only ours --pytest='-x --tb=long'"

Sources come from PyPI's source distributions (websockets' from its repository, by git), into
build/foreign; so do an environment and all details, `results.json`. tests/foreign/expected.txt
tells which tests do not apply or fail over our sockets, and why. Fails when a test fails that is
not listed, or is not run, or passes against that list, or when our stacks had no connections. A
run of all suites that passes writes tests/foreign/results.json and the tables in README.md and
docs/foreign.md.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator

from foreign_runs import Mode, Outcome, Runner, StuckError
from foreign_sources import BUILT, ROOT, MissingSourceError, environment

from foreign import tables
from foreign.expectations import Expectation, expectations
from foreign.suites import SUITES, Suite

LONGEST_OF_ALL = 1800
"""Seconds after which no further suite is begun."""
STAYING = 0.2
"""The share of the kernel's connections that may stay on it: of blocking sockets in threads."""
MODES: tuple[Mode, ...] = ("kernel", "ours", "alone")
Outcomes = dict[Mode, Outcome]

# -- judging ---------------------------------------------------------------------------------------


def complaints(suite: Suite, got: Outcomes, expected: list[Expectation]) -> Iterator[str]:
    """What is not as the list says."""
    if "ours" not in got:
        return
    ours, kernel = got["ours"], got.get("kernel")
    mine = [e for e in expected if e.suite == suite.name]
    for test, verdict in ours.tests.items():
        why = complaint(verdict, kernel.tests.get(test) if kernel else None, mine, test)
        if why:
            yield f"{suite.name}: {test} {why}"
    if kernel is not None:
        passed = {test for test, verdict in kernel.tests.items() if verdict == "passed"}
        for test in sorted(passed - set(ours.tests)):
            yield f"{suite.name}: {test} was not run"
    yield from by_connections(suite, ours, kernel)
    for test, verdict in got.get("alone", Outcome()).tests.items():
        if verdict == "passed" and test in got["alone"].on_stacks:
            yield f"{suite.name}: {test} is listed as inapplicable, and passed over a stack"
    for e in mine:
        if not any(e.is_of(test) for test in ours.tests):
            yield f"expected.txt: {e.pattern} is no test of {suite.name}"


def complaint(
    verdict: str, on_kernel: str | None, mine: list[Expectation], test: str
) -> str | None:
    """Of one test; `on_kernel` is None where that was not run."""
    fails = any(e.allows("fails", test) for e in mine)
    everywhere = any(e.allows("fails-everywhere", test) for e in mine)
    if verdict == "failed" and not (fails or everywhere):
        return "failed" + (", over the kernel's, too" if on_kernel == "failed" else "")
    if verdict == "failed" and everywhere and on_kernel == "passed":
        return "failed over ours alone, against the list"
    if verdict == "failed" and fails and on_kernel == "failed":
        return "failed over the kernel's, too, against the list"
    if verdict == "passed" and (fails or everywhere):
        return "passed, against the list"
    if verdict in ("skipped", "inapplicable") and on_kernel not in (None, "passed", verdict):
        return f"is {verdict}, and {on_kernel} over the kernel's"
    if verdict == "skipped" and on_kernel == "passed":
        return "was skipped, which passes over the kernel's"
    return None


def by_connections(suite: Suite, ours: Outcome, kernel: Outcome | None) -> Iterator[str]:
    """Tests may not pass because they stayed on the kernel."""
    made = ours.counts["opened"] + ours.counts["accepted"]
    if not made or not ours.counts["listeners"] or not ours.on_stacks:
        yield f"{suite.name}: our stacks made no connection or no listener: {dict(ours.counts)}"
    if (
        suite.network == "cable" or kernel is None
    ):  # a cable: the kernel is at the other end of each
        return
    stayed, all_of_them = ours.counts["kernel opened"], kernel.counts["kernel opened"]
    if stayed > all_of_them * STAYING:
        yield f"{suite.name}: {stayed} of {all_of_them} connections stayed on the kernel"


# -- telling ---------------------------------------------------------------------------------------

COLUMNS = ("passed", "failed", "inapplicable", "skipped")


def screen(results: dict[str, Outcomes]) -> str:
    """Outcomes, and connections: of the kernel in each run, of our stacks in ours."""
    titles = ("suite", "on", "passed", "failed", "inappl.", "skipped", "on stacks", "opened",
              "accepted", "listeners", "kernel's", "seconds")  # fmt: skip
    rows: list[tuple[object, ...]] = [titles]
    for suite, outcomes in results.items():
        for mode, got in outcomes.items():
            counts = [got.count(c) for c in COLUMNS]
            own = [got.counts[c] for c in ("opened", "accepted", "listeners", "kernel opened")]
            rows.append((suite, mode, *counts, len(got.on_stacks), *own, f"{got.seconds:.1f}"))
    return "\n".join(
        f"{row[0]:20}{row[1]:8}" + "".join(f"{c:>10}" for c in row[2:]) for row in rows
    )


def details(results: dict[str, Outcomes], wrong: list[str]) -> str:
    suites = {
        suite: {
            mode: {
                **{c: got.count(c) for c in COLUMNS},
                "on_stacks": len(got.on_stacks),
                "seconds": round(got.seconds, 1),
                "connections": dict(got.counts),
                "passed_when_run_again": got.again,
                "not_passed": {t: v for t, v in sorted(got.tests.items()) if v != "passed"},
            }
            for mode, got in outcomes.items()
        }
        for suite, outcomes in results.items()
    }
    return json.dumps({"suites": suites, "unexpected": wrong}, indent=2) + "\n"


def result(suite: Suite, got: Outcomes, expected: list[Expectation]) -> tables.Result:
    """The figures of the checked-in table."""
    ours, kernel = got["ours"], got["kernel"]
    figures: tables.Result = {
        mode: {c: got[mode].count(c) for c in COLUMNS} for mode in ("kernel", "ours")
    }
    figures["listed"] = [
        {
            "tests": sum(e.is_of(test) for test in ours.tests),
            "pattern": e.pattern, "verdict": e.verdict, "reason": e.reason,
        }
        for e in expected if e.suite == suite.name
    ]  # fmt: skip
    figures["on_stacks"] = len(ours.on_stacks)
    figures["connections"] = {
        **{c: ours.counts[c] for c in ("opened", "accepted", "kernel opened")},
        "on kernel": kernel.counts["kernel opened"],
    }
    return figures


# -- the whole -------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suite", action="append", choices=names, help="this one (repeatable)")
    parser.add_argument("--only", choices=MODES)
    parser.add_argument("--pytest", default="", help="more arguments for pytest")
    parser.add_argument("--python", default="", help="an interpreter (else the newest there is)")
    return parser.parse_args()


def run_modes(
    runner: Runner, suite: Suite, modes: tuple[Mode, ...], end: float
) -> Iterator[tuple[Mode, Outcome]]:
    listed = any((e.suite, e.verdict) == (suite.name, "inapplicable") for e in runner.expected)
    for mode in modes:
        if mode == "alone" and not listed:
            continue
        if time.monotonic() > end:
            raise StuckError(f"{mode}: not begun, after {LONGEST_OF_ALL} s")
        got = runner.run(suite, mode)
        again = f", {len(got.again)} only when run again" if got.again else ""
        told = f"{got.count('passed')} passed, {got.count('failed')} failed{again}"
        print(f"foreign: {suite.name} on {mode}: {told}", file=sys.stderr, flush=True)
        yield mode, got


def run_all(
    runner: Runner, suites: list[Suite], modes: tuple[Mode, ...]
) -> tuple[dict[str, Outcomes], list[str]]:
    results: dict[str, Outcomes] = {}
    wrong, end = [], time.monotonic() + LONGEST_OF_ALL
    for suite in suites:
        outcomes = results[suite.name] = {}
        try:
            outcomes.update(run_modes(runner, suite, modes, end))  # those before a failure stay
        except (MissingSourceError, StuckError) as exc:
            wrong.append(f"{suite.name}: {exc}")
            print(f"foreign: {wrong[-1]}", file=sys.stderr, flush=True)
        wrong += complaints(suite, outcomes, runner.expected)
    return results, wrong


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception: suites end with us
    args = arguments()
    try:
        python, version = environment(args.python)
    except MissingSourceError as exc:
        raise SystemExit(f"foreign: {exc}") from None
    expected = expectations({suite.name for suite in SUITES}, version)
    runner = Runner(python, expected, args.pytest.split())
    suites = [suite for suite in SUITES if not args.suite or suite.name in args.suite]
    results, wrong = run_all(runner, suites, (args.only,) if args.only else MODES)
    print(screen(results))
    (BUILT / "results.json").write_text(details(results, wrong))
    for name, outcomes in results.items():
        for mode, got in outcomes.items():
            for test in got.again:
                print(f"{name} on {mode}: {test} passed only when run again")
    print("\n".join(wrong), end="\n" if wrong else "")
    if not (wrong or args.suite or args.only or args.pytest):
        figures = {s.name: result(s, results[s.name], expected) for s in suites}
        if tables.record(version[:2], figures):
            print(f"foreign: new figures in {tables.RESULTS.relative_to(ROOT)} and the tables")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
