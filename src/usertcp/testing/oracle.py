"""What must hold for every packet a stack emits, whatever the test is about.

`check_emitted` looks at one packet alone; `FlowOracle` follows one direction of a connection as it
leaves the sender.
"""

from __future__ import annotations

from usertcp.testing.notation import describe, relative
from usertcp.testing.packets import (
    ACK,
    AE,
    CWR,
    ECE,
    FIN,
    RST,
    SYN,
    URG,
    Packet,
    PacketError,
    Segment,
    decode,
)

_ECT_0 = 2  # RFC 3168 5
_EMPTY_ANSWERS = 2  # an ACK of what came, and one that a timer had due at this very time
_ACCURATE = {2, 3, 4, 6}  # RFC 9768 3.1.2: AE, CWR and ECE of a SYN,ACK that agrees
_CLASSIC = {1, 3, 7}  # RFC 3168 6.1.1: agrees, asks; asks for either
_ON_SYN_ONLY = {2: "MSS", 3: "window scale", 4: "SACK permitted", 34: "Fast Open"}


class OracleError(AssertionError):
    """The engine emitted something no correct engine emits."""


def check_emitted(data: bytes, mtu: int, *, may_fragment: bool = False) -> Packet:
    """The packet, decoded. Checksums, lengths, flags and options are right, or OracleError.

    `may_fragment`: IPv4 packets may come without don't-fragment.
    """
    try:
        packet = decode(data)
    except PacketError as exc:
        raise OracleError(f"emitted packet is malformed: {exc}\n{data.hex()}") from None
    if len(data) > mtu:
        raise OracleError(f"packet of {len(data)} bytes on a link with MTU {mtu}")
    if packet.ttl < 1:
        raise OracleError("packet with TTL 0")
    if isinstance(packet.body, Segment):
        wrong = _segment_faults(packet.body)
        if packet.src.version == 4 and not (packet.dont_fragment or may_fragment):
            wrong.append("a TCP segment may be fragmented (RFC 1191)")
        if packet.tos & 3 and (packet.tos & 3 != _ECT_0 or not packet.body.payload):
            wrong.append("an ECN codepoint but ECT(0), or without data (RFC 3168 6.1)")
        if wrong:
            raise OracleError(f"emitted {describe(packet.body)}: {'; '.join(wrong)}")
    return packet


def check_answers(arrived: Segment, emitted: list[Segment]) -> None:
    """What a stack sends at once when `arrived` comes: no reset for a reset (RFC 9293 3.10.7.1),
    and of what carries nothing a few at most, else two stacks could keep each other busy.
    """
    name = arrived.dport, arrived.sport
    answers = [one for one in emitted if (one.sport, one.dport) == name]
    if arrived.flags & RST and any(one.flags & RST for one in answers):
        raise OracleError(f"a reset answers a reset: {describe(arrived)}")
    empty = [one for one in answers if not one.length]
    if len(empty) > _EMPTY_ANSWERS:
        raise OracleError(f"{len(empty)} empty segments answer one: {describe(arrived)}")


def _begins_with_dsack(segment: Segment) -> bool:
    blocks = segment.options.sack
    if not blocks:
        return False
    (left, right), second = blocks[0], blocks[1:2]
    if relative(left, segment.ack) < 0:
        return True
    return any(relative(left, a) >= 0 and relative(right, b) <= 0 for a, b in second)


def _segment_faults(segment: Segment) -> list[str]:
    flags, options = segment.flags, segment.options
    kinds = [kind for kind in options.order if kind > 1]
    syn_only = [name for kind, name in _ON_SYN_ONLY.items() if kind in kinds and not flags & SYN]
    # RFC 2883 4: a first block that says what came twice lies below the ACK, or within the second.
    held = options.sack[_begins_with_dsack(segment) :]
    faults = {
        "none of SYN, RST, ACK": not flags & (SYN | RST | ACK),
        "two of SYN, FIN, RST": (flags & (SYN | FIN | RST)).bit_count() > 1,
        "reserved bits set": segment.reserved,
        "acknowledgment number without ACK": segment.ack and not flags & ACK,
        "urgent pointer without URG": segment.urgent and not flags & URG,
        "RST with data": segment.payload and flags & RST,
        "data with a SYN without a cookie (RFC 7413 4.2.2)": flags & SYN
        and segment.payload
        and not options.cookie,
        "port 0": not (segment.sport and segment.dport),
        f"{syn_only} without SYN (RFC 9293 MUST-65)": syn_only,
        "an option twice": len(set(kinds)) != len(kinds),
        "an empty SACK block": any(relative(right, left) <= 0 for left, right in options.sack),
        "a SACK block twice": len(set(held)) != len(held),
    }
    return [text for text, found in faults.items() if found]


