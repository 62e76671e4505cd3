"""Runs every fuzz target that `make fuzz-build` has built, several at a time.

Starts from the seeds of tools/fuzz_corpus.py, with the dictionaries tests/fuzz/numbers.dict and,
where there is one, NAME.dict; what is found grows in build/fuzz/corpus/NAME, and what fails is kept
in build/fuzz/failed.
"""

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fuzz_corpus

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ROOT / "tests/fuzz"
BUILT = ROOT / "build/fuzz"


def dictionary(name: str) -> Path:
    """libFuzzer takes one: the common one and the target's own in a file."""
    words = [TARGETS / "numbers.dict", TARGETS / f"{name}.dict"]
    joined = BUILT / f"{name}.dict"
    joined.write_text("".join(path.read_text() for path in words if path.exists()))
    return joined


def command(name: str, seconds: int) -> list[str]:
    grown, seeds, failed = BUILT / "corpus" / name, BUILT / "seeds" / name, BUILT / "failed"
    for folder in (grown, seeds, failed):
        folder.mkdir(parents=True, exist_ok=True)
    return [
        *(str(BUILT / f"fuzz_{name}"), f"-max_total_time={seconds}", "-timeout=10"),
        *("-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={failed}/{name}-"),
        *("-max_len=2000", "-len_control=20", f"-dict={dictionary(name)}"),
        *(str(grown), str(seeds)),
    ]


def run(name: str, seconds: int) -> bool:
    """Whether the target ran for its time without a finding."""
    done = subprocess.run(
        command(name, seconds), capture_output=True, text=True, errors="replace", check=False
    )
    (BUILT / f"{name}.log").write_text(done.stderr)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    cover = re.findall(r"cov: (\d+)", done.stderr)
    facts = f"{runs[1] if runs else '?'} runs, coverage {cover[-1] if cover else '?'}"
    print(f"fuzz {name}: {'ok' if done.returncode == 0 else 'FAILED'}, {facts}", flush=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-60:]), file=sys.stderr, flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    names = sorted(path.stem.removeprefix("fuzz_") for path in TARGETS.glob("fuzz_*.c"))
    fuzz_corpus.build(BUILT / "seeds")
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda name: run(name, args.seconds), names))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
