"""Who else is there: somebody off the path who guesses, and a vandal on it who changes packets."""

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from support.transfer import Program, Transfer
from usertcp import State
from usertcp.testing import SECOND
from usertcp.testing.impair import Pipe
from usertcp.testing.packets import (
    ACK,
    AE,
    CWR,
    ECE,
    FIN,
    PSH,
    RST,
    SYN,
    URG,
    Icmp,
    Options,
    Packet,
    PacketError,
    Segment,
    decode,
)

_ERRORS = {
    4: ((3, 0), (3, 1), (3, 2), (3, 3), (3, 13), (11, 0), (4, 0)),
    6: ((1, 0), (1, 4), (3, 0)),
}
_TOO_BIG = {4: (3, 4), 6: (2, 0)}
_ALONE = (State.CLOSED, State.SYN_SENT, State.TIME_WAIT)
HALF = 1 << 31


class OffPath:
    """Knows addresses and ports and nearly the numbers, and never sees a packet.

    It never guesses what would be believed: a reset at RCV.NXT, or data in the window with an
    acknowledgment in range. And no SYN for SYN-SENT (a simultaneous open) or for TIME-WAIT without
    timestamps (RFC 9293 MAY-2).
    """

    def __init__(self, flows: Sequence[Transfer[Any]], rng: random.Random) -> None:
        self.flows, self.rng = flows, rng
        self.sim = flows[0].sim
        self.every = round(rng.choice((0.001, 0.02, 1.0)) * SECOND)
        self.left = 2000
        self._again()

    def _again(self) -> None:
        self.left -= 1
        if self.left > 0:
            self.sim.call_at(self.sim.now + 1 + self.rng.randrange(2 * self.every), self._strike)

    def _strike(self) -> None:
        flow = self.rng.choice(self.flows)
        one, other = flow.client, flow.server
        if other.connection is not None:  # so both are beyond SYN-SENT
            target = one if self.rng.random() < 0.5 else other
            # What a host that stands still has in its queue makes RCV.NXT another by then.
            if target.connection and not target.closed and not target.host.is_stalled:
                info = target.connection.info
                if info.state not in _ALONE:
                    self._forge(target, info)
        self._again()

    def _forge(self, target: Program, info: Any) -> None:
        mine, theirs = (ipaddress.ip_address(end[0]) for end in (info.local, info.remote))
        # Before a connection is synchronized hard errors end it: RFC 5927 5.2.
        if info.state != State.SYN_RECEIVED and self.rng.random() < 0.15:
            body: Segment | Icmp = self._error(mine, theirs, info)
            src = ipaddress.ip_address("192.0.2.9" if mine.version == 4 else "2001:db8::9")
        else:
            body, src = self._segment(info), theirs
        target.host.simulator.forge(target.host, Packet(src=src, dst=mine, body=body).encode())

    def _segment(self, info: Any) -> Segment:
        rng = self.rng
        near = info.rcv_nxt + 1 + rng.randrange(max(info.rcv_wnd, 2))  # in the window, not its edge
        seq = rng.choice(
            (near, near, info.rcv_nxt - 1 - rng.randrange(70_000), rng.getrandbits(32))
        )
        # Beyond what was sent, or further back than any window: RFC 5961 5.2.
        ack = info.snd_nxt + HALF // 2 + rng.randrange(HALF)
        flags = rng.choice((RST, RST | ACK, SYN, SYN | ACK, ACK, ACK | PSH, ACK | FIN, None))
        made = Segment(
            sport=info.remote[1], dport=info.local[1], seq=seq % 2**32, ack=ack % 2**32,
            flags=rng.randrange(64) if flags is None else flags, window=rng.getrandbits(16),
            urgent=rng.getrandbits(16), payload=b"evil" * rng.randrange(3),
            options=Options(mss=536) if rng.random() < 0.1 else Options(),
        )  # fmt: skip
        if made.flags & RST and made.seq == info.rcv_nxt:
            return replace(made, seq=(made.seq + 1) % 2**32)
        return made

    def _error(self, mine: Any, theirs: Any, info: Any) -> Icmp:
        """Quotes a segment of the target's: one in flight, or any."""
        rng, version = self.rng, mine.version
        seq = rng.choice((info.snd_una, rng.getrandbits(32)))
        quoted = Packet(
            src=mine, dst=theirs,
            body=Segment(sport=info.local[1], dport=info.remote[1], seq=seq, flags=ACK),
        ).encode()  # fmt: skip
        if rng.random() < 0.4:
            kind, code = _TOO_BIG[version]
            return Icmp(type=kind, code=code, rest=rng.choice((0, 68, 600, 1300)), body=quoted)
        kind, code = rng.choice(_ERRORS[version])
        return Icmp(type=kind, code=code, body=quoted)


@dataclass
class Habits:
    """What a vandal does, each with its probability."""

    window: float = 0.0
    replay: float = 0.0
    split: float = 0.0
    merge: float = 0.0
    divide: float = 0.0  # ACKs into several, that also end within segments
    sack: float = 0.0  # leaves SACK blocks out
    flags: float = 0.0  # PSH, URG with any pointer, ECE, CWR, AE
    payload: float = 0.0  # with repaired checksums: nobody can tell
    strips: frozenset[str] = frozenset()  # options, from every SYN
    late_syn: float = 0.0  # seconds or so until a SYN with data comes again, and again


