"""Bytes that one idle established connection holds in C.

    python benchmarks/idle.py [--connections 10000] [--limit 1024] [--json FILE]

Opens N connections between two stacks over a joined memory link (idle.c), for several N, and fits a
line through the bytes each stack holds. Every run's tables are sized for its own N, so what is
allocated per capacity and what is allocated per connection both end up in the slope.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cdriver

TIMEOUT = 120.0
"""Seconds one run may take."""


def slope(points: list[tuple[int, int]]) -> float:
    """Least squares."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return over / sum((x - mean_x) ** 2 for x, _ in points)


def run(program: Path, connections: int, *, echo: bool) -> dict[str, int]:
    command = [str(program), str(connections), str(int(echo))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    result: dict[str, int] = json.loads(done.stdout)
    return result


def measure(most: int) -> dict[str, float]:
    """Bytes per connection by side, fresh and after 64 bytes each way."""
    with tempfile.TemporaryDirectory(prefix="usertcp-idle-") as name:
        program = cdriver.build("idle", Path(name))
        bytes_each: dict[str, float] = {}
        for label, echo in (("fresh", False), ("after an echo", True)):
            rows = [run(program, most * k // 4, echo=echo) for k in range(1, 5)]
            for side in ("client", "server"):
                points = [(row["n"], row[side]) for row in rows]
                bytes_each[f"{side}, {label}"] = round(slope(points), 1)
    return bytes_each


def main() -> int:
    parser = argparse.ArgumentParser(description="Bytes per idle connection in C.")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--limit", type=float, default=1024, help="bytes; fail above")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    results = measure(options.connections)
    for name, value in results.items():
        print(f"{name:24} {value:8.1f} bytes per connection")
    if options.json:
        document = {"connections": options.connections, "bytes": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return int(max(results.values()) > options.limit)


if __name__ == "__main__":
    sys.exit(main())
