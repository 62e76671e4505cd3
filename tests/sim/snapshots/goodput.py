"""Goodput where losses do not depend on the flow: the closed formula, the RFCs' equations as a
fluid, the same in whole segments, and what the engine does.

    python tests/sim/snapshots/goodput.py           make table and page anew (make goodput)

Virtual time, exact by seed. Ends with 1 when a row is out of its bounds.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path as FilePath
from statistics import mean

HERE = FilePath(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support import clocked, sawtooth, stored  # noqa: E402
from support.dumbbell import MSS, Dumbbell, Path  # noqa: E402

TABLE = HERE / "goodput.tsv"
PAGE = ROOT / "docs/design/goodput-table.md"
NAMES = ("reno", "cubic")
LOSSES = (1e-4, 1e-3, 1e-2)
RTTS = (0.01, 0.05, 0.1)
HEADINGS = ("control", "p", "RTT", "formula, Mbit/s", "fluid", "segments", "usertcp")
HEADINGS += ("/ formula", "/ fluid", "/ segments")
PERIODIC, RANDOM = "periodic", "random"
SEEDS = 10
LEAST_SECONDS = 300.0
"""Of a run with random losses."""
CLOSE = 0.03
"""Of the equations in whole segments, where every n-th segment is lost."""
NEAR = 0.15
"""Of the formula at random losses."""
BETWEEN = {("cubic", 1e-3, 0.1), ("cubic", 1e-4, 0.05)}
"""The formula takes the larger of two windows. Where both are near, RFC 9438's own equations have
more than either, and it is they that count."""


@dataclass(frozen=True)
class Row:
    """Bits per second, 0: not known. `rtt` s, `loss` a ratio."""

    losses: str
    congestion: str
    loss: float
    rtt: float
    formula: float = 0.0
    fluid: float = 0.0
    clocked: float = 0.0
    engine: float = 0.0

    @property
    def key(self) -> tuple[str, str, float, float]:
        return (self.losses, self.congestion, self.loss, self.rtt)

    @property
    def within(self) -> bool:
        """Whether the engine is where it should be."""
        if self.losses == PERIODIC:
            return abs(self.engine / self.clocked - 1) <= CLOSE
        between = (self.congestion, self.loss, self.rtt) in BETWEEN
        return abs(self.engine / (self.clocked if between else self.formula) - 1) <= NEAR


def cells() -> Iterator[Row]:
    """All points, without their results."""
    for losses in (PERIODIC, RANDOM):
        for name in NAMES:
            for loss in LOSSES:
                for rtt in RTTS:
                    yield Row(losses, name, loss, rtt, formula=sawtooth.goodput(name, loss, rtt))


def link_rate(cell: Row) -> float:
    """Bit/s of a link that is no limit."""
    return max(8 * cell.formula, 20e6)


def seconds(cell: Row, losses: int) -> float:
    """Virtual time in which so many segments are lost."""
    return max(30.0, losses / cell.loss * MSS * 8 / cell.formula)


def warm(cell: Row) -> float:
    return 20 * cell.rtt + (35 if cell.loss < 1e-3 else 5)


def gaps(cell: Row, seed: int) -> Iterator[int]:
    """Distances between lost segments."""
    if cell.losses == PERIODIC:
        return sawtooth.every(round(1 / cell.loss))
    return sawtooth.bernoulli(cell.loss, seed)


def measured(cell: Row, span: float, seed: int) -> float:
    """What the engine does."""
    how = {"loss": cell.loss} if cell.losses == RANDOM else {"period": round(1 / cell.loss)}
    with Dumbbell(Path(rate=link_rate(cell), rtt=cell.rtt, **how), seed=seed) as d:
        d.add(cell.congestion)
        d.run(warm(cell))
        before = d.stats.dropped
        (found,) = d.goodputs(0, span)
        assert d.stats.dropped == before
        assert d.info(0).spurious_recoveries == 0
    return found


def in_segments(cell: Row, span: float, seed: int) -> float:
    """What the equations give in whole segments."""
    flow = clocked.Flow(cell.congestion, link_rate(cell), cell.rtt, gaps(cell, seed))
    return clocked.goodput(flow, warm(cell), span)


def as_fluid(cell: Row, span: float, seed: int) -> float:
    return sawtooth.fluid(cell.congestion, cell.rtt, gaps(cell, seed), warm(cell), span)


def run(cell: Row, seeds: int = SEEDS, least: float = LEAST_SECONDS) -> Row:
    """The same, with its results: with random losses the mean over seeds."""
    if cell.losses == PERIODIC:
        span, numbers = seconds(cell, 100), range(1, 2)
    else:
        span, numbers = max(least, seconds(cell, 200)), range(1, seeds + 1)
    fewer = numbers if cell.loss > 1e-4 else numbers[:4]  # minutes else
    return replace(
        cell,
        fluid=mean(as_fluid(cell, span, seed) for seed in fewer),
        clocked=mean(in_segments(cell, span, seed) for seed in fewer),
        engine=mean(measured(cell, span, seed) for seed in numbers),
    )


def as_text(row: Row) -> dict[str, object]:
    """As it is stored: rates in whole bits per second."""
    rates = ("formula", "fluid", "clocked", "engine")
    return asdict(row) | {name: f"{getattr(row, name):.0f}" for name in rates}


def page(rows: list[Row]) -> str:
    """The table for readers."""
    lines = [
        "# Congestion control against its formulas",
        "",
        "Made by `make goodput`; do not edit. Losses that do not depend on the flow, over a link",
        "that is no limit. What it means: [congestion control](congestion.md).",
        "",
        "- *formula*: sqrt(3 / 2p) segments; in CUBIC's own region 1.054 (RTT / p)^0.75.",
        "- *fluid*: the RFCs' equations; a loss is noticed a round trip later and repaired in",
        "  another (`tests/support/sawtooth.py`).",
        "- *segments*: the equations in whole segments, clocked by the ACKs of a receiver that",
        "  delays them, repaired with RFC 9937 (`tests/support/clocked.py`).",
        "",
    ]
    titles = {
        PERIODIC: "Each 1/p-th segment lost",
        RANDOM: f"Lost at random; means of {SEEDS} seeds",
    }
    for losses, title in titles.items():
        lines += [
            f"## {title}",
            "",
            f"| {' | '.join(HEADINGS)} |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            if row.losses != losses:
                continue
            mbit = [f"{one / 1e6:.2f}" for one in (row.formula, row.fluid, row.clocked, row.engine)]
            ratios = [f"{row.engine / one:.3f}" for one in (row.formula, row.fluid, row.clocked)]
            told = [row.congestion, f"{row.loss:.2%}", f"{row.rtt * 1e3:.0f} ms", *mbit, *ratios]
            lines.append(f"| {' | '.join(told)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for row in pool.map(partial(run, seeds=args.seeds), cells()):
            rows.append(row)
            print(
                f"{row.losses} {row.congestion} {row.loss:.2%} {row.rtt * 1e3:.0f} ms: "
                f"{row.engine / 1e6:.2f} Mbit/s, {row.engine / row.formula:.3f} of the formula, "
                f"{row.engine / row.fluid:.3f} of the fluid, {row.engine / row.clocked:.3f} of "
                f"whole segments{'' if row.within else ' OUTSIDE'}",
                flush=True,
            )
    if args.seeds == SEEDS:
        stored.write(TABLE, map(as_text, rows))
        PAGE.write_text(page(rows))
    return int(not all(row.within for row in rows))


if __name__ == "__main__":
    sys.exit(main())
