"""Writes the measured tables of README.md and the design pages from the files they come from.

    python benchmarks/against_kernel.py --quick --json benchmarks/results/veth.json
    python benchmarks/idle.py --json benchmarks/results/idle.json
    python benchmarks/instructions.py --update
    python benchmarks/paths.py --json benchmarks/results/paths.json
    python benchmarks/table.py

What stands between `<!-- NAME -->` and `<!-- end of NAME -->` is replaced: bench, engine; paths, in
docs/design/congestion.md.
"""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
RESULT = HERE / "results/veth.json"
IDLE = HERE / "results/idle.json"
PATHS = HERE / "results/paths.json"
CONGESTION = HERE.parent / "docs/design/congestion.md"
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


def _range(row: dict[str, Any]) -> str:
    mark = "**" if not row["within"] else ""
    return f"{mark}{row['ratio']:.2f}{mark} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"


def paths(document: dict[str, Any]) -> str:
    """Goodput over impaired paths, shares of one bottleneck, and loss without delay."""
    lines = [
        "| path | control | kernel, Mb/s | usertcp | ratio (range) | cwnd | time-outs | episodes |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in document["paths"]:
        kernel, ours = row["kernel"], row["usertcp"]
        lines.append(
            f"| {row['path']} | {row['control']} | {kernel['goodput']:.2f} | {ours['goodput']:.2f} "
            f"| {_range(row)} | {kernel['cwnd']:.0f}, {ours['cwnd']:.0f} "
            f"| {kernel['timeouts']:g}, {ours['timeouts']:g} "
            f"| {kernel['recoveries']:g}, {ours['recoveries']:g} |"
        )
    lines += [
        "",
        "| two flows, 20 Mb/s, 40 ms, queue of 1 BDP, 60 s | Mb/s | Jain's index (range) |",
    ]
    lines += ["|---|---:|---:|"]
    for row in document["shares"]:
        lines.append(
            f"| {row['share']} | {row['first']:.2f}, {row['second']:.2f} "
            f"| {row['jain']:.3f} ({row['jain_min']:.3f} to {row['jain_max']:.3f}) |"
        )
    lines += [
        "",
        "| 1 % lost, no delay, no rate, MTU 1500, offloads off, CUBIC | Mb/s | ratio (range) |",
    ]
    lines += ["|---|---:|---:|"]
    for name, row in document["near"].items():
        lines.append(
            f"| {name.replace('-', ' to ', 1)} | {row['mbit']:,.0f} "
            f"| {row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f}) |"
        )
    it = document["machine"]
    lines += ["", f"{it['cpu']}, {it['cpus']} virtual CPUs, Linux {it['kernel'].split('-')[0]}, "]
    lines[-1] += f"load of the machine before the run {it['load']:.1f}; "
    pairs = sorted({row["pairs"] for row in document["paths"]})
    lines[-1] += f"{' or '.join(map(str, pairs))} pairs, seconds in the "
    lines[-1] += "[JSON](../../benchmarks/results/paths.json)."
    return "\n".join(lines)


def replace(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return found.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def main() -> None:
    result, budgets, idle = (json.loads(path.read_text()) for path in (RESULT, BUDGETS, IDLE))
    text = replace(README.read_text(), "bench", bench(result))
    README.write_text(replace(text, "engine", engine(budgets, idle)))
    measured = paths(json.loads(PATHS.read_text()))
    CONGESTION.write_text(replace(CONGESTION.read_text(), "paths", measured))


if __name__ == "__main__":
    main()
