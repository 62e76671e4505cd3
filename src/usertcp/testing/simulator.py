"""Stacks on an impaired network in virtual time, without an event loop: one heap of events.

    sim = Simulator(seed=7)
    a, b = sim.host("10.0.0.1/24"), sim.host("10.0.0.2/24")
    sim.join(a, b, Impairment(delay=0.01, loss=0.1))
    sim.run(until=sim.now + 60 * SECOND)

The same seed gives the same run, packet by packet.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from usertcp.testing._engine import SECOND, START, Emitted, EngineHarness
from usertcp.testing.impair import Impairment, Pipe
from usertcp.testing.notation import Trace, describe
from usertcp.testing.oracle import FlowOracle, check_answers
from usertcp.testing.packets import Packet, PacketError, Segment, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from usertcp.testing.recording import Recording

__all__ = ["SECOND", "SimHost", "Simulator"]


class SimHost:
    """One stack of a simulation."""

    def __init__(self, simulator: Simulator, engine: EngineHarness, name: str) -> None:
        self.simulator = simulator
        self.engine = engine
        self.name = name
        self.pipes: dict[bytes, tuple[Pipe, SimHost]] = {}  # by destination address
        self.recordings: list[Recording] = []
        self.stalled_until: int = 0
        engine.on_emitted = self._emitted

    def _emitted(self, one: Emitted) -> None:
        self.recorded(one.data, outgoing=True)
        self.simulator.emitted(self, one)

    def recorded(self, data: bytes, *, outgoing: bool) -> None:
        """Tells who records this host of a packet that it sends or is about to get."""
        for recording in self.recordings:
            recording.add_packet(self.simulator.now, data, outgoing=outgoing)

    def sampled(self) -> None:
        """And what its connections are now."""
        if self.recordings:
            rows = self.engine.raw.list_info()
            for recording in self.recordings:
                recording.add_samples(self.simulator.now, rows)

    @property
    def address(self) -> str:
        return str(self.engine.addresses[0].ip)

    @property
    def is_stalled(self) -> bool:
        """Its process does not run just now."""
        return self.stalled_until > self.simulator.now

    def stall(self, until: int) -> None:
        """Its process does not run until then: timers are late, and packets wait for it."""
        self.stalled_until = max(self.stalled_until, until)
        self.simulator.call_at(until, self.wake)

    def wake(self) -> None:
        """If it stood still until now, what has waited for it is done."""
        if self.stalled_until and not self.is_stalled:
            self.stalled_until = 0
            self.engine.poll()
            self.simulator.tell(self)


class Simulator:
    """All randomness comes from `seed`. Every packet is checked by the oracles."""

    def __init__(self, seed: int = 0, *, start: int = START) -> None:
        self.seed = seed
        self.rng: random.Random = random.Random(seed)
        self.now: int = start
        self.hosts: list[SimHost] = []
        self.trace: Trace = Trace()
        self.tracing = False
        self.packets: int = 0
        self._digest = hashlib.blake2b(digest_size=8)
        self.after_event: Callable[[SimHost], None] | None = None  # a packet or timer was processed
        self._answers: list[Segment] = []  # what the packet that arrives now leads to
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._oracles: dict[tuple[bytes, int, bytes, int], FlowOracle] = {}

    @property
    def digest(self) -> str:
        """Of all packets that stacks have sent, and when: two runs are the same if theirs are."""
        return self._digest.hexdigest()

    # -- building ---------------------------------------------------------------------------------

    def host(self, *addresses: str, name: str = "", **config: Any) -> SimHost:
        """A stack; `config` as of EngineHarness."""
        seed = config.pop("seed", self.rng.getrandbits(64))
        engine = EngineHarness(*addresses, start=self.now, seed=seed, **config)
        found = SimHost(self, engine, name or chr(ord("a") + len(self.hosts)))
        self.hosts.append(found)
        return found

    def join(
        self, a: SimHost, b: SimHost, forth: Impairment, back: Impairment | None = None
    ) -> tuple[Pipe, Pipe]:
        """A link; `back` is as `forth` unless given."""
        pipes = []
        for source, target, im in ((a, b, forth), (b, a, back or forth)):
            pipe = Pipe(im, random.Random(self.rng.getrandbits(64)))
            for interface in target.engine.addresses:
                source.pipes[interface.ip.packed] = (pipe, target)
            pipes.append(pipe)
        return pipes[0], pipes[1]

    # -- events -----------------------------------------------------------------------------------

    def call_at(self, at: int, function: Callable[[], None]) -> None:
        """Calls `function` at this time, ns; what is past is done next."""
        self._order += 1
        heapq.heappush(self._heap, (max(at, self.now), self._order, function))

    def emitted(self, host: SimHost, one: Emitted) -> None:
        """A stack has sent a packet."""
        self.packets += 1
        self._digest.update(self.now.to_bytes(8))
        self._digest.update(one.data)
        packet = one.packet
        if isinstance(packet.body, Segment):
            key = (packet.src.packed, packet.body.sport, packet.dst.packed, packet.body.dport)
            oracle = self._oracles.setdefault(key, FlowOracle(host.name))
            if self.tracing:
                arrow = "--> -->" if host is self.hosts[0] else "<-- <--"
                base, peer = oracle.isn or 0, oracle.peer
                text = describe(packet.body, base, (peer and peer.isn) or 0)
                self.trace.segment(self.now, "", arrow, text)
            oracle.emitted(packet.body, packet.tos)
            self._answers.append(packet.body)
        entry = host.pipes.get(packet.dst.packed)
        if entry is None:
            return
        pipe, target = entry
        for at, data in pipe.offer(one.data, self.now):
            known = packet if data is one.data else None
            self.call_at(at, partial(self._arrive, target, data, known))
        for at, data in pipe.take_reports():
            self.call_at(at, partial(self._arrive, host, data))

    def _arrive(self, target: SimHost, data: bytes, packet: Packet | None = None) -> None:
        packet = packet or _decoded(data)
        if packet is not None and isinstance(packet.body, Segment):
            body = packet.body
            there = (packet.src.packed, body.sport, packet.dst.packed, body.dport)
            mine = self._oracles.setdefault(there[2:] + there[:2], FlowOracle(target.name))
            peer = self._oracles.setdefault(there, FlowOracle("?"))
            mine.delivered_from_peer(body, peer)
        self._deliver(target, data, packet)

    def forge(self, target: SimHost, data: bytes) -> None:
        """A packet that no stack here has sent arrives at `target`, to be refused."""
        self._deliver(target, data, _decoded(data))

    def _deliver(self, target: SimHost, data: bytes, packet: Packet | None) -> None:
        target.recorded(data, outgoing=False)
        if target.is_stalled:
            target.engine.queue(data)  # or it is lost: the queue is full
            return
        target.wake()
        self._answers.clear()
        target.engine.inject(data)
        if packet is not None and isinstance(packet.body, Segment):
            check_answers(packet.body, self._answers)
        self.tell(target)

    def tell(self, host: SimHost) -> None:
        """Who looks at it is told that something was processed."""
        host.sampled()
        if self.after_event is not None:
            self.after_event(host)

    # -- running ----------------------------------------------------------------------------------

    def next_time(self) -> int | None:
        """When the next thing happens; None when nothing ever will."""
        times = [due for host in self.hosts if (due := self._due(host)) is not None]
        if self._heap:
            times.append(max(self._heap[0][0], self.now))
        return min(times) if times else None

    def _due(self, host: SimHost) -> int | None:
        deadline = host.engine.deadline
        return None if deadline is None else max(deadline, host.stalled_until, self.now)

    def jump(self, ns: int) -> None:
        """The clock is that much later at once: every timer, and every packet, comes late."""
        self._set_time(self.now + ns)

    def step(self, until: int) -> bool:
        """The next thing happens, if it does by `until`."""
        at = self.next_time()
        if at is None or at > until:
            self._set_time(until)
            return False
        self._set_time(at)
        for host in self.hosts:
            deadline = self._due(host)
            if deadline is not None and deadline <= at:
                host.engine.poll()
                self.tell(host)
        while self._heap and self._heap[0][0] <= at:
            heapq.heappop(self._heap)[2]()
        return True

    def _set_time(self, now: int) -> None:
        self.now = now
        for host in self.hosts:
            host.engine.now = now

    def run(self, until: int, *, stop: Callable[[], bool] | None = None) -> bool:
        """Until that time, or until `stop()` is true after a step: then True."""
        while not (stop is not None and stop()):
            if not self.step(until):
                return stop is not None and stop()
        return True

    def close(self) -> None:
        """Frees all engines."""
        for host in self.hosts:
            host.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, _trace: object) -> None:
        self.close()
        if value is not None:
            trace = f"\n{self.trace}" if self.trace.lines else ""
            value.add_note(f"simulation seed {self.seed}{trace}")


def _decoded(data: bytes) -> Packet | None:
    """None when it was corrupted."""
    try:
        return decode(data)
    except PacketError:
        return None
