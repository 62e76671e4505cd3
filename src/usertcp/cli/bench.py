"""`usertcp bench`: the comparison with kernel TCP on this machine, as a table and JSON.

In a checkout it is benchmarks/against_kernel.py; from an installed package a small one (_bench.py).
"""

import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

import usertcp
from usertcp.cli import _bench
from usertcp.cli._common import Failure, json_option, print_json, run_plain


def script() -> Path | None:
    """The benchmark of the checkout this package is imported from, if it is one."""
    path = Path(usertcp.__file__).parents[2] / "benchmarks/against_kernel.py"
    return path if path.is_file() else None


@click.command()
@click.option("--quick/--long", default=True, show_default=True, help="Minutes, or half an hour.")
@click.option("--small", is_flag=True, help="The small comparison, also in a checkout.")
@click.option(
    "--loop",
    "loops",
    type=click.Choice(["asyncio", "uvloop", "trio"]),
    multiple=True,
    help="Only these; otherwise all.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Of one measurement.")
@json_option
def bench(
    *, quick: bool, small: bool, loops: tuple[str, ...], seconds: float | None, as_json: bool
) -> None:
    """The same AnyIO program over kernel TCP and over usertcp, side by side.

    Between two processes over veth when this is a checkout; otherwise (or with --small) within one
    process: the kernel over loopback, usertcp over a link in memory, as each document says.
    """
    path = None if small else script()
    if path is not None:
        _in_checkout(path, quick=quick, loops=loops, seconds=seconds, as_json=as_json)
        return
    rows: list[dict[str, Any]] = []
    console = Console(stderr=True)
    with ExitStack() as exits:
        status = None
        if console.is_terminal and not as_json:
            status = exits.enter_context(console.status("measuring"))
        for loop in loops or ("asyncio",):
            if status:
                status.update(f"measuring on {loop}")

            async def measure(loop: str = loop) -> list[dict[str, Any]]:
                return await _bench.compare(loop, seconds or 1.0)

            rows += run_plain(measure, loop)
    if as_json:
        print_json({"kind": _bench.KIND, "rows": rows})
        return
    _show(rows)


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(title=_bench.KIND)
    for name in ("workload", "loop", "unit"):
        table.add_column(name)
    for name in ("kernel", "usertcp", "ratio"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = [f"{row[name]:.1f}" for name in ("kernel", "usertcp")]
        table.add_row(row["workload"], row["loop"], row["unit"], *numbers, f"{row['ratio']:.2f}")
    Console().print(table)


def _in_checkout(
    path: Path, *, quick: bool, loops: tuple[str, ...], seconds: float | None, as_json: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "rows.json")
        command = [sys.executable, str(path), "--json", str(target)]
        command += ["--quick"] if quick else []
        command += ["--loops", *loops] if loops else []
        command += ["--seconds", str(seconds)] if seconds else []
        done = subprocess.run(command, stdout=sys.stderr if as_json else None, check=False)
        if done.returncode:
            raise Failure(f"{path.name} ended with {done.returncode}")
        if as_json:
            print_json(json.loads(target.read_text()))
