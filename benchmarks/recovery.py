"""Goodput under loss between two stacks of the simulator: virtual time, seeded, exact to repeat.

    python benchmarks/recovery.py                     the table
    python benchmarks/recovery.py --json FILE         and its rows
    python benchmarks/recovery.py --set use_rack=0    another configuration of both stacks

Each row is one loss rate and kind: the mean over seeds of a bulk transfer, and the 50th and 99th
percentile of short replies of 20 segments each, where a lost tail shows.
"""

import argparse
import json
import random
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from usertcp.testing import SECOND, Impairment, Simulator
from usertcp.testing.simulator import SimHost

RTT = 0.02
RATE = 100e6
BULK = 8 << 20
REPLY = 20 * 1448
REPLIES = 40
KINDS: dict[str, dict[str, Any]] = {
    "0": {},
    "0.1 %": {"loss": 0.001},
    "1 %": {"loss": 0.01},
    "5 %": {"loss": 0.05},
    "1 % in bursts of 4": {"loss": 0.01, "burst": 4.0},
    "5 % reordered by 4 ms": {"reorder": 0.05, "reorder_delay": 0.004},
    "1 % duplicated": {"duplicate": 0.01},
}
COUNTED = ("retransmits", "rto_count", "fast_recoveries", "tlp_probes", "spurious_retransmits",
           "spurious_recoveries")  # fmt: skip


@dataclass
class Row:
    kind: str
    goodput_mbit: float
    reply_p50_ms: float
    reply_p99_ms: float
    counts: dict[str, float]


class Pair:
    """A client and a server, connected; the server sends."""

    def __init__(self, seed: int, kind: str, config: dict[str, Any]) -> None:
        self.sim = Simulator(seed)
        options = {"rcv_buffer": 1 << 22, "snd_buffer": 1 << 22} | config
        self.a = self.sim.host("10.0.0.1/24", **options)
        self.b = self.sim.host("10.0.0.2/24", **options)
        clean = Impairment(delay=RTT / 2, rate=RATE, queue=1 << 18)
        bad = Impairment(delay=RTT / 2, rate=RATE, queue=1 << 18, **KINDS[kind])
        self.sim.join(self.a, self.b, clean, bad)
        listener = self.b.engine.listen(7)
        self.client = self.a.engine.connect(self.b.address, 7)
        self.server = self._until(listener.accept)

    def _until(self, done: Any, seconds: float = 3600.0) -> Any:
        end = self.sim.now + round(seconds * SECOND)
        while (found := done()) is None:
            if not self.sim.step(end):
                raise TimeoutError(f"seed {self.sim.seed}: nothing more happens")
        return found

    def reply(self, size: int) -> float:
        """Seconds until the client has read so many bytes more."""
        began, left, to_send = self.sim.now, size, size

        def turn() -> bool | None:
            nonlocal left, to_send
            if to_send:
                to_send -= self.server.send(bytes(min(to_send, 1 << 16)))
            while data := self.client.receive(1 << 20):
                left -= len(data)
            return True if left == 0 else None

        self._until(turn)
        return (self.sim.now - began) / SECOND

    def pause(self, seconds: float) -> None:
        self.sim.run(self.sim.now + round(seconds * SECOND))


def counts(host: SimHost) -> dict[str, int]:
    found = host.engine.counters()
    return {name: found.get(f"tcp_{name}", 0) for name in COUNTED}


def row(kind: str, seeds: range, config: dict[str, Any]) -> Row:
    goodput, replies = [], []
    summed = dict.fromkeys(COUNTED, 0.0)
    for seed in seeds:
        pair = Pair(seed, kind, config)
        with pair.sim:
            goodput.append(BULK * 8 / pair.reply(BULK) / 1e6)
            for name, value in counts(pair.b).items():
                summed[name] += value / len(seeds)
        pair = Pair(seed, kind, config)
        rng = random.Random(seed)
        with pair.sim:
            for _ in range(REPLIES):
                replies.append(pair.reply(REPLY) * 1e3)
                pair.pause(rng.uniform(0.0, 0.1))
    cuts = statistics.quantiles(replies, n=100)
    return Row(kind, statistics.mean(goodput), cuts[49], cuts[98], summed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    config = {name: float(value) if "." in value else int(value)
              for name, _, value in (one.partition("=") for one in args.set)}  # fmt: skip
    print(f"{'loss':24}{'Mbit/s':>8}{'p50 ms':>9}{'p99 ms':>9}  rexmit rto fast tlp dsack undo")
    rows = []
    for kind in KINDS:
        one = row(kind, range(args.seeds), config)
        rows.append(asdict(one))
        told = " ".join(f"{value:.1f}" for value in one.counts.values())
        print(f"{kind:24}{one.goodput_mbit:8.2f}{one.reply_p50_ms:9.1f}{one.reply_p99_ms:9.1f}"
              f"  {told}", flush=True)  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