class FlowOracle:
    """One direction: what `sender` emits, judged with what had reached it from the other side.

    `permit` is the highest right edge (ack + window) delivered to the sender so far: data must not
    go beyond, but for a zero-window probe of one byte (RFC 9293 3.8.6.1).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.isn: int | None = None
        self.wscale: int | None = None  # what this side's SYN offered
        self.peer: FlowOracle | None = None
        self.heard: Segment | None = None  # the peer's SYN, as it arrived
        self.right_edge: int | None = None  # offered by this side
        self.permit: int | None = None
        self.timestamps: bool = False
        self.fin: int | None = None
        self.ecn_codes: set[int] = set()  # AE, CWR and ECE of its SYNs, as a number
        self.asked: bool = False  # its SYNs had no ACK
        self.sent: int | None = None  # the end of what has been sent

    def emitted(self, segment: Segment, tos: int = 0) -> None:
        """It leaves, in a packet of that traffic class."""
        if segment.flags & RST:
            return
        if segment.flags & SYN:
            if segment.seq != self.isn:  # a new incarnation
                heard = self.heard if segment.flags & ACK else None
                peer = self.peer
                self.__init__(self.name)  # type: ignore[misc]
                self.heard, self.peer = heard, peer
            self.isn = segment.seq
            self.wscale = segment.options.wscale
            self.timestamps = segment.options.timestamps is not None
            self.asked = not segment.flags & ACK
            self.ecn_codes.add((segment.flags & (AE | CWR | ECE)) >> 6)
        else:
            self._check_options(segment)
            self._check_permit(segment)
            self._check_ecn(segment, tos & 3)
        self.sent = segment.end if self._is_new(segment) else self.sent
        if segment.flags & FIN:
            self.fin = (segment.seq + len(segment.payload)) % 2**32
        if segment.flags & ACK:
            self._check_edge(segment)

    def delivered_from_peer(self, segment: Segment, peer: FlowOracle) -> None:
        """A segment of the other side has reached this one."""
        self.peer = peer
        if segment.flags & SYN and (self.heard is None or self.heard.seq != segment.seq):
            self.heard = segment
        if not segment.flags & ACK or segment.flags & RST or self.isn is None:
            return
        theirs = self.heard.options.wscale if self.heard is not None else None
        edge = (segment.ack + self._window(segment, theirs)) % 2**32
        if self.permit is None or relative(edge, self.permit) > 0:
            self.permit = edge

    def _window(self, segment: Segment, shift: int | None) -> int:
        """In bytes: scaled unless it is on a SYN, and only if both sides offered (RFC 7323 2.2)."""
        theirs = self.heard.options.wscale if self.heard is not None else None
        if segment.flags & SYN or shift is None or self.wscale is None or theirs is None:
            return segment.window
        return segment.window << min(shift, 14)

    def _check_options(self, segment: Segment) -> None:
        heard = self.heard
        agreed = self.timestamps and heard is not None and heard.options.timestamps is not None
        if agreed and segment.options.timestamps is None:
            raise OracleError(f"{self.name}: no timestamp though agreed: {describe(segment)}")

    def _is_new(self, segment: Segment) -> bool:
        return self.sent is None or relative(segment.end, self.sent) > 0

    def _check_ecn(self, segment: Segment, codepoint: int) -> None:
        """RFC 3168 6.1.1, 6.1.2, 6.1.5; RFC 9768 3.1.5."""
        mine = self.ecn_codes
        theirs = self.peer.ecn_codes if self.peer is not None else set()
        # CWR is a bit of a counter then.
        accurate = bool(_ACCURATE & (mine | theirs))
        cwr = segment.flags & CWR and not accurate
        if cwr and not segment.payload:
            raise OracleError(f"{self.name}: CWR without data (RFC 3168 6.1.2)")
        if segment.flags & AE and not accurate:
            raise OracleError(f"{self.name}: AE though not agreed (RFC 9768): {describe(segment)}")
        if not codepoint and not cwr:
            return
        if accurate:
            agreed = self.asked or 0 not in mine
        else:
            agreed = bool(_CLASSIC & theirs) and mine <= _CLASSIC
        if not agreed:
            raise OracleError(f"{self.name}: ECN though not agreed: {describe(segment)}")
        if not self._is_new(segment):
            raise OracleError(f"{self.name}: ECT or CWR on old data: {describe(segment)}")

    def _check_permit(self, segment: Segment) -> None:
        if self.permit is None or not segment.payload:
            return
        beyond = relative(segment.seq + len(segment.payload), self.permit)
        if beyond > 0 and not (beyond == 1 and len(segment.payload) == 1):
            raise OracleError(f"{self.name}: {beyond} bytes beyond the window: {describe(segment)}")

    def _check_edge(self, segment: Segment) -> None:
        peer = self.peer
        if peer is None or (peer.fin is not None and relative(segment.ack, peer.fin) > 0):
            return  # the peer's stream has ended: nothing is offered any more
        window = self._window(segment, self.wscale)
        edge = (segment.ack + window) % 2**32
        shift = self.wscale or 0
        if segment.flags & SYN and segment.window == 0xFFFF:
            edge = max(edge, self.right_edge or edge, key=lambda at: relative(at, edge))  # no scale
        if self.right_edge is None or relative(edge, self.right_edge) > 0:
            self.right_edge = edge
        elif segment.flags & SYN:
            pass  # RFC 7323 2.2: its field cannot say what was offered after the first (RFC 7413)
        elif relative(edge, self.right_edge) < -((1 << shift) - 1):
            by = relative(self.right_edge, edge)
            raise OracleError(f"{self.name}: right edge moved left by {by}: {describe(segment)}")
