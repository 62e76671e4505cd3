"""Stacks on an impaired network in virtual time, without an event loop: one heap of events.

    sim = Simulator(seed=7)
    a, b = sim.host("10.0.0.1/24"), sim.host("10.0.0.2/24")
    sim.join(a, b, Impairment(delay=0.01, loss=0.1))
    sim.run(until=sim.now + 60 * SECOND)

The same seed gives the same run, packet by packet.
"""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, Any, Self

from usertcp.testing._engine import SECOND, START, Emitted, EngineHarness
from usertcp.testing.impair import Impairment, Pipe
from usertcp.testing.notation import Trace, describe
from usertcp.testing.oracle import FlowOracle
from usertcp.testing.packets import PacketError, Segment, decode

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
        self.after_event: Callable[[SimHost], None] | None = None  # a packet or timer was processed
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._oracles: dict[tuple[bytes, int, bytes, int], FlowOracle] = {}

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
        entry = host.pipes.get(packet.dst.packed)
        if entry is None:
            return
        pipe, target = entry
        for at, data in pipe.offer(one.data, self.now):
            self.call_at(at, lambda data=data: self._arrive(target, data))  # type: ignore[misc]
        for at, data in pipe.take_reports():
            self.call_at(at, lambda data=data: self._arrive(host, data))  # type: ignore[misc]

    def _arrive(self, target: SimHost, data: bytes) -> None:
        try:
            packet = decode(data)
        except PacketError:
            packet = None  # corrupted
        if packet is not None and isinstance(packet.body, Segment):
            body = packet.body
            there = (packet.src.packed, body.sport, packet.dst.packed, body.dport)
            mine = self._oracles.setdefault(there[2:] + there[:2], FlowOracle(target.name))
            peer = self._oracles.setdefault(there, FlowOracle("?"))
            mine.delivered_from_peer(body, peer)
        target.recorded(data, outgoing=False)
        target.engine.inject(data)
        self._tell(target)

    def _tell(self, host: SimHost) -> None:
        host.sampled()
        if self.after_event is not None:
            self.after_event(host)

    # -- running ----------------------------------------------------------------------------------

    def next_time(self) -> int | None:
        """When the next thing happens; None when nothing ever will."""
        due = [host.engine.deadline for host in self.hosts]
        times = [max(at, self.now) for at in due if at is not None]
        if self._heap:
            times.append(self._heap[0][0])
        return min(times) if times else None

    def step(self, until: int) -> bool:
        """The next thing happens, if it does by `until`."""
        at = self.next_time()
        if at is None or at > until:
            self._set_time(until)
            return False
        self._set_time(at)
        for host in self.hosts:
            deadline = host.engine.deadline
            if deadline is not None and deadline <= at:
                host.engine.poll()
                self._tell(host)
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
