"""`figure`: an exchange between two real stacks, written and checked as the RFC's figures are.

    figure('''
        CLOSED                                        LISTEN
        a.connect()
        SYN-SENT     --> seq=100 SYN              --> SYN-RECEIVED
        ESTABLISHED  <-- seq=300 ack=101 SYN,ACK  <-- SYN-RECEIVED
        ESTABLISHED  --> seq=101 ack=301 ACK      --> ESTABLISHED
    ''')

`a` is on the left. Each side's first sequence number becomes its ISN (one more when the figure
begins in ESTABLISHED). A state is that after the segment left or arrived. `--x` and `x--` lose a
segment, `... segment -->` delivers one that was left in flight by `--> segment ...`, or makes an
old duplicate. `... 1 RTO`, `... 2 MSL`, `... 40 ms` let time pass; `...` alone lets everything go
its way until it is quiet. Every segment sent must be in the figure.
"""

from __future__ import annotations

import textwrap
from collections import deque
from typing import Any, NoReturn

from usertcp.testing._engine import START, Connection, Emitted, EngineHarness
from usertcp.testing._figure_text import UNITS, Step, parse
from usertcp.testing.notation import Trace, describe
from usertcp.testing.packets import Packet, Segment

HOSTS = {"a": "10.0.0.1", "b": "10.0.0.2"}
PORTS = {"a": 1001, "b": 2001}
QUIET = 1_000_000_000  # no timer due within this: nothing will come of itself soon
_TURNS = 10_000


class FigureError(AssertionError):
    """What happened is not what the figure says."""


class Side:
    """One stack of a figure, and the program on it. What the lines `a.send(...)` call."""

    def __init__(self, name: str, figure: Figure, isn: int) -> None:
        self._name = name
        self._figure = figure
        self._other = "b" if name == "a" else "a"
        self._connection: Connection | None = None
        self._listener: Connection | None = None
        self.flight: deque[Emitted] = deque()  # left this side and still in the network
        self.engine: EngineHarness
        self._start(isn)

    def _start(self, isn: int) -> None:
        self.isn = isn
        self.engine = EngineHarness(
            f"{HOSTS[self._name]}/24", start=self._figure.now, fixed_isn=isn,
            **self._figure.config,
        )  # fmt: skip

    @property
    def connection(self) -> Connection:
        if self._connection is None and self._listener is not None:
            self._connection = self._listener.accept()
        assert self._connection is not None, f"{self._name} has no connection"
        return self._connection

    @property
    def state(self) -> str:
        return self.engine.state_of(PORTS[self._other], PORTS[self._name])

    @property
    def error(self) -> str | None:
        return self.connection.error

    @property
    def info(self) -> Any:
        return self.engine.find(PORTS[self._other], PORTS[self._name])

    def connect(self) -> None:
        self._connection = self.engine.connect(
            HOSTS[self._other], PORTS[self._other], local_port=PORTS[self._name]
        )

    def listen(self, backlog: int = 16) -> None:
        self._listener = self.engine.listen(PORTS[self._name], backlog=backlog)

    def stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def send(self, data: bytes) -> int:
        return self.connection.send(data)

    def receive(self, max_bytes: int = 1 << 30) -> bytes:
        return self.connection.receive(max_bytes)

    def shutdown(self) -> None:
        self.connection.shutdown()

    def close(self) -> None:
        self.connection.close()

    def abort(self) -> None:
        self.connection.abort()

    def crash(self, isn: int = 400) -> None:
        """Loses all memory, and starts again."""
        self.engine.close()
        self._connection = self._listener = None
        self._start(isn)


