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
    """When it was emitted: seconds since the stack was made."""
    seq: int
    """Relative to the stack's ISN."""
    ack: int | None
    """Relative to the peer's ISN; None without ACK."""
    flags: frozenset[str]
    """Names of the flags that are set."""
    data: bytes
    """Its text."""
    window: int
    """Bytes, scaled as agreed."""
    sack: tuple[tuple[int, int], ...]
    """SACK blocks, relative to the peer's ISN."""
    ts: tuple[int, int] | None
    """(TSval, TSecr); None without the option."""
    urgent: int
    """The urgent pointer's field."""
    packet: Packet
    """All of it."""

    @property
    def segment(self) -> Segment:
        """As it was on the wire."""
        return self.packet.segment

    @property
    def ecn(self) -> int:
        """The ECN field of the IP header (RFC 3168 5): 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE."""
        return self.packet.tos & 3

    @property
    def end(self) -> int:
        """The relative sequence number after it; SYN and FIN count."""
        return self.seq + self.segment.length

    @property
    def mss(self) -> int | None:
        """The MSS option, bytes; None without one."""
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
