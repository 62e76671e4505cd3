"""Whole worlds from seeds: whatever networks, hosts, programs and intruders do.

What comes out is a prefix of what went in, and all of it after a clean close; windows are kept;
timers have their reasons; nothing is left; and when faults stop it ends within a bound
(`World.bound`).
SEEDS=n runs n of them; `make sim` runs many, and shrinks those that fail.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from support.csource import ROOT
from support.transfer import Program, Transfer
from support.world.explore import Worker, shrink
from support.world.world import World
from usertcp.testing import SECOND, Impairment, Simulator

SANITIZED = "ASAN_OPTIONS" in os.environ
SEEDS = int(os.environ.get("SEEDS", "20" if SANITIZED else "200"))
BATCH = 10


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """With the engine's checks on, apart from this process."""
    worker = Worker()
    yield worker
    worker.close()


@pytest.mark.rfc(
    "9293-EV-21", "9293-SHLD-14", "5681-01", "9293-MUST-2", "9293-MUST-3", "SEC-02", "7323-07",
    "9293-EV-17", "8961-04",
)  # fmt: skip
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_worlds(worker: Worker, first: int):
    for seed in range(first, min(first + BATCH, SEEDS)):
        found = worker.run(seed)
        assert found["error"] is None, f"make sim SEED={seed}: {found['error']}"


@pytest.mark.parametrize("seed", [3, 33, 66])
def test_a_seed_decides_everything(worker: Worker, seed: int):
    """Each packet and its time; in another process, and with or without its trace."""
    digests = {worker.run(seed)["digest"], worker.run(seed)["digest"]}
    another = Worker("--trace")
    digests.add(another.run(seed)["digest"])
    another.close()
    assert len(digests) == 1


def test_what_is_left_out_changes_nothing_else():
    """Else a failing world could not shrink."""
    for seed in range(20):
        whole = World(seed)
        names = whole.draws.present
        for name in names:
            less = World(seed, frozenset([name])).draws.present
            assert set(less) <= set(names) - {name}, name


class Blamed:
    """In a worker's place: worlds in which changed text is not excused."""

    def run(self, seed: int, without: Any = ()) -> dict[str, Any]:
        world = World(seed, frozenset(without))
        world.changed = False
        for flow in world.flows:
            flow.prefix = True
        found: dict[str, Any] = {"seed": seed, "present": world.draws.present, "error": None}
        try:
            world.run()
        except AssertionError as exc:
            found["error"] = str(exc)
        return found


def test_a_failing_world_shrinks_to_what_it_takes():
    blamed: Any = Blamed()
    seeds = (seed for seed in range(3000) if "a>b payload" in World(seed).draws.present)
    found = next(found for seed in seeds if (found := blamed.run(seed))["error"])
    assert "no prefix" in found["error"]
    least = blamed.run(found["seed"], shrink(dict(found), blamed))
    assert "no prefix" in least["error"]
    assert "a>b payload" in least["present"]
    assert len(least["present"]) <= 4


def test_a_process_that_ends_is_a_failure():
    worker = Worker()
    seed: Any = "no number"
    assert "ValueError" in worker.run(seed)["error"]
    assert worker.run(0)["error"] is None  # by a new one
    worker.close()


def test_the_command_tells_what_it_ran():
    command = [sys.executable, str(ROOT / "tools/simulate.py"), "--seeds", "3", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 of 3 seeds, 0 failed")


def test_every_kind_of_thing_is_drawn_now_and_then():
    drawn = {name for seed in range(400) for name in World(seed).draws.present}
    kinds = (
        "loss", "burst", "duplicate", "reorder", "jitter", "mark", "mark_above", "corrupt",
        "partition", "mtu", "stall", "memory", "window", "replay", "split", "merge", "payload",
        "strip", "strip cookie", "late syn", "key", "fast open", "waits",
        "aborts", "closes", "slow", "idle", "late", "restless", "polite", "isn", "wrap",
    )  # fmt: skip
    missing = [kind for kind in kinds if not any(name.endswith(kind) for name in drawn)]
    assert not missing
    assert drawn >= {"clock", "off-path", "third stack", "cookies", "ipv6", "flow 1", "flow 2"}


@pytest.mark.rfc("7413-10", "7413-11")
def test_data_comes_with_syns_and_now_and_then_twice(worker: Worker):
    """Else what holds of them would hold of nothing."""
    seeds = [seed for seed in range(400) if has_fast_open(World(seed))]
    early = repeats = 0
    for seed in seeds:
        found = worker.run(seed)
        assert found["error"] is None, f"make sim SEED={seed}: {found['error']}"
        early += found["early"]
        repeats += found["repeats"]
        if early >= 10 and repeats:
            return
    pytest.fail(f"{early} connections in {len(seeds)} worlds, {repeats} repeated")


def has_fast_open(world: World) -> bool:
    """Where a SYN with data may come again after its connection."""
    return any(flow.fast_open and flow.may_repeat for flow in world.flows)


def test_many_connections_leave_no_memory_behind():
    """The pools of the first round serve all others."""
    sim = Simulator(5)
    a, b = (sim.host(f"10.0.0.{n}/24", msl=0.5, rcv_buffer=65536, snd_buffer=65536) for n in (1, 2))
    sim.join(a, b, Impairment(delay=0.01, loss=0.05, duplicate=0.05, reorder=0.1))
    rng = random.Random(5)
    memory = []
    with sim:
        listener = None
        for _ in range(6):
            client = Program(a, random.Random(rng.random()), rng.randbytes(20_000))
            server = Program(b, random.Random(rng.random()), rng.randbytes(20_000))
            if listener is not None:
                listener.close()
            transfer = Transfer(sim, client, server)
            assert transfer.run(sim.now + 600 * SECOND)
            listener = transfer.listener
            memory.append((a.engine.memory, b.engine.memory))
    assert len(set(memory[1:])) == 1
