"""Rows of the comparison: medians of pairs, the table, the JSON."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from arena.programs import UNITS

Outcome = dict[str, Any]
Row = dict[str, Any]


def _per_unit(workload: str, outcome: Outcome) -> float:
    """CPU seconds of the whole machine per GB (bulk) or per repetition, idle load included."""
    work = outcome["extra"]["bytes"] / 1e9 if workload == "bulk" else outcome["repetitions"]
    # Bulk's bytes are those after the warm-up, which is also when the CPU clock started.
    return float(outcome["busy"] / work) if work else 0.0


def make_row(
    what: tuple[str, str, str], cell: str, kernel: Sequence[Outcome], ours: Sequence[Outcome]
) -> Row:
    """`ratio` is ours / kernel, the median over the pairs; for latencies lower is better."""
    surface, workload, loop = what
    ratios = [o["value"] / k["value"] for k, o in zip(kernel, ours, strict=True)]
    cpu = [
        _per_unit(workload, o) / max(_per_unit(workload, k), 1e-12)
        for k, o in zip(kernel, ours, strict=True)
    ]
    row: Row = {
        "surface": surface,
        "workload": workload,
        "loop": loop,
        "link": "veth",
        "cell": cell,
        "unit": UNITS[workload],
        "kernel": round(median(k["value"] for k in kernel), 3),
        "usertcp": round(median(o["value"] for o in ours), 3),
        "ratio": round(median(ratios), 3),
        "pairs": len(ratios),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "busy_cpus_kernel": round(median(k["busy"] / k["wall"] for k in kernel), 2),
        "busy_cpus_usertcp": round(median(o["busy"] / o["wall"] for o in ours), 2),
        "cpu_per_work_ratio": round(median(cpu), 2),
        "steal_most": round(max(x["steal"] / x["wall"] for x in (*kernel, *ours)), 3),
    }
    if workload == "pingpong":
        row["p99_kernel"] = round(median(k["extra"]["p99"] for k in kernel), 3)
        row["p99_usertcp"] = round(median(o["extra"]["p99"] for o in ours), 3)
        pairs = zip(kernel, ours, strict=True)
        row["p99_ratio"] = round(median(o["extra"]["p99"] / k["extra"]["p99"] for k, o in pairs), 3)
    return row


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _verdict(row: Row) -> str:
    """Green where we are ahead, red where the kernel is; within 3 % nobody is."""
    better = 1 / row["ratio"] if row["workload"] == "pingpong" else row["ratio"]
    colour = "green" if better > 1.03 else "red" if better < 0.97 else "yellow"
    return f"[{colour}]{row['ratio']:.2f}[/]"


def table(rows: Sequence[Row], title: str) -> Table:
    result = Table(title=title, title_justify="left")
    for name in ("surface", "workload", "loop", "cell", "unit"):
        result.add_column(name)
    for name in ("kernel", "usertcp", "ratio", "range", "CPU per work", "p99 kernel / usertcp"):
        result.add_column(name, justify="right")
    for row in rows:
        p99 = (
            f"{_number(row['p99_kernel'])} / {_number(row['p99_usertcp'])}"
            if "p99_kernel" in row
            else ""
        )
        result.add_row(
            row["surface"],
            row["workload"],
            row["loop"],
            row["cell"],
            row["unit"].split(",")[0],
            _number(row["kernel"]),
            _number(row["usertcp"]),
            _verdict(row),
            f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}",
            f"{row['cpu_per_work_ratio']:.2f}",
            p99,
        )
    return result


def show(rows: Sequence[Row], machine: dict[str, Any], console: Console) -> None:
    title = (
        f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, "
        f"Python {machine['python']}, kernel uses {machine['congestion']}"
    )
    console.print(table(rows, title))
    console.print(
        "ratio = usertcp / kernel, median of interleaved pairs; for us lower is better. "
        "CPU per work: machine-wide, usertcp / kernel."
    )
