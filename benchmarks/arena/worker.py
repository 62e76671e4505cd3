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
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

import anyio

from arena.programs import CLIENTS, Job, Outcome, serving


@dataclass(frozen=True, slots=True)
class Spec:
    """`link` is empty for kernel TCP; `address` (ADDR/LEN) is then the interface's."""

    role: str
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
    async with AsyncExitStack() as exits:
        net: Any = anyio
        if spec.link:
            import usertcp as net

            await exits.enter_async_context(net.open_stack(spec.link, addresses=[spec.address]))
        with anyio.fail_after(job.limit):
            if spec.role == "client":
                return await CLIENTS[job.workload](net, job)
            async with serving(net, job):
                _say({"ready": True})
                await anyio.wait_readable(0)
            return None


def main() -> None:
    # The coordinator's end, however it comes, is the end of standard input, and so of this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = Spec(**json.loads(sys.argv[1]))
    os.sched_setaffinity(0, {spec.cpu})
    backend = "trio" if spec.loop == "trio" else "asyncio"
    options = {"use_uvloop": True} if spec.loop == "uvloop" else {}
    _say({"started": True})
    while line := _read_line():
        job = Job(**json.loads(line))
        try:
            outcome = anyio.run(_run, spec, job, backend=backend, backend_options=options)
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
