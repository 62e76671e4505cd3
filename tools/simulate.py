"""`make sim`: worlds of tests/support/world, from many seeds or from one.

    tools/simulate.py --seeds 10000 --first 0 --jobs 4
    tools/simulate.py --seed 254 --without 'a>b loss;a memory'

A failing seed is told with the command that repeats it, and with the least of its world that still
fails in the same way. Exits 1 when one has failed.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.world.explore import Worker, explore, shrink  # noqa: E402

SHOWN = 30  # last lines of a trace


def repeat(seed: int, without: list[str]) -> str:
    left_out = f" WITHOUT='{';'.join(without)}'" if without else ""
    return f"make sim SEED={seed}{left_out}"


def show(found: dict[str, Any], *, smaller: bool) -> None:
    """One failure in full."""
    seed, without = found["seed"], list(found.get("without", ()))
    print(f"\nseed {seed} FAILED: {found['error']}\n  again: {repeat(seed, without)}", flush=True)
    if not smaller:
        return
    worker = Worker("--trace")
    try:
        without = shrink(found, worker)
        least = worker.run(seed, without)
    finally:
        worker.close()
    trace = least.get("trace", "").splitlines()
    print("\n".join(trace[-SHOWN:]))
    print(f"  the least of it: {', '.join(least['present']) or '(ask again with SEED)'}")
    print(f"  {least['error']}\n  again: {repeat(seed, without)}", flush=True)


def run_one(seed: int, without: list[str]) -> int:
    """With its trace."""
    worker = Worker("--trace")
    found = worker.run(seed, without)
    worker.close()
    print(f"seed {seed}: {', '.join(found['present'])}")
    if found["error"] is None:
        print(f"passed: {found['packets']} packets, {found['digest']}")
        return 0
    show(found, smaller=True)
    return 1


class Progress:
    """Counts, and tells about every ten seconds."""

    def __init__(self, seeds: int, failures: int) -> None:
        self.seeds, self.failures = seeds, failures
        self.done = 0
        self.failed: list[dict[str, Any]] = []
        self.latest = (0.0, -1)
        self.packets = 0
        self.began = self.told_at = time.monotonic()

    def told(self, found: dict[str, Any]) -> bool:
        self.done += 1
        self.packets += found.get("packets", 0)
        if found["error"] is not None:
            self.failed.append(found)
            print(f"seed {found['seed']}: {found['error'].splitlines()[0]}", flush=True)
        else:
            self.latest = max(self.latest, (found["late"], found["seed"]))
        if time.monotonic() - self.told_at > 10:
            self.told_at = time.monotonic()
            print(self.line(), flush=True)
        return len(self.failed) < self.failures

    def line(self) -> str:
        rate = self.done / (time.monotonic() - self.began)
        return f"{self.done} of {self.seeds} seeds, {len(self.failed)} failed, {rate:.1f} seeds/s"


def run_many(args: argparse.Namespace) -> int:
    progress = Progress(args.seeds, args.failures)
    explore(range(args.first, args.first + args.seeds), args.jobs, progress.told)
    for found in progress.failed:
        show(found, smaller=True)
    late, seed = progress.latest
    print(f"{progress.line()}, {progress.packets} packets")
    print(f"the slowest to end took {late:.2f} of its bound (seed {seed})")
    return 1 if progress.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    parser.add_argument("--without", default="", help="names left out of it, by semicolons")
    args = parser.parse_args()
    if args.seed is not None:
        return run_one(args.seed, [name for name in args.without.split(";") if name])
    return run_many(args)


if __name__ == "__main__":
    sys.exit(main())
