"""Reading the RFC's figures: text to steps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from usertcp._info import State
from usertcp.testing.notation import Pattern

STATES = {str(state) for state in State}
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}

_STATE = r"(?:[A-Z][A-Z0-9-]*[A-Z0-9]|\([^)]*\))"
_ARROW = r"-->|<--|--x|x--|\.\.\."
_SEGMENT = re.compile(
    rf"^(?P<left>{_STATE})?\s*(?P<first>{_ARROW})\s+(?P<segment>\S.*?)"
    rf"(?:\s+(?P<second>{_ARROW})\s*(?P<right>{_STATE})?)?$"
)
_STATES = re.compile(rf"^(?P<left>{_STATE})(?:\s+(?P<right>{_STATE}))?$")
_WAIT = re.compile(r"^\.\.\.\s*(?:(?P<amount>[\d.]+)\s*(?P<unit>RTO|MSL|ns|us|ms|s|min))?$")
_CALL = re.compile(r"^[ab]\.")

# (first, second) arrow: who sends (None: nobody, it was in flight), what becomes of the segment
_MEANING = {
    ("-->", "-->"): ("a", "arrives"),
    ("-->", "..."): ("a", "stays"),
    ("--x", None): ("a", "lost"),
    ("--x", "..."): ("a", "lost"),
    ("-->", "--x"): ("a", "lost"),
    ("...", "-->"): (None, "arrives at b"),
    ("<--", "<--"): ("b", "arrives"),
    ("...", "<--"): ("b", "stays"),
    ("x--", "<--"): ("b", "lost"),
    ("<--", "..."): (None, "arrives at a"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line. `kind`: states, segment, wait, call."""

    kind: str
    number: int
    text: str
    left: str | None = None
    right: str | None = None
    pattern: Pattern | None = None
    sender: str | None = None
    fate: str = ""
    amount: float = 0.0
    unit: str = ""
    calls: tuple[str, ...] = ()


def parse(text: str) -> list[Step]:
    """The steps of a figure; ValueError names the line that cannot be read."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"^\s*\d+\.(?=\s|$)", "", line.split("#", 1)[0]).strip()
        if bare:
            steps.append(_line(number, bare))
    return steps


def _line(number: int, text: str) -> Step:
    if _CALL.match(text):
        return Step("call", number, text, calls=tuple(re.split(r"\s{2,}(?=[ab]\.)", text)))
    if found := _WAIT.match(text):
        amount = float(found["amount"] or 0)
        return Step("wait", number, text, amount=amount, unit=found["unit"] or "")
    if found := _STATES.match(text):
        left, right = _state(found["left"]), _state(found["right"])
        return Step("states", number, text, left=left, right=right)
    found = _SEGMENT.match(text)
    if found is None:
        raise ValueError(f"line {number} of the figure cannot be read: {text!r}")
    try:
        sender, fate = _MEANING[found["first"], found["second"]]
    except KeyError:
        arrows = f"{found['first']} and {found['second']}"
        raise ValueError(f"line {number}: arrows {arrows} do not go together") from None
    return Step(
        "segment", number, text, left=_state(found["left"]), right=_state(found["right"]),
        pattern=Pattern.parse(found["segment"]), sender=sender, fate=fate,
    )  # fmt: skip


def _state(text: str | None) -> str | None:
    """None for what is not to be checked: nothing, or a comment in parentheses."""
    if text is None or text.startswith("("):
        return None
    if text not in STATES:
        raise ValueError(f"{text!r} is no TCP state")
    return text
