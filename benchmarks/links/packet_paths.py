"""Which way through AF_PACKET is fastest: recvmmsg or a receive ring, sendmmsg or a transmit ring.

    python benchmarks/links/packet_paths.py [--seconds 1.5] [--repeat 3] [--json FILE]

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

from usertcp import netns

RECEIVERS = ["mmsg:4", "mmsg:8", "mmsg:16", "mmsg:32", "mmsg:64", "ring:32", "ring:128", "ring:256"]
SENDERS = ["mmsg:4", "mmsg:8", "mmsg:16", "mmsg:32", "mmsg:64", "ring:32", "ring:128"]
SIZES = {"64 000 B super-segments": 64000, "1448 B frames": 1448}


def build(directory: str) -> str:
    program = f"{directory}/packet_paths"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["gcc", "-O2", "-o", program, str(source)], check=True)
    return program


def pinned(core: int, command: list[str]) -> list[str]:
    core = min(core, (os.cpu_count() or 1) - 1)
    return ["taskset", "-c", str(core), *command]


def one_run(program: str, there: netns.Namespace, mac: str, sender: str, receiver: str,
            size: int, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    receive = [program, "recv", receiver, "v1", mac, str(seconds + 0.2)]
    send = [program, "send", sender, "v0", mac, str(seconds), str(size)]
    taker = there.popen(pinned(1, receive), stdout=subprocess.PIPE, text=True)
    sent = subprocess.run(pinned(0, send), stdout=subprocess.PIPE, text=True, check=True)
    received, _ = taker.communicate()
    return json.loads(sent.stdout), json.loads(received)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    netns.enter_private_namespace()
    netns.veth_pair("v0", "v1")
    netns.quiet("v0")
    netns.quiet("v1")
    pairs = [("receive", "mmsg:8", way) for way in RECEIVERS]
    pairs += [("send", way, "mmsg:8") for way in SENDERS if way != "mmsg:8"]
    rows = []
    with netns.second_namespace() as there, tempfile.TemporaryDirectory() as directory:
        program = build(directory)
        mac = netns.device_mac("v1")
        there.take("v1")
        there.run(netns.quiet, "v1")
        there.run(netns.link_up, "v1")
        netns.link_up("v0")
        for label, size in SIZES.items():
            samples: dict[tuple[str, str, str], list[tuple[dict[str, float], dict[str, float]]]] = {}
            for _ in range(options.repeat):
                for pair in pairs:
                    result = one_run(program, there, mac, pair[1], pair[2], size, options.seconds)
                    samples.setdefault(pair, []).append(result)
            print(f"\n{label}\n\n| varied | sender | receiver | sent Gb/s | received Gb/s | M frames/s "
                  "received | dropped | receiver's core |\n|---|---|---|---|---|---|---|---|")
            for (varied, sender, receiver), runs in samples.items():
                def median(side: int, key: str, runs: list = runs) -> float:
                    return statistics.median(run[side][key] for run in runs)

                row = {"size": size, "varied": varied, "sender": sender, "receiver": receiver,
                       "sent": median(0, "gbps"), "received": median(1, "gbps"),
                       "mframes": median(1, "mframes"),
                       "dropped": median(1, "dropped") / max(1, median(0, "frames")),
                       "cpu": median(1, "cpu")}
                rows.append(row)
                print(f"| {varied} | {sender} | {receiver} | {row['sent']:.1f} | "
                      f"{row['received']:.1f} | {row['mframes']:.3f} | {row['dropped']:.1%} | "
                      f"{row['cpu']:.0%} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
