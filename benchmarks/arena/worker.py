"""One pinned process of the comparison: a client or a server, on kernel TCP or on usertcp.

    python -m arena.worker SPEC     SPEC: JSON, see Spec

Reads one job per line from standard input and answers each with one line of JSON. Every job gets a
fresh event loop and, on usertcp, a fresh stack. Between jobs the process sleeps in read(2), so the
side that is not measured takes no part.
"""

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any

import anyio

from arena.programs import Job, Outcome
from arena.surfaces import run_options, set_up


@dataclass(frozen=True, slots=True)
class Spec:
    """`link` is empty for kernel TCP; `address` (ADDR/LEN) is then the interface's."""

    role: str
    surface: str
    loop: str
    cpu: int
    link: str
    address: str


def _read_line() -> bytes:
    """Straight from the descriptor: a buffered reader would hide a line from `wait_readable`."""
    os.set_blocking(0, True)  # uvloop leaves what it watched non-blocking
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _run(spec: Spec, job: Job) -> Outcome | None:
    async with set_up(spec.surface, spec.link, spec.address) as program:
        with anyio.fail_after(job.limit):
            if spec.role == "client":
                return await program.measure(job)
            async with program.serving(job):
                _say({"ready": True})
                await anyio.wait_readable(0)
            return None


def main() -> None:
    # The coordinator's end, however it comes, is the end of standard input, and so of this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = Spec(**json.loads(sys.argv[1]))
    os.sched_setaffinity(0, {spec.cpu})
    _say({"started": True})
    while line := _read_line():
        job = Job(**json.loads(line))
        try:
            options = run_options(spec.surface, spec.loop, spec.link)
            outcome = anyio.run(_run, spec, job, **options)
        except Exception as error:  # told to the coordinator, which decides
            _say({"error": f"{type(error).__name__}: {error}"})
            continue
        if outcome is None:
            _read_line()
            _say({"stopped": True})
        else:
            _say(asdict(outcome))


if __name__ == "__main__":
    main()
