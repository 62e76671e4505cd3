"""One process that runs worlds: seeds in on its standard input, a line of JSON out for each.

A line in is `SEED NAME;NAME...`: the seed, and what is left out of its world; or -1 - SEED to
be told what there is in it. With the test build of
the engine (`usertcp._whitebox`: costly checks, and what fails allocations) in the engine's place
where there is one: a failed check ends the process, which its parent notes against the seed.
"""

import importlib.machinery
import importlib.util
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any


def use_test_build() -> bool:
    """Before anything of usertcp is imported."""
    package = importlib.machinery.PathFinder.find_spec("usertcp", sys.path)
    for folder in (package and package.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("_whitebox*.so")):
            spec = importlib.util.spec_from_file_location("usertcp._whitebox", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules["usertcp._core"] = sys.modules["usertcp._whitebox"] = module
            return True
    return False


def result_of(seed: int, without: frozenset[str], *, tracing: bool = False) -> dict[str, Any]:
    """What came of it: `error` is None, or what does not hold."""
    from support.world.world import World  # the engine is chosen first

    began = time.perf_counter()
    found: dict[str, Any] = {"seed": seed, "without": sorted(without), "error": None}
    if seed < 0:  # only what would be there
        return found | {"present": World(-1 - seed, without).draws.present}
    world = World(seed, without)
    world.sim.tracing = tracing
    try:
        result = world.run()
        found |= asdict(result)
    except Exception as exc:
        found["error"] = f"{type(exc).__name__}: {exc}"
        found["trace"] = str(world.sim.trace)
    found["present"] = world.draws.present
    found["seconds"] = time.perf_counter() - began
    return found


def main() -> None:
    use_test_build()
    tracing = "--trace" in sys.argv
    for line in sys.stdin:
        seed, _, names = line.strip().partition(" ")
        without = frozenset(filter(None, names.split(";")))
        print(json.dumps(result_of(int(seed), without, tracing=tracing)), flush=True)


if __name__ == "__main__":
    main()
