"""The RFCs' equations in whole segments, clocked by ACKs: what `sawtooth.fluid` leaves out.

Windows of a dozen segments move in whole ones: seven leave of 7.5, a receiver acknowledges every
second, the odd one waits. Of the engine nothing is used. Windows are floats, the equations those of
`sawtooth`; a loss is found as RFC 8985 does where nothing is reordered, repaired with RFC 9937.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf

from support.sawtooth import DUP_THRESH, MSS, Cubic, Reno

PACKET = 1500  # bytes
DELAYED_ACK = 0.04  # s, RFC 9293 3.8.6.3: less than 0.5


@dataclass
class Receiver:
    """RFC 9293 3.8.6.3: each second segment, what is out of order at once."""

    expects: int = 0
    beyond: set[int] = field(default_factory=set)
    waits_until: float = inf

    def take(self, segment: int, now: float) -> bool:
        """Whether an ACK leaves."""
        late = segment != self.expects
        filled = bool(self.beyond)
        if segment > self.expects:
            self.beyond.add(segment)
        elif not late:
            self.expects += 1
            while self.expects in self.beyond:
                self.beyond.remove(self.expects)
                self.expects += 1
        if late or filled or self.waits_until < inf:
            self.waits_until = inf
            return True
        self.waits_until = now + DELAYED_ACK
        return False


@dataclass
class Sent:
    """The last transmission of a segment that is neither SACKed nor acknowledged."""

    order: int
    at: float
    lost: bool = False


class Flow:
    """One flow over a link whose queue is never full. Times in s, volumes in segments."""

    def __init__(self, name: str, rate: float, rtt: float, losses: Iterator[int]) -> None:
        self.control = Reno() if name == "reno" else Cubic()
        self.takes, self.delay = PACKET * 8 / rate, rtt / 2
        self.rtt = rtt + self.takes
        self.losses, self.next_loss = losses, next(losses)
        self.now = self.link_free = 0.0
        self.cwnd, self.ssthresh = self.control.window, inf
        self.una = self.nxt = self.transmissions = 0
        self.out: dict[int, Sent] = {}
        self.sacked: set[int] = set()
        self.lost = 0  # of `out`
        self.newest = Sent(0, 0.0)  # RACK.segment
        self.point: int | None = None  # of recovery
        self.flight_at_dup: int | None = None
        self.begins = False  # a stage of congestion avoidance
        self.fs = self.delivered = self.sent = 0  # of PRR
        self.reorder_due = inf
        self.receiver = Receiver()
        self.data: deque[tuple[float, int]] = deque()
        self.acks: deque[tuple[float, int, int]] = deque()

    # -- the path ----------------------------------------------------------------------------------

    def _send(self, segment: int) -> None:
        self.transmissions += 1
        self.out[segment] = Sent(self.transmissions, self.now)
        self.link_free = max(self.link_free, self.now) + self.takes
        if self.transmissions == self.next_loss:
            self.next_loss += next(self.losses)
        else:
            self.data.append((self.link_free + self.delay, segment))

    def start(self) -> None:
        """The first window leaves."""
        self._output()

    def run(self, until: float) -> None:
        """Time passes."""
        while True:
            data = self.data[0][0] if self.data else inf
            ack = self.acks[0][0] if self.acks else inf
            due = min(data, ack, self.receiver.waits_until, self.reorder_due)
            if due > until:
                return
            self.now = due
            if due == data:
                segment = self.data.popleft()[1]
                if self.receiver.take(segment, due):
                    self.acks.append((due + self.delay, self.receiver.expects, segment))
            elif due == self.receiver.waits_until:
                self.receiver.waits_until = inf
                self.acks.append((due + self.delay, self.receiver.expects, -1))
            elif due == ack:
                self._take(*self.acks.popleft()[1:])
            else:
                self._detect()
            self._output()

    # -- the sender --------------------------------------------------------------------------------

    def _pipe(self) -> int:
        return len(self.out) - self.lost

    def _output(self) -> None:
        pipe = self._pipe()
        for segment in [n for n, one in self.out.items() if one.lost] if self.lost else ():
            if pipe + 1 > self.cwnd:
                return
            del self.out[segment]
            self.lost -= 1
            self._send(segment)
            self.sent += 1
            pipe += 1
        while pipe + 1 <= self.cwnd:
            self._send(self.nxt)
            self.nxt += 1
            self.sent += 1
            pipe += 1

    def _hears_of(self, segment: int) -> int:
        one = self.out.pop(segment, None)
        if one is None:
            return 0
        self.lost -= one.lost
        if one.order > self.newest.order:
            self.newest = one
        return 1

    def _take(self, ack: int, segment: int) -> None:
        acked = max(0, ack - self.una)
        had = sum(n in self.sacked for n in range(self.una, ack))
        if segment > ack and self.flight_at_dup is None:
            self.flight_at_dup = self.nxt - self.una
        delivered = sum(self._hears_of(n) for n in range(self.una, ack))
        self.sacked -= set(range(self.una, ack))
        self.una = max(self.una, ack)
        if segment > ack:
            delivered += self._hears_of(segment)
            self.sacked.add(segment)
        if acked and self.point is None:
            self._grow(acked - had)
        if self.point is not None and self.una >= self.point:
            self.point = None
            self.cwnd = self.ssthresh
            self.begins = True
        if acked and not self.sacked:
            self.flight_at_dup = None
        found = self._detect()
        if self.point is not None:
            self._reduce_rate(delivered, safe=acked > 0 and not found)

    def _grow(self, acked: int) -> None:
        if self.cwnd < self.ssthresh:
            self.cwnd += acked
            return
        if self.begins:
            self.control.begin(self.cwnd, self.now)
            self.begins = False
        self.control.grow(acked, self.now, self.rtt)
        self.cwnd = self.control.window

    def _detect(self) -> bool:
        """RFC 8985 6.2 without reordering: what left before something that has arrived."""
        self.reorder_due = inf
        if not self.sacked and self.point is None:
            return False
        found = False
        patience = 0.0
        if self.point is None and len(self.sacked) < DUP_THRESH:
            patience = self.rtt / 4
        for one in self.out.values():
            if one.lost or one.order > self.newest.order:
                continue
            due = one.at + self.rtt + patience
            if patience and due > self.now:
                self.reorder_due = min(self.reorder_due, due)
            else:
                one.lost = found = True
                self.lost += 1
        if found and self.point is None:
            self._enter()
        return found

    def _enter(self) -> None:
        flight = self.flight_at_dup or self.nxt - self.una
        self.flight_at_dup = None
        self.control.window = self.cwnd
        self.ssthresh = max(self.control.reduce(min(flight, self.cwnd)), 2.0)
        self.point = self.nxt
        self.fs = max(1, self.nxt - self.una - len(self.sacked) + 1)
        self.delivered = self.sent = 0
        self.cwnd = self.ssthresh

    def _reduce_rate(self, delivered: int, *, safe: bool) -> None:
        """RFC 9937 6.2."""
        pipe = self._pipe()
        self.delivered += delivered
        if pipe > self.ssthresh:
            room = ceil(self.delivered * self.ssthresh / self.fs) - self.sent
        else:
            room = max(self.delivered - self.sent, delivered) + safe
            room = min(self.ssthresh - pipe, room)
        if self.sent == 0:
            room = max(room, 1)
        self.cwnd = pipe + max(room, 0)


def goodput(flow: Flow, warm: float, seconds: float) -> float:
    """Bits per second from `warm` s on."""
    flow.start()
    flow.run(warm)
    before = flow.receiver.expects
    flow.run(warm + seconds)
    return (flow.receiver.expects - before) * MSS * 8 / seconds
