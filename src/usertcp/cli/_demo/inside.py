"""The demo's child process: alone with one thread, so it may enter a namespace; then runs it all.

    python -m usertcp.cli._demo.inside SPEC      SPEC: JSON, see run.Spec

Tells what happens as lines of JSON on the descriptor that SPEC names. Ends with NO_NAMESPACE when a
private network cannot be had; the parent then asks for the run in memory.
"""

import ctypes
import json
import os
import signal
import sys
from contextlib import ExitStack
from typing import Any

import anyio

from usertcp import netns
from usertcp.cli._demo import memory, veth
from usertcp.cli._demo.run import NO_NAMESPACE, Run, Spec

_PR_SET_PDEATHSIG = 1


def main() -> int:
    # Should the parent be killed, it cannot clean up: then this process goes too, and the peers,
    # whose standard input ends with it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    spec = Spec(**json.loads(sys.argv[1]))
    with os.fdopen(spec.events, "w", buffering=1) as pipe, ExitStack() as exits:

        def emit(event: dict[str, Any]) -> None:
            pipe.write(json.dumps(event) + "\n")

        run = Run(spec, emit)
        the: veth.Scene | None = None
        if not spec.memory:
            try:
                netns.enter_private_namespace()
                the = exits.enter_context(veth.scene())
            except Exception as error:  # netlink's errors are of many kinds
                emit({"event": "no namespace", "why": f"{error}"})
                return NO_NAMESPACE
        mode = "memory" if the is None else "veth"
        emit({"event": "mode", "mode": mode, "note": spec.why_memory})

        async def play() -> None:
            if the is None:
                await memory.play(run)
            else:
                await veth.play(run, the)

        options = {"use_uvloop": True} if spec.uvloop else {}
        try:
            anyio.run(play, backend=spec.backend, backend_options=options)
        except OSError as error:  # a stack that cannot be opened says why, and what mends it
            name = "the stacks can be opened"
            emit({"event": "check", "name": name, "ok": False, "detail": str(error)})
        emit({"event": "finished"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
