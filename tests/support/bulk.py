"""Bulk flows through one bottleneck in virtual time, fast: what a congestion control achieves.

No oracle and no trace as in `Simulator`: packets go from stack to pipe to stack as they are, so
that minutes of virtual time take seconds. The same seed gives the same run. A plain bottleneck is
hundreds of times faster in C: `support.dumbbell`.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from usertcp import _events
from usertcp._address import ANY, pack_text
from usertcp._binding import RawStack
from usertcp._config import StackConfig, seed_words
from usertcp._congestion import Congestion, congestion_index
from usertcp._guide import Guide
from usertcp._info import ConnectionInfo
from usertcp.streams import StreamOption
from usertcp.testing._memory import MemoryLink
from usertcp.testing.impair import Impairment, Pipe

if TYPE_CHECKING:
    from usertcp._congestion_control import CongestionControl

SECOND = 1_000_000_000
_START = 1_000 * SECOND
_PORT = 7
_CHUNK = bytes(1 << 16)


@dataclass
class Flow:
    """One sender's connection and how much of it has arrived."""

    sender: int
    receiver: int
    began: int
    received: int = 0
    samples: list[tuple[int, int]] = field(default_factory=list)  # (ns, bytes received by then)


def _packed(text: str) -> bytes:
    packed = pack_text(text)
    if packed is None:
        raise ValueError(text)
    return packed


class _End:
    """A stack on a memory link."""

    def __init__(self, address: str, seed: int, config: dict[str, Any]) -> None:
        self.link = MemoryLink(mtu=1500, ethernet=False, buffer=0)
        settings = StackConfig(**config).engine_fields() | {"mtu": 1500, "nodelay": 1}
        self.raw = RawStack(self.link, settings, seed_words(seed))
        self.address = _packed(address)
        self.raw.address_add(self.address, 24, 0, _START)


class Bulk:
    """Flows from one stack to another. `congestion` may differ from flow to flow."""

    def __init__(
        self, forth: Impairment, back: Impairment, *, seed: int = 1, **config: Any
    ) -> None:
        rng = random.Random(seed)
        options = {"rcv_buffer": 1 << 22, "snd_buffer": 1 << 22} | config
        self.now = _START
        self.ends = [_End(f"10.0.0.{n}", rng.getrandbits(64), options) for n in (1, 2)]
        forward = random.Random(rng.getrandbits(64))
        self.pipes = [
            Pipe(forth, forward),
            Pipe(back, random.Random(rng.getrandbits(64))),
        ]
        self.guide = Guide(self.ends[0].raw)
        self.is_answering = True
        """False: reports wait, as when Python is busy."""
        self.is_filling = True
        """False: the senders' programs pause."""
        self._controls: dict[int, CongestionControl] = {}
        self.flows: list[Flow] = []
        self._of_receiver: dict[int, Flow] = {}
        self._waiting: dict[int, Flow] = {}
        self._heap: list[tuple[int, int, int, bytes]] = []
        self._order = 0
        _, self._listener = self.ends[1].raw.listen(ANY, _PORT, 64, self.now)

    # -- flows ------------------------------------------------------------------------------------

    def start(self, congestion: Congestion = "cubic") -> Flow:
        """Another flow, from now on. A control in Python decides once it is established."""
        a = self.ends[0]
        code, handle = a.raw.connect((ANY, 0), (self.ends[1].address, _PORT), self.now)
        if code < 0:
            raise RuntimeError(f"connect: {code}")
        if isinstance(congestion, str):
            index = congestion_index(congestion)
            a.raw.set_option(handle, StreamOption.CONGESTION, index, self.now)
        else:
            self._controls[handle] = congestion
        flow = Flow(handle, 0, self.now)
        self.flows.append(flow)
        self._waiting[a.raw.local_endpoint(handle)[1]] = flow
        self._settle(0)
        return flow

    def info(self, flow: Flow) -> ConnectionInfo:
        """The sender's side."""
        found = self.ends[0].raw.info(flow.sender)
        if isinstance(found, int):
            raise RuntimeError(f"info: {found}")  # noqa: TRY004
        return found

    def fill(self, flow: Flow) -> None:
        """The sender's program goes on."""
        self._fill(flow.sender)
        self._settle(0)

    def _fill(self, handle: int) -> None:
        while self.is_filling and self.ends[0].raw.send(handle, _CHUNK, self.now) == len(_CHUNK):
            pass

    def _drain(self, flow: Flow) -> None:
        while not isinstance(got := self.ends[1].raw.recv(flow.receiver, 1 << 20, self.now), int):
            flow.received += len(got)

    def _accept(self) -> None:
        raw = self.ends[1].raw
        while not isinstance(got := raw.accept(self._listener, self.now), int):
            flow = self._waiting.pop(got[2][1])
            flow.receiver = got[0]
            self._of_receiver[got[0]] = flow
            self._drain(flow)

    def _told(self, which: int, handle: int, bits: int, error: int) -> None:
        if bits & _events.CLOSED and error:
            raise RuntimeError(f"a flow ended: {error}")
        if which == 0:
            if bits & _events.CONNECTED and handle in self._controls:
                self.guide.attach(handle, self._controls.pop(handle), self.now)
            self._fill(handle)
        elif handle == self._listener:
            self._accept()
        elif handle in self._of_receiver:
            self._drain(self._of_receiver[handle])

    # -- time -------------------------------------------------------------------------------------

    def _settle(self, which: int) -> None:
        """One stack has nothing left to do at this time; what it sent is on its way."""
        end, pipe = self.ends[which], self.pipes[which]
        while True:
            found = end.raw.poll_events(self.now, 64)
            if isinstance(found, int):
                raise RuntimeError(f"poll: {found}")  # noqa: TRY004
            for handle, bits, error in found:
                self._told(which, handle, bits, error)
            if which == 0 and end.raw.shared[3] and self.is_answering:
                self.guide.turn(self.now)
            while (data := end.link.read()) is not None:
                for at, packet in pipe.offer(data, self.now):
                    self._order += 1
                    heapq.heappush(self._heap, (at, self._order, 1 - which, packet))
            if not end.raw.shared[1] and end.raw.shared[0] > self.now:
                return

    def run(self, seconds: float, *, each: Callable[[], None] | None = None) -> None:
        """So much virtual time passes; `each` is called after every event."""
        until = self.now + round(seconds * SECOND)
        while True:
            times = [int(end.raw.shared[0]) for end in self.ends]
            due = min(times[0], times[1], self._heap[0][0] if self._heap else _events.NEVER)
            if due > until:
                break
            self.now = max(self.now, due)
            touched = {which for which in (0, 1) if times[which] <= self.now}
            while self._heap and self._heap[0][0] <= self.now:
                _, _, target, packet = heapq.heappop(self._heap)
                self.ends[target].link.write(packet)
                touched.add(target)
            for which in touched:
                self._settle(which)
            if each is not None:
                each()
        self.now = until

    def goodput(self, flow: Flow, seconds: float) -> float:
        """Bits per second of a flow over so much more virtual time."""
        before = flow.received
        self.run(seconds)
        return (flow.received - before) * 8 / seconds

    def close(self) -> None:
        for end in self.ends:
            end.raw.free()


def jain(rates: list[float]) -> float:
    """Jain's fairness index: 1 when all are equal, 1/n when one has everything."""
    return sum(rates) ** 2 / (len(rates) * sum(rate * rate for rate in rates))
