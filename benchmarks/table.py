"""Writes the measured tables of README.md from the files they come from.

    python benchmarks/against_kernel.py --quick --json benchmarks/results/veth.json
    python benchmarks/idle.py --json benchmarks/results/idle.json
    python benchmarks/instructions.py --update
    python benchmarks/table.py

What stands between `<!-- NAME -->` and `<!-- end of NAME -->` is replaced: bench, engine.
"""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
RESULT = HERE / "results/veth.json"
IDLE = HERE / "results/idle.json"
BUDGETS = HERE / "instructions.json"

NAMES = {
    "bulk": "bulk, one stream, Gb/s",
    "pingpong": "64 B ping-pong, p50 (p99), us",
    "connect": "connect, 64 B echo, close, per s",
    "conns64": "64 connections, 64 B round trips per s",
}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _cell(row: dict[str, Any], side: str) -> str:
    tail = f" ({_number(row[f'p99_{side}'])})" if f"p99_{side}" in row else ""
    return _number(row[side]) + tail


def _is_ahead(row: dict[str, Any]) -> bool:
    return bool(row["ratio"] < 1.0 if row["workload"] == "pingpong" else row["ratio"] > 1.0)


def bench(document: dict[str, Any]) -> str:
    """The rows where both ends are ours, and the machine they were measured on."""
    lines = [
        "| workload | surface | loop | kernel TCP | usertcp | ratio | CPU per work |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    rows = [row for row in document["rows"] if row["cell"] == "ours-ours"]
    for row in sorted(rows, key=lambda row: list(NAMES).index(row["workload"])):
        ratio = f"{row['ratio']:.2f}"
        lines.append(
            f"| {NAMES[row['workload']]} | {row['surface']} | {row['loop']} "
            f"| {_cell(row, 'kernel')} | {_cell(row, 'usertcp')} "
            f"| {f'**{ratio}**' if _is_ahead(row) else ratio} | {row['cpu_per_work_ratio']:.2f} |"
        )
    it = document["machine"]
    facts = (
        f"{it['cpu']}, {it['cpus']} virtual CPUs, Linux {it['kernel'].split('-')[0]}, Python "
        f"{it['python']}, load of the machine before the run {it['load']:.1f}; offloads on, MTU "
        f"{it['mtu']}, the kernel uses {it['congestion']}; {it['pairs']} pairs of "
        f"{it['seconds']:g} s. Bold: usertcp is ahead. [JSON](benchmarks/results/{RESULT.name})."
    )
    return "\n".join([*lines, "", facts])


def engine(budgets: dict[str, Any], idle: dict[str, Any]) -> str:
    lines = ["| instructions | for one |", "|---:|---|"]
    for name, row in budgets["rows"].items():
        if not name.endswith("tcp part"):
            lines.append(f"| {row['budget']:,.0f} | {name}: {row['per']} |")
    most = max(idle["bytes"].values())
    lines += ["", f"An idle established connection holds {most:,.0f} bytes in C "]
    lines[-1] += f"(of {idle['connections']:,}; tables included)."
    return "\n".join(lines)


def replace(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return found.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def main() -> None:
    result, budgets, idle = (json.loads(path.read_text()) for path in (RESULT, BUDGETS, IDLE))
    text = replace(README.read_text(), "bench", bench(result))
    README.write_text(replace(text, "engine", engine(budgets, idle)))


if __name__ == "__main__":
    main()
