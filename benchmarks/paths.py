"""Kernel and usertcp over the same impaired path, in real time.

    python benchmarks/paths.py --json benchmarks/results/paths.json      (make paths)

A forwarder of ours (bottleneck/forwarder.c) stands between senders and receivers, in namespaces of
their own: rate, queue in bytes, delay and loss, the same for both, with the same seed: which
segments are lost depends on the seed and their number alone. Only the sender changes; the receiver
is the kernel's. Kernel and usertcp take turns; several such lanes run beside each other, a seed
each. Rows that are not measured (--only, --match, --controls) stay in FILE as they were.

    paths       goodput of one flow, usertcp / kernel, by congestion control and path
    shares      two flows through one bottleneck: Jain's index (RFC 5166 2.4)
    near        1 % of loss, no delay and no rate: the stacks' own speed, offloads off
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from arena import machine
from bottleneck.flow import BIN, SAMPLE
from bottleneck.lane import KERNEL, OURS, STACKS, Lane, Link, build

from usertcp import netns

MBIT = 1e6
CONTROLS = ("cubic", "reno", "bbr")
BANDS = {"cubic": (0.9, 1.15), "reno": (0.9, 1.15), "bbr": (0.95, 1.05)}
LEAST_JAIN = 0.95
WARM = 3.0
"""Seconds after the first byte that are not counted."""


def _link(mbit: float, rtt_ms: float, queue: float, **more: Any) -> Link:
    """`queue` in products of bandwidth and delay."""
    rtt = rtt_ms / 1e3
    return Link(mbit * MBIT, rtt, int(queue * mbit * MBIT / 8 * rtt), **more)


PATHS: dict[str, tuple[Link, float]] = {
    "20 Mb/s, 40 ms, queue of 1 BDP": (_link(20, 40, 1), 15.0),
    "20 Mb/s, 80 ms, queue of 1/2 BDP": (_link(20, 80, 0.5), 20.0),
    "20 Mb/s, 40 ms, queue of 1/4 BDP": (_link(20, 40, 0.25), 20.0),
    "100 Mb/s, 20 ms, queue of 1/2 BDP": (_link(100, 20, 0.5), 20.0),
    "100 Mb/s, 40 ms, queue of 1 BDP": (_link(100, 40, 1), 15.0),
    "50 Mb/s, 20 ms, every 100th lost": (_link(50, 20, 1, period=100), 12.0),
    "50 Mb/s, 20 ms, 1 % lost": (_link(50, 20, 1, loss=0.01), 24.0),
    "50 Mb/s, 20 ms, 0.1 % lost": (_link(50, 20, 1, loss=0.001), 30.0),
    "50 Mb/s, 80 ms, 0.05 % lost": (_link(50, 80, 1, loss=0.0005), 30.0),
}
"""And the seconds of one run. Two hundred losses over all pairs are a sampling error of 5 %."""
BLURRED, DROP_TAIL = _link(20, 40, 1, blur=10_000), _link(20, 40, 1)
"""Two flows of one kind lock into each other at a queue that drops by the byte."""
SHARES: dict[str, tuple[Link, list[tuple[str, str]]]] = {
    "blurred, cubic: usertcp and kernel": (BLURRED, [(OURS, "cubic"), (KERNEL, "cubic")]),
    "blurred, cubic: kernel and kernel": (BLURRED, [(KERNEL, "cubic"), (KERNEL, "cubic")]),
    "blurred, reno: usertcp and kernel": (BLURRED, [(OURS, "reno"), (KERNEL, "reno")]),
    "drop-tail, cubic: usertcp and kernel": (DROP_TAIL, [(OURS, "cubic"), (KERNEL, "cubic")]),
    "drop-tail, cubic: kernel and kernel": (
        DROP_TAIL,
        [(KERNEL, "cubic"), (KERNEL, "cubic")],
    ),
}
NEAR = Link(loss=0.01)
BUSY_POLL = 50e-6
"""Seconds; what net.core.busy_poll's documentation recommends."""
NEAR_CELLS = {
    f"{sender}-{receiver}" + (f", busy_poll={busy_poll:g}" if busy_poll else ""): (
        (sender, receiver, busy_poll)
    )
    for sender, receiver, busy_poll in (
        (KERNEL, KERNEL, 0.0),
        (OURS, KERNEL, 0.0),
        (OURS, KERNEL, BUSY_POLL),
        (OURS, OURS, 0.0),
        (OURS, OURS, BUSY_POLL),
        (KERNEL, OURS, 0.0),
        (KERNEL, OURS, BUSY_POLL),
    )
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE")
    parser.add_argument("--seeds", type=int, default=6, help="pairs of each row")
    parser.add_argument("--lanes", type=int, default=3, help="of them at a time")
    parser.add_argument("--scale", type=float, default=1.0, help="of the seconds of each run")
    parser.add_argument("--only", choices=("paths", "shares", "near"), nargs="+")
    parser.add_argument("--controls", choices=CONTROLS, nargs="+", default=CONTROLS)
    parser.add_argument("--match", default="", help="of a path's or a share's name")
    return parser.parse_args()


# -- one run ---------------------------------------------------------------------------------------


def _rate(flow: dict[str, Any], begin: int, end: int) -> float:
    """Mb/s of payload in bins [begin, end)."""
    bins = flow["bins"][max(0, begin - flow["first"]) : max(0, end - flow["first"])]
    return float(sum(bins) * 8 / ((end - begin) * BIN / 1e9) / MBIT)


def _check(outcome: dict[str, Any]) -> None:
    """The forwarder must have been able to do what it says."""
    for direction in outcome["forwarder"].values():
        for trouble in ("refused", "oversize", "missed"):
            if direction[trouble]:
                raise RuntimeError(f"the forwarder: {direction[trouble]} frames {trouble}")


def _alone(lane: Lane, link: Link, seed: int, sender: tuple[str, str], seconds: float) -> Any:
    """Goodput, and what the sender's TCP did, of one flow."""
    outcome = lane.run(link, seed, [sender], seconds)
    _check(outcome)
    (flow,) = outcome["flows"]
    begin = flow["first"] + round(min(WARM, seconds / 4) * 1e9 / BIN)
    forth = outcome["forwarder"]["forth"]
    settled = flow["samples"][round(WARM / SAMPLE) :] or flow["samples"]
    return {
        "goodput": _rate(flow, begin, flow["first"] + round(seconds * 1e9 / BIN) - 1),
        "cwnd": statistics.mean(s[0] for s in settled),
        "srtt_ms": statistics.mean(s[1] for s in settled),
        "queue": forth["queued_mean"],
        "lost": forth["lost"],
        "dropped": forth["dropped"],
        "late_us": forth["late_mean_us"],
    } | flow["counts"]


# -- rows ------------------------------------------------------------------------------------------


class Lanes:
    """As many measurements at a time as there are lanes."""

    def __init__(self, program: Path, count: int, exits: ExitStack) -> None:
        self._free = [Lane(program, exits) for _ in range(count)]
        self._lock = threading.Lock()
        self._pool = exits.enter_context(ThreadPoolExecutor(count))

    def map(self, work: Callable[[Lane, int], Any], seeds: int) -> list[Any]:
        def one(seed: int) -> Any:
            with self._lock:
                lane = self._free.pop()
            try:
                return work(lane, seed)
            finally:
                with self._lock:
                    self._free.append(lane)

        return list(self._pool.map(one, range(1, seeds + 1)))


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def path_row(lanes: Lanes, name: str, control: str, options: argparse.Namespace) -> dict[str, Any]:
    link, seconds = PATHS[name]

    def pair(lane: Lane, seed: int) -> dict[str, Any]:
        order = STACKS if seed % 2 else STACKS[::-1]
        took = seconds * options.scale
        return {stack: _alone(lane, link, seed, (stack, control), took) for stack in order}

    pairs = lanes.map(pair, options.seeds)
    ratios = [one[OURS]["goodput"] / one[KERNEL]["goodput"] for one in pairs]
    low, high = BANDS[control]
    ratio = statistics.median(ratios)
    return {
        "path": name,
        "control": control,
        "ratio": round(ratio, 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "pairs": len(pairs),
        "seconds": seconds * options.scale,
        "within": low <= ratio <= high,
    } | {stack: _medians([one[stack] for one in pairs]) for stack in STACKS}


def share_row(lanes: Lanes, name: str, options: argparse.Namespace) -> dict[str, Any]:
    seconds = 60.0 * options.scale
    link, senders = SHARES[name]

    def once(lane: Lane, seed: int) -> tuple[float, list[float]]:
        outcome = lane.run(link, seed, senders if seed % 2 else senders[::-1], seconds)
        _check(outcome)
        begin = max(flow["first"] for flow in outcome["flows"])
        rates = [
            _rate(flow, begin, begin + round(seconds * 1e9 / BIN) - 5) for flow in outcome["flows"]
        ]
        jain = sum(rates) ** 2 / (2 * sum(rate**2 for rate in rates))
        return jain, rates if seed % 2 else rates[::-1]

    runs = lanes.map(once, max(2, options.seeds // 2))
    jains = [jain for jain, _ in runs]
    return {
        "share": name,
        "jain": round(statistics.median(jains), 4),
        "jain_min": round(min(jains), 4),
        "jain_max": round(max(jains), 4),
        "runs": len(runs),
        "seconds": seconds,
        "first": round(statistics.median(rates[0] for _, rates in runs), 2),
        "second": round(statistics.median(rates[1] for _, rates in runs), 2),
    }


def near_row(lane: Lane, options: argparse.Namespace) -> dict[str, Any]:
    """One lane, nothing beside it: here speed counts."""
    seconds = 5.0 * options.scale
    found: dict[str, list[float]] = {name: [] for name in NEAR_CELLS}
    for seed in range(1, options.seeds + 1):
        for name, (sender, receiver, busy_poll) in NEAR_CELLS.items():
            outcome = lane.run(
                NEAR, seed, [(sender, "cubic")], seconds, receiver=receiver, busy_poll=busy_poll
            )
            (flow,) = outcome["flows"]
            begin = flow["first"] + round(seconds / 4 * 1e9 / BIN)
            end = flow["first"] + round(seconds * 1e9 / BIN) - 1
            found[name].append(_rate(flow, begin, end))
    base = found[f"{KERNEL}-{KERNEL}"]
    return {
        name: {
            "mbit": round(statistics.median(rates), 1),
            "ratio": round(statistics.median(a / b for a, b in zip(rates, base, strict=True)), 3),
            "ratio_min": round(min(a / b for a, b in zip(rates, base, strict=True)), 3),
            "ratio_max": round(max(a / b for a, b in zip(rates, base, strict=True)), 3),
        }
        for name, rates in found.items()
    }


# -- the run ---------------------------------------------------------------------------------------


def _print_path(row: dict[str, Any]) -> None:
    kernel, ours = row[KERNEL], row[OURS]
    print(
        f"{row['path']:36}{row['control']:6} kernel {kernel['goodput']:6.2f} usertcp "
        f"{ours['goodput']:6.2f} ratio {row['ratio']:.2f} ({row['ratio_min']:.2f}-"
        f"{row['ratio_max']:.2f}){'' if row['within'] else ' OUTSIDE'}  cwnd {kernel['cwnd']:.0f} "
        f"{ours['cwnd']:.0f}  rto {kernel['timeouts']:g} {ours['timeouts']:g}  episodes "
        f"{kernel['recoveries']:g} {ours['recoveries']:g}  resent {kernel['retransmits']:g} "
        f"{ours['retransmits']:g}  needless {kernel['needless']:g} {ours['needless']:g}",
        flush=True,
    )


def _print_share(row: dict[str, Any]) -> None:
    print(
        f"{row['share']:36}Jain {row['jain']:.3f} ({row['jain_min']:.3f}-{row['jain_max']:.3f})  "
        f"{row['first']} and {row['second']} Mb/s",
        flush=True,
    )


def _print_near(rows: dict[str, Any]) -> None:
    for name, row in rows.items():
        print(
            f"near, 1 % lost: {name:36}{row['mbit']:8.1f} Mb/s  ratio {row['ratio']:.2f} "
            f"({row['ratio_min']:.2f}-{row['ratio_max']:.2f})"
        )


def _merged(rows: list[Any], old: list[Any], order: list[tuple[str, ...]]) -> list[Any]:
    """Of each place in `order` the new row, else the old one."""

    def place(row: dict[str, Any]) -> tuple[str, ...]:
        return (row["path"], row["control"]) if "path" in row else (row["share"],)

    found = {place(row): row for row in [*old, *rows]}
    return [found[one] for one in order if one in found]


def main() -> int:
    options = _arguments()
    wanted = options.only or ("paths", "shares", "near")
    facts = machine.facts()
    netns.enter_private_namespace()
    document: dict[str, Any] = {"machine": facts, "paths": [], "shares": [], "near": {}}
    old = dict(document)
    if options.json and options.json.exists():
        old |= json.loads(options.json.read_text())
    document["near"] = old["near"]
    with tempfile.TemporaryDirectory() as directory, ExitStack() as exits:
        program = build(directory)
        lanes = Lanes(program, options.lanes, exits)
        if "paths" in wanted:
            for name in PATHS:
                for control in options.controls if options.match in name else ():
                    document["paths"].append(path_row(lanes, name, control, options))
                    _print_path(document["paths"][-1])
        if "shares" in wanted:
            for name in SHARES:
                if options.match in name:
                    document["shares"].append(share_row(lanes, name, options))
                    _print_share(document["shares"][-1])
        if "near" in wanted:
            document["near"] = near_row(Lane(program, exits), options)
            _print_near(document["near"])
    failed = [row for row in document["paths"] if not row["within"]]
    failed += [row for row in document["shares"] if row["jain"] < LEAST_JAIN]
    if options.json:
        places = [(name, control) for name in PATHS for control in CONTROLS]
        document["paths"] = _merged(document["paths"], old["paths"], places)
        document["shares"] = _merged(document["shares"], old["shares"], [(n,) for n in SHARES])
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
