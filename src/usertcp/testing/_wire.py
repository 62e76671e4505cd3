"""What a scripted peer is connected to, and what it gets from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from usertcp.testing.packets import Segment, flags_text

if TYPE_CHECKING:
    from usertcp.testing._engine import Emitted, EngineHarness
    from usertcp.testing.notation import Trace
    from usertcp.testing.packets import Address, Packet
    from usertcp.testing.peer import Peer


@dataclass(frozen=True, slots=True)
class Got:
    """A segment of the stack, in the peer's terms."""

    at: float
    seq: int
    ack: int | None
    flags: frozenset[str]
    data: bytes
    window: int
    sack: tuple[tuple[int, int], ...]
    ts: tuple[int, int] | None
    urgent: int
    packet: Packet

    @property
    def segment(self) -> Segment:
        return self.packet.segment

    @property
    def end(self) -> int:
        return self.seq + self.segment.length

    @property
    def mss(self) -> int | None:
        return self.segment.options.mss


class Wire:
    """The link of one stack, seen from its other end: hands what it emits to the right peer."""

    def __init__(self, engine: EngineHarness, trace: Trace) -> None:
        self.engine = engine
        self.trace = trace
        self.peers: dict[tuple[Address, int], Peer] = {}
        self.icmp: list[Packet] = []
        self.strays: list[Packet] = []
        engine.on_emitted = self._emitted

    def _emitted(self, one: Emitted) -> None:
        body = one.packet.body
        if not isinstance(body, Segment):
            self.icmp.append(one.packet)
            return
        peer = self.peers.get((one.packet.dst, body.dport))
        if peer is None:
            self.strays.append(one.packet)
        else:
            peer.took(one)


def flag_set(segment: Segment) -> frozenset[str]:
    text = flags_text(segment.flags)
    return frozenset() if text == "." else frozenset(text.split(","))
