"""Two programs on a simulated connection: random writes, reads, pauses, half-closes."""

import ipaddress
import random
from dataclasses import dataclass, field

from usertcp import State, _events
from usertcp.testing import SECOND, EngineError, Impairment
from usertcp.testing._engine import Connection
from usertcp.testing.packets import Packet, Segment
from usertcp.testing.simulator import SimHost, Simulator


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
        while self.sent < len(self.text):
            size = self.rng.choice((1, 10, 100, 1000, 5000))
            taken = self.connection.send(self.text[self.sent : self.sent + size])
            self.sent += taken
            if taken == 0:
                return
        if not self.shut:
            self.shut = True
            self.connection.shutdown()

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


class Transfer:
    """A client and a server on `sim`; `run` lets them finish and checks what must hold always."""

    PORT = 7

    def __init__(
        self, sim: Simulator, client: Program, server: Program, *, fast_open: bool = False
    ) -> None:
        self.sim = sim
        self.fast_open = fast_open
        self.replayed = 0
        self.client, self.server = client, server
        self.listener = server.host.engine.listen(self.PORT)
        if fast_open:
            self.listener.set_option("fast_open", 100)

    def start(self) -> None:
        self.sim.after_event = self.check_cwnd
        engine = self.client.host.engine
        self.client.connection = engine.connect(
            self.server.host.address, self.PORT, fast_open=self.fast_open
        )

    def step(self) -> None:
        """What the programs do after something has happened."""
        if self.server.connection is None:
            self.server.connection = self.listener.accept()
        elif self.fast_open:
            self._take_replay()
        for one in (self.client, self.server):
            one.turn()
            self.check_cwnd(one.host)
        self.check()

    def _take_replay(self) -> None:
        """RFC 7413 6.1: the SYN's data once more, after the connection was forgotten."""
        one = self.listener.accept()
        if one is not None:
            assert self.server.closed, "the same data twice, while the connection lives"
            assert self.client.text.startswith(one.receive())
            one.abort()
            self.replayed += 1

    def introduce(self) -> None:
        """The client asks for a cookie, on a network that is well for once."""
        pipes = [pipe for one in self.sim.hosts for pipe, _ in one.pipes.values()]
        before = [pipe.impairment for pipe in pipes]
        for pipe in pipes:
            pipe.impairment = Impairment(delay=0.01)
        engine = self.client.host.engine
        first = engine.connect(self.server.host.address, self.PORT, fast_open=True)
        self.sim.run(self.sim.now + SECOND)
        accepted = self.listener.accept()
        assert accepted is not None
        first.abort()
        self.sim.run(self.sim.now + SECOND)
        accepted.close()
        for pipe, impairment in zip(pipes, before, strict=True):
            pipe.impairment = impairment

    def check(self) -> None:
        for one, other in ((self.client, self.server), (self.server, self.client)):
            assert other.text.startswith(bytes(one.got)), "what comes out is no prefix"
            if one.connection is None or one.closed:
                continue
            info = one.connection.info
            assert info.flight_size <= 2**31
            assert info.rcv_readable <= info.rcv_readable + info.rcv_wnd
            if info.flight_size and str(info.state) not in ("CLOSED", "TIME-WAIT"):
                assert info.deadline_ns < _events.NEVER, "unacknowledged data without a timer"

    def check_cwnd(self, host: SimHost) -> None:
        """RFC 5681 3.1: new data leaves only while there is less in flight than cwnd."""
        one = self.client if host is self.client.host else self.server
        if one.connection is None or one.closed:
            return
        info = one.connection.info
        before, one.snd_nxt = one.snd_nxt, info.snd_nxt
        sent = (info.snd_nxt - before) % 2**32
        probed, one.probes = info.tlp_probes - one.probes, info.tlp_probes
        if probed and sent <= info.snd_mss:
            return  # RFC 8985 7.3: cwnd is not asked, and may be less than what is in flight
        if 1 < sent < 2**31 and str(info.state) != "SYN-SENT":  # 1: a probe, or a FIN
            # RFC 8985 7.3: a tail loss probe may be one segment too many.
            probe = info.snd_mss if info.tlp_probes else 0
            allowed = max(info.cwnd, sent if sent <= info.snd_mss else 0) + probe + 1  # the FIN
            assert info.pipe <= allowed, (sent, info)

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


class Attacker:
    """Somebody off the path who knows the addresses and ports, and guesses the rest."""

    def __init__(self, transfer: Transfer, rng: random.Random, every: float) -> None:
        self.transfer, self.rng, self.every = transfer, rng, round(every * SECOND)
        self.left = 2000
        self._again()

    def _again(self) -> None:
        sim = self.transfer.sim
        sim.call_at(sim.now + 1 + self.rng.randrange(2 * self.every), self.strike)

    def strike(self) -> None:
        """One forged segment, to either side: any flags, any numbers."""
        one, other = self.transfer.client, self.transfer.server
        opening = other.connection is None or (
            one.connection is not None
            and not one.closed
            and one.connection.info.state is State.SYN_SENT
        )
        if opening:  # a forged SYN in SYN-SENT is a simultaneous open
            self._again()
            return
        if self.rng.random() < 0.5:
            one, other = other, one
        if one.connection is not None and not one.closed:
            info = one.connection.info
            if info.state is State.TIME_WAIT:
                return  # a SYN without timestamps may end it: RFC 9293 MAY-2
            made = Segment(
                sport=info.remote[1], dport=info.local[1], seq=self.rng.getrandbits(32),
                ack=self.rng.getrandbits(32), flags=self.rng.randrange(64),
                window=self.rng.getrandbits(16), urgent=self.rng.getrandbits(16),
                payload=b"evil" * self.rng.randrange(3),
            )  # fmt: skip
            src, dst = (ipaddress.ip_address(end[0]) for end in (info.remote, info.local))
            one.host.engine.inject(Packet(src=src, dst=dst, body=made).encode())
        self.left -= 1
        if self.left:
            self._again()
