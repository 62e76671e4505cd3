"""Prints the rows of a result of against_kernel.py as a Markdown table, as README.md shows it.

python benchmarks/table.py benchmarks/results/FILE.json
"""

import json
import sys
from pathlib import Path
from typing import Any

NAMES = {
    "bulk": "bulk, one stream, Gb/s",
    "pingpong": "64 B ping-pong, p50 (p99), us",
    "connect": "connect, 64 B echo, close, per s",
    "conns64": "64 connections, 64 B round trips per s",
}


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def cell(row: dict[str, Any], side: str) -> str:
    tail = f" ({number(row[f'p99_{side}'])})" if f"p99_{side}" in row else ""
    return number(row[side]) + tail


def is_ahead(row: dict[str, Any]) -> bool:
    return (1 / row["ratio"] if row["workload"] == "pingpong" else row["ratio"]) > 1.0


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| workload | loop | kernel TCP | usertcp | ratio | CPU per work |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratio = f"{row['ratio']:.2f}"
        lines.append(
            f"| {NAMES[row['workload']]} | {row['loop']} | {cell(row, 'kernel')} "
            f"| {cell(row, 'usertcp')} | {f'**{ratio}**' if is_ahead(row) else ratio} "
            f"| {row['cpu_per_work_ratio']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    rows = json.loads(Path(sys.argv[1]).read_text())["rows"]
    order = list(NAMES)
    ours = [row for row in rows if row["cell"] == "ours-ours"]
    print(table(sorted(ours, key=lambda row: order.index(row["workload"]))))


if __name__ == "__main__":
    main()
