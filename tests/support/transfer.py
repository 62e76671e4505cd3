"""Two programs on a simulated connection: random writes, reads, pauses, half-closes."""

import random
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from usertcp import State, _events
from usertcp._binding import lib
from usertcp.testing import SECOND, EngineError
from usertcp.testing._engine import Connection
from usertcp.testing.simulator import SimHost, Simulator


def glance(connection: Connection) -> Any:
    """Its `ut_info`, good until the next glance: a snapshot takes much longer. None: it is gone."""
    raw = connection.engine.raw
    code = lib.ut_get_info(raw._stack, connection.handle, raw._info)
    return raw._info if code == 0 else None


@dataclass
class Program:
    """Sends `text` in random pieces, reads in random pieces with pauses, then shuts down."""

    host: SimHost
    rng: random.Random
    text: bytes
    slow: float = 0.0  # mean pause between reads, seconds
    connection: Connection | None = None
    got: bytearray = field(default_factory=bytearray)
    sent: int = 0
    shut: bool = False
    ended: bool = False
    closed: bool = False
    error: str | None = None
    snd_nxt: int = 0
    probes: int = 0
    probed: int = 0  # bytes of probes since no more than cwnd was in flight
    cwnd: int = 0
    time_outs: int = 0
    checked: int = 0
    _reads_at: int = 0

    @property
    def is_done(self) -> bool:
        return self.closed

    def turn(self) -> None:
        """Does what can be done now."""
        if self.connection is None or self.closed:
            return
        if not self.connection.events & (_events.CONNECTED | _events.CLOSED | _events.READABLE):
            return
        try:
            self._write()
            self._read()
        except EngineError as exc:
            if exc.name != "STALE_HANDLE":
                self.error = exc.name
            self.closed = True
            self._close()
            return
        if self.ended and self.shut:
            self.closed = True
            self._close()

    def _close(self) -> None:
        assert self.connection is not None
        try:
            self.connection.close()
        except EngineError:
            pass

    def _write(self) -> None:
        assert self.connection is not None
        for _ in range(self._pieces()):
            if self.sent == len(self.text):
                break
            size = self.rng.choice((1, 10, 100, 1000, 5000))
            taken = self.connection.send(self.text[self.sent : self.sent + size])
            self.sent += taken
            if taken == 0:
                return
        if self.sent == len(self.text) and not self.shut and self._may_shut():
            self.shut = True
            self.connection.shutdown()

    def _pieces(self) -> int:
        """How often it writes in a turn, at most."""
        return len(self.text)

    def _may_shut(self) -> bool:
        return True

    def _read(self) -> None:
        assert self.connection is not None
        sim = self.host.simulator
        if self.ended or sim.now < self._reads_at:
            return
        size = self.rng.choice((1, 100, 1500, 65536)) if self.slow else 1 << 20
        try:
            data = self.connection.receive(size)
        except EngineError as exc:
            if exc.name != "END_OF_STREAM":
                raise
            self.ended = True
            return
        self.got += data
        if data and self.slow:
            pause = self.rng.expovariate(1 / self.slow)
            self._reads_at = sim.now + round(pause * SECOND)
            sim.call_at(self._reads_at, lambda: None)


Either = TypeVar("Either", bound=Program)


class Transfer(Generic[Either]):
    """A client and a server on `sim`; `run` lets them finish and checks what must hold always."""

    def __init__(self, sim: Simulator, client: Either, server: Either, *, port: int = 7) -> None:
        self.sim = sim
        self.client: Either = client
        self.server: Either = server
        self.port = port
        self.listener: Connection | None = None
        self.prefix = True  # what comes out is what was written

    def listen(self) -> None:
        self.listener = self.server.host.engine.listen(self.port)

    def start(self) -> None:
        self.sim.after_event = self.check_cwnd
        self.listen()
        self.connect()

    def connect(self) -> None:
        engine = self.client.host.engine
        self.client.connection = engine.connect(self.server.host.address, self.port)

    def accept(self) -> Connection | None:
        """The server's, once it is there."""
        return self.listener.accept() if self.listener is not None else None

    def step(self) -> None:
        """What the programs do after something has happened."""
        if self.server.connection is None and self.listener is not None:
            self.server.connection = self.accept()
        for one in (self.client, self.server):
            one.turn()
            self.check_cwnd(one.host)
        self.check()

    def check(self) -> None:
        for one, other in ((self.client, self.server), (self.server, self.client)):
            if self.prefix and len(one.got) != one.checked:
                new = one.got[one.checked :]
                assert other.text.startswith(new, one.checked), "what comes out is no prefix"
                one.checked = len(one.got)
            if one.connection is None or one.closed:
                continue
            info = glance(one.connection)
            if info is None:
                continue
            assert info.flight_size <= 2**31, "SND.UNA is beyond SND.NXT"
            if info.flight_size and info.state not in (State.CLOSED, State.TIME_WAIT):
                assert info.deadline_ns < _events.NEVER, "unacknowledged data without a timer"

    def check_cwnd(self, host: SimHost) -> None:
        """RFC 5681 3.1: new data leaves only while there is less in flight than cwnd."""
        for one in (self.client, self.server):
            if host is one.host and one.connection is not None and not one.closed:
                info = glance(one.connection)
                if info is not None:
                    check_cwnd(one, info)

    def run(self, until: int) -> bool:
        """True: both are done and nothing is left of them."""
        self.start()
        while self.sim.step(until):
            self.step()
            if self.is_over():
                return True
        return self.is_over()

    def is_over(self) -> bool:
        if not (self.client.closed and self.server.closed):
            return False
        for host in (self.client.host, self.server.host):
            if any(row.remote[1] for row in host.engine.raw.list_info()):
                return False
        return True


def check_cwnd(one: Program, info: Any) -> None:
    """RFC 8985 7.3: a tail loss probe does not ask cwnd, and may be more than it allows. That lasts
    until what is in flight is within cwnd again: over a time-out that is undone, a second one may
    have followed. A host that stood still may send and then time out in one turn: what left was
    within cwnd as it was before, and as what was SACKed meanwhile may have doubled it at most."""
    former = 2 * one.cwnd if info.rto_count != one.time_outs else 0
    one.cwnd, one.time_outs = info.cwnd, info.rto_count
    before, one.snd_nxt = one.snd_nxt, info.snd_nxt
    sent = (info.snd_nxt - before) % 2**32
    probed, one.probes = info.tlp_probes - one.probes, info.tlp_probes
    one.probed += probed * info.snd_mss
    if 1 < sent < 2**31 and info.state != State.SYN_SENT:  # 1: a probe, or a FIN
        allowed = (
            max(info.cwnd, former, sent if sent <= info.snd_mss else 0) + one.probed + 1
        )  # the FIN
        if not (probed and sent <= info.snd_mss):
            assert info.pipe <= allowed, (
                f"more in flight than cwnd: sent {sent}, pipe {info.pipe}, cwnd {info.cwnd}"
            )
    if info.pipe <= info.cwnd:
        one.probed = 0
