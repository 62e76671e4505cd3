"""The forwarder of benchmarks/paths.py loses what it says, whoever sends."""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from support.csource import ROOT
from support.netns import in_namespace


@in_namespace
def test_the_same_segments_are_lost_of_both():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from bottleneck.lane import KERNEL, STACKS, Lane, Link, build

    link = Link(rate=20e6, rtt=0.01, queue=1 << 20, loss=0.02)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as exits:
        lane = Lane(build(directory), exits)
        outcomes = [lane.run(link, 7, [(stack, "reno")], 1.0) for stack in STACKS]
        again = lane.run(link, 7, [(KERNEL, "reno")], 1.0)
        assert not list(Path(directory).glob("*.pcapng"))
    for outcome in (*outcomes, again):
        forth, back = outcome["forwarder"]["forth"], outcome["forwarder"]["back"]
        (flow,) = outcome["flows"]
        assert forth["segments"] > 150
        assert forth["first_lost"] == outcomes[0]["forwarder"]["forth"]["first_lost"]
        assert forth["lost"] > 0 == back["lost"]
        assert flow["counts"]["retransmits"] >= forth["lost"] - 2  # the last may still be out
        assert sum(flow["bins"]) > 150_000
