"""Which way through AF_PACKET is fastest: recvmmsg or a receive ring, sendmmsg or a transmit ring.

    python benchmarks/links/packet_paths.py [--seconds 1] [--repeat 3] [--json FILE]

Makes a private network of two namespaces and a veth pair, compiles packet_paths.c, pins the sender
and the receiver to a core each and prints medians as a Markdown table. The chosen way and its
numbers stand in docs/design/links.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from usertcp import netns

RECEIVERS = ["mmsg:4", "mmsg:8", "mmsg:16", "mmsg:32", "mmsg:64", "ring:32", "ring:128", "ring:256"]
SENDERS = ["mmsg:4", "mmsg:16", "mmsg:32", "mmsg:64", "ring:32", "ring:128"]
PAIRS = [
    *(("receive", "mmsg:8", way) for way in RECEIVERS),
    *(("send", way, "mmsg:8") for way in SENDERS),
]
SIZES = {"64 000 B super-segments": 64000, "1448 B frames": 1448}
COLUMNS = ["varied", "sender", "receiver", "sent Gb/s", "received Gb/s", "M frames/s", "dropped"]
COLUMNS += ["sender ms/GB", "receiver ms/GB"]  # processor time: what a busy machine blurs least


class Bench:
    def __init__(self, directory: str, there: netns.Namespace, seconds: float) -> None:
        self.program = f"{directory}/packet_paths"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["gcc", "-O2", "-o", self.program, str(source)], check=True)
        self.there, self.seconds = there, seconds
        self.mac = there.run(netns.device_mac, "v1")

    def command(self, core: int, side: str, way: str, seconds: float) -> list[str]:
        core = min(core, (os.cpu_count() or 1) - 1)
        device = "v0" if side == "send" else "v1"
        pin = ["taskset", "-c", str(core)]
        return [*pin, self.program, side, way, device, self.mac, str(seconds)]

    def run(self, sender: str, receiver: str, size: int) -> tuple[dict[str, Any], dict[str, Any]]:
        take = self.command(1, "recv", receiver, self.seconds + 0.2)
        give = [*self.command(0, "send", sender, self.seconds), str(size)]
        taker = self.there.popen(take, stdout=subprocess.PIPE, text=True)
        sent = subprocess.run(give, stdout=subprocess.PIPE, text=True, check=True)
        received, _ = taker.communicate()
        return json.loads(sent.stdout), json.loads(received)

    def measure(self, size: int, repeat: int) -> list[dict[str, Any]]:
        """Medians; the ways take turns, so that the machine's moods fall on all of them."""
        turns = [[self.run(*pair[1:], size) for pair in PAIRS] for _ in range(repeat)]
        rows = []
        for i, (varied, sender, receiver) in enumerate(PAIRS):
            sent = [turn[i][0] for turn in turns]
            received = [turn[i][1] for turn in turns]
            median = statistics.median
            rows.append(
                {
                    "size": size,
                    "varied": varied,
                    "sender": sender,
                    "receiver": receiver,
                    "sent": median(run["gbps"] for run in sent),
                    "received": median(run["gbps"] for run in received),
                    "mframes": median(run["mframes"] for run in received),
                    "dropped": median(
                        run["dropped"] / max(1, other["frames"])
                        for run, other in zip(received, sent, strict=True)
                    ),
                    "sender_ms": median(run["cpu_s"] / run["bytes"] * 1e12 for run in sent),
                    "receiver_ms": median(run["cpu_s"] / run["bytes"] * 1e12 for run in received),
                }
            )
        return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = [row["varied"], row["sender"], row["receiver"], f"{row['sent']:.1f}"]
        cells += [f"{row['received']:.1f}", f"{row['mframes']:.3f}", f"{row['dropped']:.1%}"]
        cells += [f"{row['sender_ms']:.0f}", f"{row['receiver_ms']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    netns.enter_private_namespace()
    netns.veth_pair("v0", "v1")
    rows = []
    with netns.second_namespace() as there, tempfile.TemporaryDirectory() as directory:
        there.take("v1")
        netns.quiet("v0")
        there.run(netns.quiet, "v1")
        there.run(netns.link_up, "v1")
        netns.link_up("v0")
        bench = Bench(directory, there, options.seconds)
        for label, size in SIZES.items():
            found = bench.measure(size, options.repeat)
            rows += found
            print(f"\n{label}\n\n{table(found)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
