"""Segments and whole exchanges as text, in the notation of the RFC's figures.

    SYN-SENT     --> seq=100 SYN              --> SYN-RECEIVED
    ESTABLISHED  <-- seq=300 ack=101 SYN,ACK  <-- SYN-RECEIVED

`describe` writes a segment; `Pattern` reads one and says how another differs; `Trace` collects
what happened, for the message of a failing test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from usertcp.testing.packets import ACK, URG, Options, Segment, flags_text, parse_flags

_FIELD = re.compile(r"(\w+)=(\[[^\]]*\]|\S+)")
_NAME = re.compile(r"([a-z])(?:\+(\d+))?$")


def relative(value: int, base: int) -> int:
    """`value` - `base` modulo 2^32, as a small number of either sign."""
    return (value - base + 2**31) % 2**32 - 2**31


def describe(segment: Segment, seq_base: int = 0, ack_base: int = 0, *, window: bool = True) -> str:
    """One line: 'seq=1 ack=1 len=5 PSH,ACK win=65535 <mss 1460>'."""
    parts = [f"seq={_shown(segment.seq, seq_base)}"]
    if segment.flags & ACK:
        parts.append(f"ack={_shown(segment.ack, ack_base)}")
    if segment.payload:
        parts.append(f"len={len(segment.payload)}")
    parts.append(flags_text(segment.flags))
    if window:
        parts.append(f"win={segment.window}")
    if segment.flags & URG:
        parts.append(f"urp={segment.urgent}")
    notes = _option_notes(segment.options, ack_base)
    if notes:
        parts.append(f"<{','.join(notes)}>")
    return " ".join(parts)


def _option_notes(options: Options, ack_base: int) -> list[str]:
    notes = []
    if options.mss is not None:
        notes.append(f"mss {options.mss}")
    if options.sack_permitted:
        notes.append("sackOK")
    if options.timestamps is not None:
        notes.append("ts {}:{}".format(*options.timestamps))
    if options.wscale is not None:
        notes.append(f"wscale {options.wscale}")
    if options.cookie is not None:
        notes.append(f"FO {options.cookie.hex()}" if options.cookie else "FO")
    if options.sack:
        blocks = ((_shown(a, ack_base), _shown(b, ack_base)) for a, b in options.sack)
        notes.append("sack " + " ".join(f"{a}:{b}" for a, b in blocks))
    if options.extra:
        notes.append(f"option {options.extra.hex()}")
    return notes


def _shown(value: int, base: int) -> int:
    return relative(value, base) if base else value


def parse_blocks(text: str) -> tuple[tuple[int, int], ...]:
    """'[4:7 9:12]' as pairs."""
    pairs = (item.split(":") for item in text.strip("[]").replace(",", " ").split())
    return tuple((int(left), int(right)) for left, right in pairs)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a segment of a figure must be. Fields not written are not looked at, but for length
    (0 unless written), the flags (exactly those written) and the ACK number (none unless written).
    A number may be a letter, as in `seq=y` and later `ack=y+1`, or `*`.
    """

    flags: int
    seq: int | None = None
    ack: int | None = None
    length: int = 0
    window: int | None = None
    mss: int | None = None
    wscale: int | None = None
    urgent: int | None = None
    sack: tuple[tuple[int, int], ...] | None = None
    names: tuple[tuple[str, str, int], ...] = ()  # field, letter, what is added to it
    text: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        fields = {name.lower(): value for name, value in _FIELD.findall(text)}
        words = _FIELD.sub(" ", text).split()
        flags = 0
        for word in words:
            try:
                flags |= parse_flags(word)
            except KeyError:
                raise ValueError(f"{word!r} in {text!r} is no control bit") from None
        names = {"len": "length", "win": "window", "urp": "urgent"}
        values: dict[str, int] = {}
        letters: list[tuple[str, str, int]] = []
        blocks = parse_blocks(fields.pop("sack")) if "sack" in fields else None
        for name, value in fields.items():
            key = names.get(name, name)
            if key not in {"seq", "ack", "length", "window", "mss", "wscale", "urgent"}:
                raise ValueError(f"{name!r} in {text!r} is no field of a segment")
            if letter := _NAME.match(value):
                letters.append((key, letter[1], int(letter[2] or 0)))
            elif value != "*":
                values[key] = int(value)
        if flags & ACK and "ack" not in fields:
            raise ValueError(f"{text!r} has ACK but no ack=")
        return cls(flags=flags, sack=blocks, names=tuple(letters), text=text.strip(), **values)

    def differences(self, segment: Segment, known: dict[str, int] | None = None) -> list[str]:
        """What is not as written; empty when all is. Letters not yet `known` become it."""
        seen = {
            "seq": segment.seq,
            "ack": segment.ack if segment.flags & ACK else None,
            "window": segment.window,
            "mss": segment.options.mss,
            "wscale": segment.options.wscale,
            "urgent": segment.urgent,
            "sack": segment.options.sack,
        }
        wrong = []
        if segment.flags != self.flags:
            wrong.append(f"flags {flags_text(segment.flags)}, not {flags_text(self.flags)}")
        if len(segment.payload) != self.length:
            wrong.append(f"len {len(segment.payload)}, not {self.length}")
        for name, value in seen.items():
            expected = getattr(self, name)
            if expected is not None and expected != value:
                wrong.append(f"{name} {value}, not {expected}")
        for name, letter, added in self.names:
            value = int(str(seen[name] or 0))
            base = (known or {}).get(letter, value - added)
            if known is not None:
                known.setdefault(letter, base)
            if (base + added) % 2**32 != value:
                wrong.append(f"{name} {value}, not {letter}+{added}, which is {base + added}")
        return wrong


class Trace:
    """What happened so far, one line each: time, left state, segment or call, right state."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.start: int | None = None

    def _time(self, now: int) -> str:
        if self.start is None:
            self.start = now
        return f"{(now - self.start) / 1e9:11.6f}"

    def segment(self, now: int, left: str, arrows: str, text: str, right: str = "") -> None:
        """`arrows` is two words: '--> -->', '<-- <--', '--> ...', '--> x'."""
        first, second = arrows.split()
        line = f"{self._time(now)}  {left:<12} {first:>3} {text:<44} {second} {right}"
        self.lines.append(line.rstrip())

    def note(self, now: int, text: str) -> None:
        self.lines.append(f"{self._time(now)}  {text}")

    def __str__(self) -> str:
        shown = self.lines
        if len(shown) > 120:
            cut = len(shown) - 120
            shown = [*shown[:20], f"      ... {cut} lines ...", *shown[-100:]]
        return "\n".join(shown)