class Vandal:
    """In a pipe's place: takes packets apart and puts them together, changes windows, repeats what
    passed a moment ago. `calm` once faults have stopped."""

    def __init__(self, pipe: Pipe, rng: random.Random, habits: Habits) -> None:
        self.pipe, self.rng, self.habits = pipe, rng, habits
        self.calm = False
        self.until = 0  # nothing comes again later
        self.late: list[tuple[int, bytes]] = []
        self.seen: list[tuple[int, bytes]] = []
        self.held: tuple[int, Packet] | None = None  # waits for its continuation
        self.acked: dict[int, int] = {}  # by the sender's port: the last ACK that passed

    @property
    def impairment(self) -> Any:
        return self.pipe.impairment

    @impairment.setter
    def impairment(self, value: Any) -> None:
        self.pipe.impairment = value

    def take_reports(self) -> list[tuple[int, bytes]]:
        return self.pipe.take_reports()

    def offer(self, data: bytes, now: int) -> list[tuple[int, bytes]]:
        """As a pipe's."""
        out = []
        for one in self._changed(data, now):
            out += self.pipe.offer(one, now)
        out += [late for late in self.late if late[0] < self.until]
        self.late.clear()
        return out

    def _changed(self, data: bytes, now: int) -> list[bytes]:
        rng, habits = self.rng, self.habits
        try:
            packet = decode(data)
        except PacketError:
            return [data]
        if self.calm or not isinstance(packet.body, Segment):
            return [data]
        packets: list[bytes] = []
        body = self._joined(self._stripped(packet.body), now, packets)
        if habits.late_syn and body.flags & SYN and body.payload:
            waits = [rng.expovariate(1 / habits.late_syn) for _ in range(rng.choice((1, 3)))]
            again = replace(packet, body=body).encode()
            self.late = [(now + round(wait * SECOND), again) for wait in waits]
        if rng.random() < habits.window and not body.flags & SYN:
            factor = rng.choice((0, 0.1, 0.5, 2))
            body = replace(body, window=min(round(body.window * factor), 65535))
        if body.payload and rng.random() < habits.payload:
            at = rng.randrange(len(body.payload))
            text = body.payload[:at] + bytes([rng.getrandbits(8)]) + body.payload[at + 1 :]
            body = replace(body, payload=text)
        body = self._adorned(body)
        packets += self._divided(packet, body)
        packet = replace(packet, body=body)
        if self._may_hold(body) and rng.random() < habits.merge:
            self.held = now, packet
            return packets
        packets += self._split(packet) if rng.random() < habits.split else [packet.encode()]
        if rng.random() < habits.replay:
            recent = [old for at, old in self.seen if at > now - SECOND // 4]
            packets += recent and [rng.choice(recent)]
        self.seen = [*self.seen[-20:], (now, data)]
        return packets

    def _adorned(self, body: Segment) -> Segment:
        rng = self.rng
        if body.flags & (SYN | RST):
            return body
        if body.options.sack and rng.random() < self.habits.sack:
            fewer = body.options.sack[: rng.randrange(len(body.options.sack))]
            body = replace(body, options=replace(body.options, sack=fewer))
        if rng.random() < self.habits.flags:
            flags = body.flags ^ rng.choice((PSH, ECE, CWR, AE, URG))
            body = replace(body, flags=flags, urgent=rng.getrandbits(16) if flags & URG else 0)
        return body

    def _divided(self, packet: Packet, body: Segment) -> list[bytes]:
        """ACKs of parts of what `body` acknowledges, which is to follow."""
        flow = body.sport << 16 | body.dport
        before, now = self.acked.get(flow), body.ack
        self.acked[flow] = now
        if before is None or body.flags & (SYN | FIN | RST) or body.payload:
            return []
        news = (now - before) % 2**32
        if not 1 < news < HALF or self.rng.random() >= self.habits.divide:
            return []
        at = sorted(self.rng.randrange(1, news) for _ in range(self.rng.choice((1, 1, 2, 10))))
        parts = (replace(body, ack=(before + part) % 2**32) for part in at)
        return [replace(packet, body=part).encode() for part in parts]

    def _stripped(self, body: Segment) -> Segment:
        if not body.flags & SYN or not self.habits.strips:
            return body
        gone: dict[str, Any] = dict.fromkeys(self.habits.strips)
        if "sack_permitted" in gone:
            gone["sack_permitted"] = False
        return replace(body, options=replace(body.options, **gone))

    def _may_hold(self, body: Segment) -> bool:
        plain = not body.flags & (SYN | FIN | RST)
        return self.held is None and bool(body.payload) and len(body.payload) < 600 and plain

    def _joined(self, body: Segment, now: int, packets: list[bytes]) -> Segment:
        """With what was held if it continues that; else that goes first, unless it is old."""
        held, self.held = self.held, None
        if held is None or now - held[0] > SECOND // 4:
            return body
        first = held[1].segment
        follows = body.payload and body.seq == first.end and not body.flags & (SYN | RST)
        if not follows or len(first.payload) + len(body.payload) > 1200:
            packets.append(held[1].encode())
            return body
        return replace(body, seq=first.seq, payload=first.payload + body.payload)

    def _split(self, packet: Packet) -> list[bytes]:
        body = packet.segment
        if len(body.payload) < 2 or body.flags & (SYN | RST):
            return [packet.encode()]
        at = self.rng.randrange(1, len(body.payload))
        first = replace(body, payload=body.payload[:at], flags=body.flags & ~(FIN | PSH))
        second = replace(body, payload=body.payload[at:], seq=(body.seq + at) % 2**32)
        return [replace(packet, body=part).encode() for part in (first, second)]