class Figure:
    """A figure while it runs."""

    def __init__(
        self, text: str, *, isn_a: int | None = None, isn_b: int | None = None, **config: Any
    ) -> None:
        self.text: str = textwrap.dedent(text).strip("\n")
        self.steps: list[Step] = parse(self.text)
        self.config = config
        self.trace: Trace = Trace()
        self.now: int = START
        self.quiet: bool = False
        self.known: dict[str, int] = {}  # letters
        first = self.steps[0]
        if first.kind != "states":
            raise ValueError("a figure begins with the state of each side")
        self.first = first
        early = 1 if first.left == first.right == "ESTABLISHED" else 0
        first_a = self._first_seq("a", 100) - early if isn_a is None else isn_a
        first_b = self._first_seq("b", 300) - early if isn_b is None else isn_b
        self.a: Side = Side("a", self, first_a % 2**32)
        self.b: Side = Side("b", self, first_b % 2**32)
        self.sides: dict[str, Side] = {"a": self.a, "b": self.b}

    def _first_seq(self, sender: str, default: int) -> int:
        for step in self.steps:
            if step.sender == sender and step.pattern and step.pattern.seq is not None:
                return step.pattern.seq
        return default

    def run(self) -> Figure:
        try:
            self._begin()
            for step in self.steps[1:]:
                self.quiet = False
                getattr(self, f"_{step.kind}")(step)
            self._nothing_more()
        finally:
            for side in self.sides.values():
                side.engine.close()
        return self

    def _begin(self) -> None:
        left, right = self.first.left, self.first.right
        if left == right == "ESTABLISHED":
            self.b.listen()
            self.a.connect()
            self._settle()
            assert self.b.connection.handle
            self.b.stop_listening()
            self.trace.lines.clear()
        for side, state in ((self.a, left), (self.b, right)):
            if state == "LISTEN":
                side.listen()
        self._states(self.first)

    # -- the kinds of lines -----------------------------------------------------------------------

    def _states(self, step: Step) -> None:
        for name, expected in (("a", step.left), ("b", step.right)):
            state = self.sides[name].state
            if expected is not None and state != expected:
                self._fail(step, f"{name} is in {state}, not {expected}")
        self.trace.note(self.now, f"{self.a.state:<48} {self.b.state}")

    def _call(self, step: Step) -> None:
        for call in step.calls:
            self.trace.note(self.now, call)
            got, compared, expected = call.partition("==")
            try:
                value = self._eval(got)
            except AssertionError as exc:
                self._fail(step, str(exc))
            if compared and value != self._eval(expected):
                self._fail(step, f"{call} does not hold; it is {value!r}")

    def _eval(self, text: str) -> Any:
        return eval(text.strip(), {"__builtins__": {}}, dict(self.sides))  # noqa: S307

    def _wait(self, step: Step) -> None:
        self.trace.note(self.now, step.text)
        if not step.unit:
            self._settle()
            self.quiet = True
        elif step.unit == "RTO":
            for _ in range(round(step.amount)):
                self._pass_to(self._retransmission(step))
        elif step.unit == "MSL":
            self._pass_to(self.now + round(step.amount * self._msl()))
        else:
            self._pass_to(self.now + round(step.amount * UNITS[step.unit]))

    def _msl(self) -> int:
        """As configured; a figure that waits for it must say it."""
        if "msl" not in self.config:
            raise ValueError("figure(..., msl=seconds) is needed for '... 2 MSL'")
        return round(float(self.config["msl"]) * UNITS["s"])

    def _retransmission(self, step: Step) -> int:
        infos = [side.info for side in self.sides.values()]
        waiting = [i.deadline_ns for i in infos if i is not None and i.snd_una != i.snd_nxt]
        if not waiting:
            self._fail(step, "neither side waits for an ACK")
        return int(waiting[0])

    def _segment(self, step: Step) -> None:
        assert step.pattern is not None
        if step.sender is None:
            at = self.sides[step.fate[-1]]
            self._deliver(self._from_flight(step, at), at)
        else:
            sender = self.sides[step.sender]
            receiver = self.sides["b" if step.sender == "a" else "a"]
            one = self._emission(step, sender)
            expected = step.left if sender is self.a else step.right
            if expected is not None and sender.state != expected:
                self._fail(step, f"{step.sender} is in {sender.state}, not {expected}")
            if step.fate == "stays":
                sender.flight.append(one)
            elif step.fate == "arrives":
                self._deliver(one.data, receiver)
        self._record(step)
        checks = {"a": (self.a, step.left), "b": (self.b, step.right)}
        if step.sender is not None and step.fate == "arrives":
            del checks[step.sender]
        for name, (side, expected) in checks.items():
            if expected is not None and side.state != expected:
                self._fail(step, f"{name} is in {side.state}, not {expected}")

    def _emission(self, step: Step, sender: Side) -> Emitted:
        assert step.pattern is not None
        if not sender.engine.emitted:
            self._fail(step, f"{step.sender} sends nothing")
        one = sender.engine.emitted.popleft()
        if not isinstance(one.packet.body, Segment):
            self._fail(step, f"{step.sender} sends {one.packet.body!r}")
        wrong = step.pattern.differences(one.packet.segment, self.known)
        if wrong:
            shown = describe(one.packet.segment)
            self._fail(step, f"{step.sender} sends {shown}: {'; '.join(wrong)}")
        return one

    def _from_flight(self, step: Step, at: Side) -> bytes:
        """A segment sent before that is as written; else one made up: an old duplicate."""
        assert step.pattern is not None
        source = self.b if at is self.a else self.a
        for one in source.flight:
            if not step.pattern.differences(one.packet.segment, dict(self.known)):
                source.flight.remove(one)
                return one.data
        pattern = step.pattern
        name, other = ("b", "a") if at is self.a else ("a", "b")
        made = Segment(
            sport=PORTS[name], dport=PORTS[other], seq=pattern.seq or 0, ack=pattern.ack or 0,
            flags=pattern.flags, payload=bytes(pattern.length),
            window=65535 if pattern.window is None else pattern.window,
        )  # fmt: skip
        src, dst = (s.engine.addresses[0].ip for s in (source, at))
        return Packet(src=src, dst=dst, body=made).encode()

    def _deliver(self, data: bytes, at: Side) -> None:
        at.engine.inject(data)

    def _record(self, step: Step) -> None:
        text = step.pattern.text if step.pattern else ""
        self.trace.note(self.now, f"{self.a.state:<12}  {text:<36}  {self.b.state}  # {step.fate}")

    # -- time -------------------------------------------------------------------------------------

    def _pass_to(self, until: int) -> None:
        """Both stacks' timers run; what they send waits to be looked at."""
        while True:
            due = [s.engine.deadline for s in self.sides.values()]
            target = min([until, *(max(d, self.now) for d in due if d is not None)])
            self.now = target
            for side in self.sides.values():
                side.engine.run(target)
            if target >= until:
                return

    def _settle(self) -> None:
        """Delivers everything both ways until no timer is due within QUIET."""
        for _ in range(_TURNS):
            moved = False
            for name, side in self.sides.items():
                other = self.sides["b" if name == "a" else "a"]
                for one in [*side.flight, *side.engine.take()]:
                    moved = True
                    arrow = "--> -->" if name == "a" else "<-- <--"
                    body = one.packet.body
                    text = describe(body) if isinstance(body, Segment) else str(body)
                    self.trace.segment(self.now, self.a.state, arrow, text, self.b.state)
                    self._deliver(one.data, other)
                side.flight.clear()
            if moved:
                continue
            due = [s.engine.deadline for s in self.sides.values()]
            soon = [d for d in due if d is not None and d <= self.now + QUIET]
            if not soon:
                return
            self._pass_to(min(soon))
        raise FigureError(f"it does not become quiet\n{self.trace}")

    # -- failing ----------------------------------------------------------------------------------

    def _nothing_more(self) -> None:
        for name, side in self.sides.items():
            if side.engine.emitted and not self.quiet:
                body = side.engine.emitted[0].packet.body
                shown = describe(body) if isinstance(body, Segment) else str(body)
                self._fail(self.steps[-1], f"{name} sends one more: {shown}")

    def _fail(self, step: Step, why: str) -> NoReturn:
        lines = self.text.splitlines()
        lines[step.number - 1] += f"      <== {why}"
        expected = "\n".join(lines)
        pending = [
            f"waiting: {name} has sent {describe(one.packet.segment)}"
            for name, side in self.sides.items()
            for one in side.engine.emitted
            if isinstance(one.packet.body, Segment)
        ]
        actual = "\n".join([str(self.trace), *pending])
        raise FigureError(f"{why}\n\nexpected:\n{expected}\n\nhappened:\n{actual}")


def figure(text: str, **config: Any) -> Figure:
    """Runs a figure (see the module).

    `config`: as of `usertcp.StackConfig`, for both stacks; `isn_a`, `isn_b`: where the figure does
    not show the first sequence number.
    """
    return Figure(text, **config).run()
