"""Instructions per segment, counted by callgrind, with budgets.

    python benchmarks/instructions.py             count and print
    python benchmarks/instructions.py --check     and fail at 2 % over a budget
    python benchmarks/instructions.py --update    and make the counts the new budgets
    python benchmarks/instructions.py --profile receive      where they go, by function

Wall time on a shared machine is noise; instruction counts are repeatable. Each scenario of
instructions.c runs with N and 2N repetitions, and a row is (count at 2N - count at N) / N of the
inclusive cost of named functions. Everything from the queue of the memory link to the queue of
the memory link is inside `ut_poll`, `ut_send` and `ut_recv`, the copies of the payload too.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cdriver

BUDGETS = cdriver.HERE / "instructions.json"
TOLERANCE = 1.02
TIMEOUT = 120.0
"""Seconds one run under callgrind may take."""

# The C library picks memcpy by CPU: the AVX2 one exists on every machine that counts here, and
# string instructions would be counted byte by byte.
TUNABLES = "glibc.cpu.hwcaps=-ERMS,-FSRM,-AVX512F,-AVX512VL,-AVX512BW"


@dataclass(frozen=True, slots=True)
class Row:
    """`functions`: their inclusive costs are added. `goal`: design/performance.md 8.2, or 0."""

    name: str
    scenario: str
    functions: tuple[str, ...]
    per: str
    goal: int = 0


ROWS = (
    Row("receive", "receive", ("ut_poll",), "in-order data segment, 16 per turn"),
    Row("receive, tcp part", "receive", ("tcp_arrive",), "the same, tcp/ only", 250),
    Row("receive, to the program", "receive", ("ut_recv", "ut_recv_done"), "the same, ut_recv"),
    Row("receive, one per turn", "receive-one", ("ut_poll",), "in-order data segment"),
    Row("pure ACK", "send", ("ut_poll",), "pure ACK, 8 per turn"),
    Row("pure ACK, tcp part", "send", ("tcp_arrive",), "the same, tcp/ only", 180),
    Row("send", "send", ("ut_send",), "MSS segment, from ut_send to the link's queue"),
    Row("send, tcp part", "send", ("tcp_output_next",), "the same, tcp/ only", 250),
    Row("receive super-segment", "receive-super", ("ut_poll",), "44 MSS in one frame"),
    Row("send super-segment", "send-super", ("ut_send",), "44 MSS in one frame"),
    Row("echo of 64 bytes", "echo", ("ut_poll", "ut_recv", "ut_send"), "turn of an echo server"),
    Row(
        "open and close",
        "open-close",
        ("ut_poll", "ut_accept", "ut_close"),
        "passive open, peer closes, we close",
        3500,
    ),
)
COUNTS = {"receive-super": 64, "send-super": 64, "open-close": 256}
DEFAULT_COUNT = 1024

_COST = re.compile(r"^([+-]?\d+|\*) \d+$")
_POSITION = re.compile(r"^(fn|cfn)=\((\d+)\)(?: (.*))?$")


@dataclass(frozen=True, slots=True)
class Costs:
    """Instructions by function: with what it called, and its own alone."""

    inclusive: dict[str, int]
    own: dict[str, int]


def read_costs(profile: Path) -> Costs:
    """Reads a callgrind.out file (there is no recursion among our functions)."""
    names: dict[str, str] = {}
    costs = Costs({}, {})
    current, of_callee = "", False
    for line in profile.read_text().splitlines():
        match = _POSITION.match(line)
        if match:
            if match[3]:
                names[match[2]] = match[3]
            if match[1] == "fn":
                current = names[match[2]]
        elif line.startswith("calls="):
            of_callee = True  # the next cost is what that callee took
        elif _COST.match(line):
            cost = int(line.split()[1])
            costs.inclusive[current] = costs.inclusive.get(current, 0) + cost
            if not of_callee:
                costs.own[current] = costs.own.get(current, 0) + cost
            of_callee = False
    return costs


def count(program: Path, scenario: str, times: int, directory: Path) -> Costs:
    profile = directory / f"{scenario}.{times}.callgrind"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
    command += [str(program), scenario, str(times)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, "GLIBC_TUNABLES": TUNABLES},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return read_costs(profile)


Runs = dict[tuple[str, int], Costs]


def run_all(scenarios: Sequence[str]) -> Runs:
    """Every scenario with N and with 2N repetitions."""
    with tempfile.TemporaryDirectory(prefix="usertcp-instructions-") as name:
        directory = Path(name)
        program = cdriver.build("instructions", directory)
        runs = [
            (scenario, repetitions(scenario, factor)) for scenario in scenarios for factor in (1, 2)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counted = pool.map(lambda run: count(program, run[0], run[1], directory), runs)
            return dict(zip(runs, counted, strict=True))


def repetitions(scenario: str, factor: int = 1) -> int:
    return factor * COUNTS.get(scenario, DEFAULT_COUNT)


def measure() -> dict[str, float | None]:
    """Instructions per row; None where a function no longer exists under that name."""
    results = run_all(sorted({row.scenario for row in ROWS}))
    costs: dict[str, float | None] = {}
    for row in ROWS:
        n = repetitions(row.scenario)
        once = results[row.scenario, n].inclusive
        twice = results[row.scenario, 2 * n].inclusive
        if not any(function in once for function in row.functions):
            costs[row.name] = None
            continue
        difference = sum(twice.get(f, 0) - once.get(f, 0) for f in row.functions)
        costs[row.name] = round(difference / n, 1)
    return costs


def profile(scenario: str, most: int = 30) -> None:
    """Prints where the instructions of one repetition go, by function."""
    results = run_all([scenario])
    n = repetitions(scenario)
    once, twice = results[scenario, n], results[scenario, 2 * n]
    own = {f: (cost - once.own.get(f, 0)) / n for f, cost in twice.own.items()}
    print(f"{'own':>9} {'with callees':>13}  function (the peer's among them)")
    for function in sorted(own, key=lambda f: -own[f])[:most]:
        total = (twice.inclusive[function] - once.inclusive.get(function, 0)) / n
        print(f"{own[function]:9.1f} {total:13.1f}  {function}")


def load() -> dict[str, float]:
    if not BUDGETS.exists():
        return {}
    rows = json.loads(BUDGETS.read_text())["rows"]
    return {name: row["budget"] for name, row in rows.items()}


def store(costs: dict[str, float | None]) -> None:
    rows: dict[str, dict[str, float | str]] = {}
    for row in ROWS:
        cost = costs[row.name]
        if cost is not None:
            rows[row.name] = {"budget": cost, "per": row.per}
            if row.goal:
                rows[row.name]["goal"] = row.goal
    document = {"compiler": cdriver.compiler(), "tolerance": TOLERANCE, "rows": rows}
    BUDGETS.write_text(json.dumps(document, indent=2) + "\n")


def show(costs: dict[str, float | None], budgets: dict[str, float]) -> list[str]:
    """Prints the table; returns the rows that are over their budget."""
    over = []
    print(f"{'row':26} {'Ir':>9} {'budget':>9} {'goal':>6}  per")
    for row in ROWS:
        cost, budget = costs[row.name], budgets.get(row.name)
        text = "-" if cost is None else f"{cost:.1f}"
        limit = "-" if budget is None else f"{budget:.1f}"
        mark = ""
        if cost is not None and budget is not None and cost > budget * TOLERANCE:
            over.append(row.name)
            mark = f"  OVER by {cost / budget - 1:.1%}"
        elif cost is None and budget is not None:
            over.append(row.name)
            mark = "  GONE: no such function"
        print(f"{row.name:26} {text:>9} {limit:>9} {row.goal or '-':>6}  {row.per}{mark}")
    return over


def main() -> int:
    parser = argparse.ArgumentParser(description="Instructions per segment, with budgets.")
    parser.add_argument("--check", action="store_true", help="fail at 2 %% over a budget")
    parser.add_argument("--update", action="store_true", help="make the counts the new budgets")
    parser.add_argument(
        "--profile", choices=sorted({row.scenario for row in ROWS}), help="one scenario by function"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 2
    if options.profile:
        profile(options.profile)
        return 0
    costs, budgets = measure(), load()
    over = show(costs, budgets)
    if options.json:
        options.json.write_text(json.dumps({"rows": costs}, indent=2) + "\n")
    if options.update:
        store(costs)
        return 0
    if options.check and not budgets:
        print(f"{BUDGETS.name} holds no budgets: run with --update once", file=sys.stderr)
        return 2
    if options.check and over:
        print(f"over budget: {', '.join(over)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
