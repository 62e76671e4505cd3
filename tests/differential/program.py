"""A program of calls and segments, from a seed: what is done to a TCP, whichever it is.

A program names nothing that two TCPs choose for themselves: its numbers are relative to what the
peer has sent and to what it has heard.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from usertcp.testing.packets import ACK, FIN, PSH, RST, SYN, URG, flags_text

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 14
FAR = 1 << 29  # beyond any window
FAMILIES = (4, 6)
ICMP_KINDS = ("port", "host", "net", "proto", "prohibited", "exceeded")


@dataclass(frozen=True, slots=True)
class Send:
    """A segment of the peer. `seq` counts from its next number, `ack` from the highest heard."""

    flags: int
    seq: int = 0
    ack: int = 0
    length: int = 0
    stale: bool = False  # a timestamp from before the connection
    bare: bool = False  # no timestamp although they were agreed
    urgent: int = 0
    wrong: str = ""  # "checksum" or "options"
    window: int = 20_000

    def __str__(self) -> str:
        more = [f"seq{self.seq:+}" if self.seq else "", f"ack{self.ack:+}" if self.ack else ""]
        more += [f"len={self.length}" if self.length else "", f"win={self.window}"]
        more += [f"urp={self.urgent}" if self.flags & URG else "", self.wrong]
        more += ["stale" if self.stale else "", "bare" if self.bare else ""]
        return " ".join(["peer", flags_text(self.flags), *filter(None, more)])


@dataclass(frozen=True, slots=True)
class Icmp:
    """An ICMP error about the last segment heard."""

    kind: str  # of ICMP_KINDS

    def __str__(self) -> str:
        return f"icmp {self.kind}"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the user: send, receive, shutdown, close or abort."""

    name: str
    length: int = 0

    def __str__(self) -> str:
        return f"call {self.name}" + (f" {self.length}" if self.length else "")


Step = Send | Icmp | Call


@dataclass(frozen=True, slots=True)
class Program:
    seed: int
    version: int
    active: bool  # the TCP under test opens
    mss: int | None
    wscale: int | None
    sack: bool
    timestamps: bool
    nodelay: bool
    opening: tuple[Step, ...]  # before the handshake's answer
    steps: tuple[Step, ...] = field(repr=False)


def _length(r: random.Random) -> int:
    return r.choice((1, 10, 100, 500))


def _near(r: random.Random) -> int:
    return r.choice((1, 7, 100, 1000))


# What the peer does, and how often.
_SEGMENTS: dict[str, tuple[int, Callable[[random.Random], Step]]] = {
    "data": (16, lambda r: Send(ACK | PSH, length=_length(r))),
    "ack": (8, lambda _: Send(ACK)),
    "fin": (5, lambda r: Send(ACK | FIN, length=r.choice((0, 0, 50)))),
    "ahead": (7, lambda r: Send(ACK | r.choice((0, 0, PSH, FIN)), seq=_near(r), length=_length(r))),
    "old": (5, lambda r: Send(ACK, seq=-r.choice((1, 5, 60)), length=r.choice((0, 1, 30, 100)))),
    "far": (3, lambda r: Send(ACK, seq=r.choice((FAR, -FAR)), length=r.choice((0, 10)))),
    "future ack": (4, lambda r: Send(ACK, ack=r.choice((1, _near(r), FAR)), length=_few(r))),
    "old ack": (2, lambda r: Send(ACK, ack=-r.choice((FAR, 200_000)), length=_few(r))),
    "rst": (2, lambda r: Send(RST | r.choice((0, ACK)))),
    "rst near": (3, lambda r: Send(RST | r.choice((0, ACK)), seq=_around(r))),
    "syn": (3, lambda r: Send(SYN | r.choice((0, ACK)), seq=r.choice((0, _around(r))))),
    "soup": (6, lambda r: Send(r.randrange(64), seq=r.choice((0, 0, _near(r))), length=_few(r))),
    "stale": (3, lambda r: Send(ACK | r.choice((0, FIN, RST)), length=_few(r), stale=True)),
    "bare": (2, lambda r: Send(ACK | r.choice((0, 0, RST)), length=_few(r), bare=True)),
    "checksum": (1, lambda r: Send(ACK, length=_length(r), wrong="checksum")),
    "options": (2, lambda r: Send(ACK, length=_length(r), wrong="options")),
    "urgent": (3, lambda r: Send(ACK | URG, length=_few(r), urgent=r.choice((0, 1, 20, 500)))),
    "window": (4, lambda r: Send(ACK, window=r.choice((0, 0, 1, 1000, 65535)))),
    "icmp": (3, lambda r: Icmp(r.choice(ICMP_KINDS))),
}
_CALLS = {"send": 10, "receive": 8, "shutdown": 3, "close": 2, "abort": 1}


def _few(r: random.Random) -> int:
    return r.choice((0, 10, 20))


def _around(r: random.Random) -> int:
    return r.choice((_near(r), -_near(r), FAR))


def _segment(rng: random.Random) -> Step:
    weights = [weight for weight, _ in _SEGMENTS.values()]
    return _SEGMENTS[rng.choices(list(_SEGMENTS), weights)[0]][1](rng)


def _call(rng: random.Random) -> Step:
    name = rng.choices(list(_CALLS), list(_CALLS.values()))[0]
    return Call(name, rng.choice((1, 100, 400)) if name == "send" else 0)


def generate(seed: int) -> Program:
    """The program of that seed; the same on every machine."""
    rng = random.Random(f"differential {seed}")
    opening: tuple[Step, ...] = ()
    if rng.random() < 0.3:
        opening = tuple(_segment(rng) for _ in range(rng.randrange(1, 4)))
    steps = tuple(_segment(rng) if rng.random() < 0.7 else _call(rng) for _ in range(STEPS))
    return Program(
        seed=seed,
        version=rng.choice(FAMILIES),
        active=rng.random() < 0.4,
        mss=rng.choice((None, 536, 1460, 1460)),
        wscale=rng.choice((None, 0, 7)),
        sack=rng.random() < 0.7,
        timestamps=rng.random() < 0.5,
        nodelay=rng.random() < 0.8,
        opening=opening,
        steps=steps,
    )
