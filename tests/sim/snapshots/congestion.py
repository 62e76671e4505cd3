"""The snapshot table of congestion control: what each algorithm makes of a path.

    python tests/sim/snapshots/congestion.py            make table and page anew
    python tests/sim/snapshots/congestion.py --check    compare with those that are there

Virtual time, exact by seed: another number is another behaviour, of the engine or of this
program. A change of the table is part of the commit that causes it.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby, product
from pathlib import Path as FilePath

HERE = FilePath(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support import stored  # noqa: E402
from support.bulk import jain  # noqa: E402
from support.dumbbell import HEADERS, Dumbbell, Path  # noqa: E402

TABLE = HERE / "congestion.tsv"
PAGE = ROOT / "docs/design/congestion-table.md"
NAMES = ("cubic", "reno", "bbr")
LOSSES = (0.0, 0.0001, 0.001, 0.01, 0.05)
RTTS = (10, 50, 200)  # ms
QUEUES = (0.25, 1.0, 4.0)  # of the bandwidth-delay product
FLOWS = (2, 4, 8, 16, 32, 64)
COMPANIES = (("cubic",), ("reno",), ("bbr",), ("cubic", "reno"), ("cubic", "bbr"), ("reno", "bbr"))
ALONE_RATE, ALONE_WARM, ALONE_TIME = 20e6, 10.0, 60.0
SHARED_RATE, SHARED_RTT, SHARED_WARM, SHARED_TIME = 100e6, 40, 20.0, 60.0


@dataclass(frozen=True)
class Row:
    """One run. Percentages are of the payload that the link carries; `jain` of all flows' goodputs,
    in thousandths; `first_percent` what the flows of the first algorithm have together."""

    congestion: str
    flows: int
    loss_percent: float
    rtt_ms: int
    queue_bdp: float
    goodput_percent: float = 0.0
    retransmits: int = 0
    rtos: int = 0
    queue_full: int = 0
    jain: int = 1000
    first_percent: float = 0.0

    @property
    def key(self) -> tuple[str, int, float, int, float]:
        return (self.congestion, self.flows, self.loss_percent, self.rtt_ms, self.queue_bdp)


def cells() -> Iterator[Row]:
    """All runs there are, without their results."""
    for name, loss, rtt, queue in product(NAMES, LOSSES, RTTS, QUEUES):
        yield Row(name, 1, loss * 100, rtt, queue)
    for company, flows in product(COMPANIES, FLOWS):
        yield Row("+".join(company), flows, 0.0, SHARED_RTT, 1.0)


def run(cell: Row) -> Row:
    """The same, with its results."""
    alone = cell.flows == 1
    rate = ALONE_RATE if alone else SHARED_RATE
    warm, span = (ALONE_WARM, ALONE_TIME) if alone else (SHARED_WARM, SHARED_TIME)
    rtt = cell.rtt_ms / 1e3
    queue = round(rate * rtt / 8 * cell.queue_bdp)
    path = Path(rate=rate, rtt=rtt, queue=queue, loss=cell.loss_percent / 100)
    names = cell.congestion.split("+")
    with Dumbbell(path, seed=1) as d:
        for n in range(cell.flows):
            d.add(names[n % len(names)])
            d.run(0.037)  # nobody begins with another
        shares = [one / rate / HEADERS * 100 for one in d.goodputs(warm, span)]
        infos = [d.info(n) for n in range(cell.flows)]
        return Row(
            *cell.key,
            goodput_percent=round(sum(shares), 2),
            retransmits=sum(int(info.retransmits) for info in infos),
            rtos=sum(int(info.rto_count) for info in infos),
            queue_full=int(d.stats.dropped),
            jain=round(1000 * jain(shares)),
            first_percent=round(sum(shares[:: len(names)]), 2),
        )


def differences(old: list[Row], new: list[Row]) -> list[str]:
    """One line for each row that is not what it was."""
    before = {row.key: row for row in old}
    lines = []
    for row in new:
        was = before.pop(row.key, None)
        if was is None:
            lines.append(f"{row.key}: new")
            continue
        changed = [
            f"{name} {a} -> {b}"
            for (name, a), b in zip(asdict(was).items(), asdict(row).values(), strict=True)
            if a != b
        ]
        if changed:
            lines.append(f"{row.key}: {', '.join(changed)}")
    return lines + [f"{key}: gone" for key in before]


def page(rows: list[Row]) -> str:
    """The table for readers."""
    lines = [
        "# What each congestion control achieves",
        "",
        "Made by `make snapshot`; do not edit. What they are: [congestion control](congestion.md).",
        "",
        f"## Alone, {ALONE_RATE / 1e6:.0f} Mbit/s",
        "",
        f"Goodput in per cent of the payload the link carries, over {ALONE_TIME:.0f} s of virtual",
        "time; then segments sent again, and time-outs. Queue in bandwidth-delay products.",
        "",
    ]
    alone = [row for row in rows if row.flows == 1]
    for name, group in groupby(alone, key=lambda row: row.congestion):
        lines += [f"### {name}", ""]
        found = {row.key[2:]: row for row in group}
        lines.append("| loss | queue | " + " | ".join(f"{rtt} ms" for rtt in RTTS) + " |")
        lines.append("|---|---|" + "---|" * len(RTTS))
        for loss, queue in product(LOSSES, QUEUES):
            one = [found[loss * 100, rtt, queue] for rtt in RTTS]
            told = [f"{row.goodput_percent:.1f} ({row.retransmits}, {row.rtos})" for row in one]
            lines.append(f"| {loss * 100:g} % | {queue:g} | " + " | ".join(told) + " |")
        lines.append("")
    lines += [
        f"## In company, {SHARED_RATE / 1e6:.0f} Mbit/s, {SHARED_RTT} ms, one product of queue",
        "",
        "Jain's index of all goodputs; in mixed company half of the flows are of each kind, and",
        "the percentage is what the first kind has. In brackets the goodput of all together.",
        "",
        "| flows | " + " | ".join(" and ".join(one) for one in COMPANIES) + " |",
        "|---|" + "---|" * len(COMPANIES),
    ]
    together = {row.key[:2]: row for row in rows if row.flows > 1}
    for flows in FLOWS:
        told = []
        for company in COMPANIES:
            row = together["+".join(company), flows]
            first = f", {row.first_percent:.0f} %" if len(company) > 1 else ""
            told.append(f"{row.jain / 1000:.3f}{first} ({row.goodput_percent:.1f})")
        lines.append(f"| {flows} | " + " | ".join(told) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(run, cells()))
    changed = differences(stored.read(TABLE, Row) if TABLE.exists() else [], rows)
    print("\n".join(changed) if changed else f"{len(rows)} rows, all as they were")
    if args.check:
        return int(bool(changed) or PAGE.read_text() != page(rows))
    stored.write(TABLE, map(asdict, rows))
    PAGE.write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
