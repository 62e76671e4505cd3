"""Many worlds, each in a worker process: which fail, and how little of them is enough for that."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

TESTS = Path(__file__).resolve().parents[2]
PATIENCE = 300.0  # seconds for one world, most of which take less than one


class Worker:
    """A process that is started anew when a world has ended it."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def run(self, seed: int, without: Iterable[str] = ()) -> dict[str, Any]:
        """As worker.result_of; a process that dies or hangs is an error, too."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            process.stdin.write(f"{seed} {';'.join(without)}\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        said = self._end()
        return {"seed": seed, "error": f"the process ended: {said}", "present": [], "trace": ""}

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "support.world.worker", *self._options]
        pipe = subprocess.PIPE
        paths = [str(TESTS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        return self._process

    def _end(self) -> str:
        process, self._process = self._process, None
        if process is None:
            return ""
        _, said = process.communicate()
        lines = said.strip().splitlines() or [f"exit code {process.returncode}"]
        return "\n".join(lines[-20:])

    def close(self) -> None:
        self._end()


def explore(seeds: Iterable[int], jobs: int, told: Callable[[dict[str, Any]], bool]) -> None:
    """Runs them all in `jobs` processes; `told` has each result, and says whether to go on."""
    queue: SimpleQueue[int] = SimpleQueue()
    for seed in seeds:
        queue.put(seed)
    lock, stop = threading.Lock(), threading.Event()

    def work() -> None:
        worker = Worker()
        try:
            while not stop.is_set():
                found = worker.run(queue.get_nowait())
                with lock:
                    if not stop.is_set() and not told(found):
                        stop.set()
        except Empty:
            pass
        finally:
            worker.close()

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def kind_of(error: str) -> str:
    """What two failures have in common that are the same: the first line, without its numbers."""
    return re.sub(r"\d+", "#", error.splitlines()[0])[:80]


def kind_of_death(error: str) -> str:
    """The same of a process that ended: the failed assertion is in its last words."""
    asserted = re.search(r"\S+\.[ch]:\d+.*", error)
    return kind_of(asserted[0] if asserted else error)


def shrink(
    found: dict[str, Any], worker: Worker, told: Callable[[str], None] = lambda _: None
) -> list[str]:
    """What can be left out of a failing world, which then still fails in the same way."""
    wanted = kind_of_death(found["error"])
    without: list[str] = list(found.get("without", ()))
    names = [*found["present"]] or _names_of(found["seed"], worker)
    size = max(len(names) // 2, 1)
    while True:
        at, before = 0, len(without)
        while at < len(names):
            less = names[at : at + size]
            again = worker.run(found["seed"], [*without, *less])
            if again["error"] is not None and kind_of_death(again["error"]) == wanted:
                without += less
                del names[at : at + size]
                told(f"without {', '.join(less)}: the same")
            else:
                at += size
        if size == 1 and len(without) == before:
            return without
        size = max(size // 2, 1)


def _names_of(seed: int, worker: Worker) -> list[str]:
    """Of a world that ends its process."""
    asked = worker.run(-1 - seed)
    names: list[str] = asked["present"]
    return names
