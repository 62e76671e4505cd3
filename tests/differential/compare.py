"""One program on both TCPs, step by step, and what of their differences is explained."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from differential.program import Call, Icmp, Program, Send
from differential.subjects import Kernel, Ours
from differential.voice import Voice, joined, may_become
from usertcp.testing.packets import ACK, SYN

if TYPE_CHECKING:
    from differential.program import Step

PATIENCE = 2.0  # seconds for the kernel to say what the engine has said
QUIET = 0.004  # and for it to say no more
DELAYED = 0.25  # the same where it may keep an ACK back (net/tcp.h: 200 ms at most)
LIST = Path(__file__).parent / "differences.txt"


@dataclass(frozen=True, slots=True)
class Difference:
    """The engine's account of a step and the kernel's."""

    seed: int
    situation: str
    ours: tuple[str, ...]
    linux: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.situation}"]
        lines += [f"    usertcp: {line}" for line in self.ours or ("(nothing)",)]
        lines += [f"    linux:   {line}" for line in self.linux or ("(nothing)",)]
        return "\n".join(lines)


@dataclass
class Run:
    steps: int = 0  # that agreed
    difference: Difference | None = None
    story: list[str] = field(default_factory=list)


class Duel:
    """A program on both; ends with the first difference, since nothing after it is comparable."""

    def __init__(self, program: Program, kernel: Kernel, port: int) -> None:
        self.program = program
        self.kernel = kernel
        self.ours = Ours()
        self.voices = Voice(program, port), Voice(program, port)
        self.run = Run()
        self.has_user = True
        self.is_connected = False

    def execute(self) -> Run:
        self.kernel.begin(self.program.version, self.voices[0].port)
        try:
            self._all_steps()
        finally:
            self.kernel.end()
            self.ours.close()
        return self.run

    def _all_steps(self) -> None:
        p = self.program
        if p.active:
            for side in (self.ours, self.kernel):
                side.connect(p.version, self.voices[0].port)
            self.is_connected = True
            if not self._agree("connect"):
                return
        for step in p.opening:
            if not self._do(step):
                return
        if not self._handshake():
            return
        for step in p.steps:
            if not self._do(step):
                return

    def _handshake(self) -> bool:
        if self.program.active:
            if self.ours.state() != "SYN-SENT":
                return False  # a step of the opening has ended it, on both sides
            if not self._both(f"handshake {self._shape()}", lambda voice: voice.syn(SYN | ACK)):
                return False
        else:
            state = self.ours.state_of(self.voices[0].port)
            if not self._both(f"{state}: handshake {self._shape()}", lambda voice: voice.syn(SYN)):
                return False
            ack = Send(ACK)
            state = self.ours.state_of(self.voices[0].port)
            if not self._both(f"{state}: handshake ACK", lambda voice: voice.segment(ack)):
                return False
            ours = self.ours.accept()
            if not self._wait_for(self.kernel.accept, wanted=ours) or not ours:
                return self._fail("accept", (str(ours),), (str(not ours),)) if not ours else False
            self.is_connected = True
        for side in (self.ours, self.kernel):
            side.set_nodelay(self.program.nodelay)
        return True

    def _shape(self) -> str:
        p = self.program
        return f"mss={p.mss} ws={p.wscale} sack={p.sack} ts={p.timestamps}"

    def _wait_for(self, what: Any, *, wanted: bool) -> bool:
        end = time.monotonic() + (PATIENCE if wanted else 0)
        while not what():
            if time.monotonic() >= end:
                return not wanted
            time.sleep(0.001)
        return wanted

    # -- a step -----------------------------------------------------------------------------------

    def _do(self, step: Step) -> bool:
        state = self.ours.state_of(self.voices[0].port)
        is_users = self.is_connected and self.has_user
        if is_users and (isinstance(step, Call) or self.ours.state() != "CLOSED"):
            state = self.ours.state()  # else there may be another connection between the two
        about = self.voices[0].about(step) if isinstance(step, Send) else ""
        situation = f"{state}: {step}{about}"
        if isinstance(step, Call):
            if not (self.has_user and self.is_connected):
                return True
            return self._call(situation, step)
        if isinstance(step, Icmp):
            return self._both(situation, lambda voice: voice.error(step.kind))
        quiet = DELAYED if step.length else QUIET
        agreed = self._both(situation, lambda voice: voice.segment(step), quiet)
        return agreed and "beyond FIN" not in about  # what follows a contradiction is anybody's

    def _both(self, situation: str, make: Any, quiet: float = QUIET) -> bool:
        for side, voice in zip((self.ours, self.kernel), self.voices, strict=True):
            data = make(voice)
            if data is not None:
                side.inject(data)
        return self._agree(situation, quiet)

    def _call(self, situation: str, step: Call) -> bool:
        data = bytes((i * 7) % 253 for i in range(step.length))
        ours = self.ours.call(step.name, data)
        linux = self.kernel.call(step.name, data)
        end = time.monotonic() + PATIENCE
        while step.name == "receive" and linux == "EAGAIN" != ours and time.monotonic() < end:
            time.sleep(0.001)
            linux = self.kernel.call(step.name, data)
        if step.name in ("close", "abort"):
            self.has_user = False
        if ours != linux:
            return self._fail(situation, (ours,), (linux,))
        if ours not in ("EAGAIN", "end") and ours.startswith("E"):
            self.has_user = False  # both TCPs tell an error once, in ways of their own after that
        return self._agree(situation)

    def _agree(self, situation: str, quiet: float = QUIET) -> bool:
        """Whether the same came out of both, in the same state. `quiet`: how long the kernel has
        to be silent when the engine was.
        """
        mine, theirs = self.voices
        ours = joined([w for packet in self.ours.outcome() if (w := mine.hears(packet))])
        heard: list[str] = []
        end = time.monotonic() + PATIENCE
        while True:
            enough = joined(heard) == ours
            packet = self.kernel.read((QUIET if ours else quiet) if enough else 0.05)
            if packet is not None:
                if words := theirs.hears(packet):
                    heard.append(words)
                if not may_become(joined(heard), ours):
                    break
            elif enough or time.monotonic() >= end:
                break
        linux = joined(heard)
        if self.is_connected and self.has_user:
            state = self._state_of_ours()
            patience = PATIENCE if ours == linux else 0.0
            ours = [*ours, state]
            linux = [*linux, self._state_of_linux(state, patience)]
        self.run.story += [situation, *(f"    {line}" for line in ours)]
        if ours != linux:
            return self._fail(situation, tuple(ours), tuple(linux))
        self.run.steps += 1
        return True

    def _state_of_ours(self) -> str:
        state = self.ours.state()
        return "CLOSED" if state == "TIME-WAIT" else state

    def _state_of_linux(self, wanted: str, patience: float) -> str:
        """A descriptor shows CLOSED once the connection is in TIME-WAIT."""
        found = ""
        end = time.monotonic() + patience
        while (found := self.kernel.state()) != wanted and time.monotonic() < end:
            time.sleep(0.002)
        return found

    def _fail(self, situation: str, ours: tuple[str, ...], linux: tuple[str, ...]) -> bool:
        self.run.difference = Difference(self.program.seed, situation, ours, linux)
        return False


# -- what is explained -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explained:
    """A row of differences.txt."""

    situation: str
    ours: str
    linux: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        return (
            fnmatchcase(difference.situation, self.situation)
            and fnmatchcase(" / ".join(difference.ours) or "(nothing)", self.ours)
            and fnmatchcase(" / ".join(difference.linux) or "(nothing)", self.linux)
        )


def explained() -> list[Explained]:
    rows = []
    for line in LIST.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            parts = [part.strip() for part in line.split("|")]
            assert len(parts) == 4, f"not four columns: {line}"
            rows.append(Explained(*parts))
    return rows
