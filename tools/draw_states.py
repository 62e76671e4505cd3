"""Draws docs/design/tcp-state.md from csrc/tcp/states.def: the table the engine asserts against.

draw_states.py           writes the page
draw_states.py --check   says whether it is current (tests/tcp/test_states.py does this too)
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "csrc/tcp/states.def"
PAGE = ROOT / "docs/design/tcp-state.md"

_STATE = re.compile(r"^STATE\((\w+), \"(.+)\"\)$", re.MULTILINE)
_TRANSITION = re.compile(r"^TRANSITION\((\w+), (\w+), \"(.+)\"\)$", re.MULTILINE)

# Ends that may come in every state are drawn as one note, so that the figure stays a figure.
_ENDS = "RST, time-out"


class Transition(NamedTuple):
    before: str
    after: str
    because: str


def states() -> list[tuple[str, str]]:
    """(name, text) of each state, in the numbers' order."""
    return _STATE.findall(SOURCE.read_text())


def transitions() -> list[Transition]:
    return [Transition(*found) for found in _TRANSITION.findall(SOURCE.read_text())]


def diagram() -> str:
    """Mermaid, without the transitions to CLOSED that every state has."""
    names = dict(states())
    lines = ["stateDiagram-v2", "    direction TB", "    [*] --> CLOSED"]
    lines += [f'    state "{text}" as {name}' for name, text in names.items() if name != text]
    for one in transitions():
        if one.after == "CLOSED" and one.because.startswith(_ENDS):
            continue
        lines.append(f"    {one.before} --> {one.after}: {one.because.replace(':', ' -')}")
    return "\n".join(lines)


def table() -> str:
    names = dict(states())
    lines = ["| from | to | because |", "|---|---|---|"]
    lines += [f"| {names[a]} | {names[b]} | {why} |" for a, b, why in transitions()]
    return "\n".join(lines)


def page() -> str:
    count = len(transitions())
    return f"""# The states of a connection

Made by `tools/draw_states.py` from `csrc/tcp/states.def`; do not edit. The engine's `tcp_set_state`
is the only place where a state changes; it asserts every change against the same list, in release
builds too, and the tests read it from there as well.

```mermaid
{diagram()}
```

Not drawn: from every state but LISTEN and TIME-WAIT a reset, a time-out or an abort leads to
CLOSED.

RFC 9293 3.3.2, figure 5, with the changes of 3.10 that the figure leaves out. Three states are held
more compactly than the others, without a control block: LISTEN (`stack/listen.c`), SYN-RECEIVED of
a passive open (`tcp/half.c`, at most 96 bytes) and TIME-WAIT (`tcp/time_wait.c`, at most 64 bytes).
Their owners trace the transitions of these under the same names.

## All {count} transitions

{table()}

## What a segment does in each state

`tests/tcp/test_events.py` is one table of (state, segment) to (state, reply, drop reason) for all
eleven states, each reached by real segments. `tests/tcp/figures/` has the RFC's figures as
exchanges between two stacks.
"""


def main() -> int:
    if "--check" in sys.argv[1:]:
        if PAGE.read_text() == page():
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not what tools/draw_states.py makes", file=sys.stderr)
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
