"""Instructions per segment, counted by callgrind, with budgets.

    python benchmarks/instructions.py             count and print
    python benchmarks/instructions.py --check     and fail at 2 % over a budget
    python benchmarks/instructions.py --update    and make the counts the new budgets

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


def inclusive(profile: Path) -> dict[str, int]:
    """Inclusive instructions of each function of a callgrind.out file (no recursion among ours)."""
    names: dict[str, str] = {}
    total: dict[str, int] = {}
    current = ""
    for line in profile.read_text().splitlines():
        match = _POSITION.match(line)
        if match:
            if match[3]:
                names[match[2]] = match[3]
            if match[1] == "fn":
                current = names[match[2]]
        elif _COST.match(line):
            # Own cost, or, after a calls= line, what that callee cost: both are the caller's.
            total[current] = total.get(current, 0) + int(line.split()[1])
    return total


def count(program: Path, scenario: str, repetitions: int, directory: Path) -> dict[str, int]:
    profile = directory / f"{scenario}.{repetitions}.callgrind"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
    command += [str(program), scenario, str(repetitions)]
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
    return inclusive(profile)


def measure() -> dict[str, float | None]:
    """Instructions per row; None where a function no longer exists under that name."""
    scenarios = sorted({row.scenario for row in ROWS})
    with tempfile.TemporaryDirectory(prefix="usertcp-instructions-") as name:
        directory = Path(name)
        program = cdriver.build("instructions", directory)
        runs = [
            (scenario, factor * COUNTS.get(scenario, DEFAULT_COUNT))
            for scenario in scenarios
            for factor in (1, 2)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counted = pool.map(lambda run: count(program, run[0], run[1], directory), runs)
            results = dict(zip(runs, counted, strict=True))
    costs: dict[str, float | None] = {}
    for row in ROWS:
        n = COUNTS.get(row.scenario, DEFAULT_COUNT)
        once, twice = results[row.scenario, n], results[row.scenario, 2 * n]
        if not any(function in once for function in row.functions):
            costs[row.name] = None
            continue
        difference = sum(twice.get(f, 0) - once.get(f, 0) for f in row.functions)
        costs[row.name] = round(difference / n, 1)
    return costs


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 2
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
