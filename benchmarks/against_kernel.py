"""The same program over kernel TCP and over usertcp, in the same run.

    python benchmarks/against_kernel.py --quick --json FILE

Two pinned processes in two private namespaces joined by veth pairs: client on CPU 0, server on
CPU 1. One thing differs per surface: for AnyIO the import of `connect_tcp`, for asyncio's protocols
the event loop, for trio the socket factory. Kernel and usertcp take turns (K, O, K, O, ...), every
measurement with a fresh loop and a fresh stack; a row is the median of the pairs. The programs
themselves: arena/programs.py and arena/protocols.py.
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from arena import machine, places, report
from arena.surfaces import SURFACES, WORKLOADS, Surface
from rich.console import Console

from usertcp import netns

LOOPS = ("asyncio", "uvloop", "trio")
FIRST_PORT = 10_000
TABLE_WIDTH = 150
"""Columns of the table where no terminal says how wide it may be."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="usertcp against the kernel's TCP.")
    parser.add_argument("--quick", action="store_true", help="everything within 5 minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE")
    parser.add_argument("--pairs", type=int, help="interleaved pairs (quick: 4, else 10)")
    parser.add_argument("--seconds", type=float, help="of one measurement (quick: 0.8, else 3)")
    parser.add_argument("--cells", action="store_true", help="also ours-kernel and kernel-ours")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--surfaces", nargs="+", choices=tuple(SURFACES), default=tuple(SURFACES))
    parser.add_argument("--congestion", choices=("cubic", "reno"), default="cubic")
    parser.add_argument(
        "--kernel-only", action="store_true", help="kernel against kernel: the method's own noise"
    )
    options = parser.parse_args()
    options.pairs = options.pairs or (4 if options.quick else 10)
    options.seconds = options.seconds or (0.8 if options.quick else 3.0)
    options.warm_up = 0.2 if options.quick else 0.5
    return options


class Bench:
    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self.options = options
        self.console = console
        self.errors: list[str] = []
        if options.kernel_only:
            twin = places.Cell("kernel again", client_ours=False, server_ours=False, subnet=5)
            self.cells = [places.KERNEL, twin]
        else:
            self.cells = [places.KERNEL, places.OURS, *(places.MIXED if options.cells else ())]
        # A port per measurement: connections of the one before may linger in TIME-WAIT.
        self._port = FIRST_PORT

    def rows(self) -> list[report.Row]:
        rows: list[report.Row] = []
        with places.places(self.cells, self.options.congestion) as servers:
            for surface in map(SURFACES.__getitem__, self.options.surfaces):
                for loop in surface.loops:
                    if loop in self.options.loops:
                        rows += self._rows_of(surface, loop, servers)
        return rows

    def _rows_of(self, surface: Surface, loop: str, servers: netns.Namespace) -> list[report.Row]:
        rows: list[report.Row] = []
        with ExitStack() as exits:
            pairings = []
            for cell in self.cells:
                pairing = places.Pairing(cell, surface.name, loop, servers)
                exits.callback(pairing.close)
                pairings.append(pairing)
            for workload in surface.workloads:
                if workload in self.options.workloads:
                    rows += self._measure((surface.name, workload, loop), pairings)
        return rows

    def _measure(
        self, what: tuple[str, str, str], pairings: list[places.Pairing]
    ) -> list[report.Row]:
        surface, workload, loop = what
        outcomes: list[list[dict[str, Any]]] = [[] for _ in pairings]
        times = self.options.warm_up, self.options.seconds
        try:
            for _ in range(self.options.pairs):
                for pairing, done in zip(pairings, outcomes, strict=True):
                    self._port += 1
                    done.append(pairing.measure(workload, self._port, *times))
        except RuntimeError as error:
            self.errors.append(f"{surface}, {workload}, {loop}: {error}")
            self.console.print(f"[red]no row[/] for {self.errors[-1]}", highlight=False)
            return []
        rows = [
            report.make_row(what, pairing.cell.name, outcomes[0], done)
            for pairing, done in zip(pairings[1:], outcomes[1:], strict=True)
        ]
        for row in rows:
            self.console.print(
                f"{surface:17}{workload:9} {loop:8} {row['cell']:13} kernel {row['kernel']:>10} "
                f"usertcp {row['usertcp']:>10} ratio {row['ratio']:.2f}",
                highlight=False,
            )
        return rows


def main() -> int:
    options = _arguments()
    console = Console()
    if not console.is_terminal:
        console.width = TABLE_WIDTH
    if len(os.sched_getaffinity(0)) < 2:
        console.print("two CPUs are needed: one for the client, one for the server")
        return 2
    facts = machine.facts() | {"congestion": options.congestion, "mtu": places.MTU}
    facts |= {"pairs": options.pairs, "seconds": options.seconds, "offloads": "on"}
    netns.enter_private_namespace()
    begun = time.monotonic()
    bench = Bench(options, console)
    rows = bench.rows()
    facts["errors"] = bench.errors
    facts["took_seconds"] = round(time.monotonic() - begun, 1)
    report.show(rows, facts, console)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=2) + "\n")
    return int(bool(bench.errors))


if __name__ == "__main__":
    sys.exit(main())
