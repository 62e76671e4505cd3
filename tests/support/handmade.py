"""TCP by hand over a `RawLink`: enough to shake hands with the kernel and to pass data.

No retransmission: in a namespace nothing is lost. IPv4 and IPv6, Ethernet (ARP and neighbour
solicitations are answered) and bare IP.
"""

import ipaddress
import struct
from dataclasses import dataclass

from support.rawlink import GSO_TCP4, GSO_TCP6, NEEDS_CSUM, Frame, Marks, RawLink

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def ones_sum(data: bytes, start: int = 0) -> int:
    if len(data) % 2:
        data += b"\0"
    total = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(src: str, dst: str, length: int, proto: int = 6) -> bytes:
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    return a.packed + b.packed + struct.pack(">II", length, proto)


def ip_packet(src: str, dst: str, payload: bytes, proto: int = 6, hops: int = 64) -> bytes:
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 6:
        return (
            struct.pack(">IHBB", 6 << 28, len(payload), proto, hops) + a.packed + b.packed + payload
        )
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, hops, proto, 0)
    head += a.packed + b.packed
    checksum = ~ones_sum(head) & 0xFFFF
    return head[:10] + checksum.to_bytes(2, "big") + head[12:] + payload


@dataclass(frozen=True)
class Segment:
    src: str
    dst: str
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    data: bytes
    checksum_ok: bool
    """Complete and right."""
    partial: bool
    """The field holds the sum of the pseudo-header only."""
    frame: Frame


def parse(frame: Frame, *, ethernet: bool) -> Segment | None:
    packet = frame.data
    if ethernet:
        if packet[12:14] not in (b"\x08\x00", b"\x86\xdd"):
            return None
        packet = packet[14:]
    if packet[0] >> 4 == 4:
        start, proto = (packet[0] & 15) * 4, packet[9]
        packet = packet[: int.from_bytes(packet[2:4], "big")]
        src, dst = (str(ipaddress.ip_address(packet[i : i + 4])) for i in (12, 16))
    else:
        start, proto = 40, packet[6]
        src, dst = (str(ipaddress.ip_address(packet[i : i + 16])) for i in (8, 24))
    if proto != 6:
        return None
    tcp = packet[start:]
    sport, dport, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", tcp)
    header = pseudo(src, dst, len(tcp))
    field = int.from_bytes(tcp[16:18], "big")
    return Segment(
        src, dst, sport, dport, seq, ack, flags, tcp[(offset >> 4) * 4 :],
        ones_sum(header + tcp) == 0xFFFF, field == ones_sum(header), frame,
    )  # fmt: skip


class HandmadeTcp:
    """One connection of ours; `ours` and `theirs` are (address, port)."""

    def __init__(
        self, link: RawLink, ours: tuple[str, int], theirs: tuple[str, int], seq: int = 1000
    ) -> None:
        self.link, self.ours, self.theirs = link, ours, theirs
        self.ethernet = link.info.medium == 0
        self.their_mac = b"\xff" * 6
        self.seq, self.ack = seq, 0

    def segment(
        self,
        flags: int,
        data: bytes = b"",
        *,
        gso_size: int = 0,
        partial: bool = False,
        seq: int | None = None,
        window: int = 65535,
    ) -> tuple[bytes, Marks]:
        options = b"\x02\x04\x05\xb4\x01\x03\x03\x07" if flags & SYN else b""
        tcp = struct.pack(
            ">HHIIBBHHH", self.ours[1], self.theirs[1], (self.seq if seq is None else seq) % 2**32,
            self.ack, (20 + len(options)) << 2, flags, window, 0, 0,
        ) + options  # fmt: skip
        length = len(tcp) + len(data)
        header = pseudo(self.ours[0], self.theirs[0], length)
        sum_ = ones_sum(header) if partial else ~ones_sum(header + tcp + data) & 0xFFFF
        tcp = tcp[:16] + sum_.to_bytes(2, "big") + tcp[18:]
        packet = ip_packet(self.ours[0], self.theirs[0], tcp + data)
        version = packet[0] >> 4
        if self.ethernet:
            kind = b"\x08\x00" if version == 4 else b"\x86\xdd"
            packet = self.their_mac + self.link.mac + kind + packet
        start = len(packet) - length
        if not partial:
            return packet, Marks()
        gso = (GSO_TCP4 if version == 4 else GSO_TCP6) if gso_size else 0
        return packet, Marks(NEEDS_CSUM, gso, gso_size, start, 16, start + len(tcp))

    def send(self, flags: int, data: bytes = b"", **how: int) -> None:
        packet, marks = self.segment(flags, data, **how)
        assert self.link.send(packet, marks) == 0
        self.seq += len(data) + bool(flags & SYN) + bool(flags & FIN)

    def answer_neighbour(self, frame: Frame) -> None:
        data = frame.data
        ours = ipaddress.ip_address(self.ours[0]).packed
        if data[12:14] == b"\x08\x06" and data[38:42] == ours:
            self.their_mac = data[6:12]
            reply = data[6:12] + self.link.mac + data[12:20] + b"\0\2" + self.link.mac
            self.link.send(reply + data[38:42] + data[22:28] + data[28:32])
        elif (
            data[12:14] == b"\x86\xdd"
            and data[20] == 58
            and data[54] == 135
            and data[62:78] == ours
        ):
            self.their_mac = data[6:12]
            target, asker = data[62:78], data[22:38]
            icmp = b"\x88\0\0\0\x60\0\0\0" + target + b"\2\1" + self.link.mac
            src, dst = (str(ipaddress.ip_address(a)) for a in (target, asker))
            checksum = ~ones_sum(pseudo(src, dst, len(icmp), 58) + icmp) & 0xFFFF
            icmp = icmp[:2] + checksum.to_bytes(2, "big") + icmp[4:]
            packet = ip_packet(src, dst, icmp, 58, 255)
            self.link.send(data[6:12] + self.link.mac + b"\x86\xdd" + packet)

    def segments(self, *, count: int = 1, within: float = 5) -> list[Segment]:
        """The next segments of this connection; asks about our address are answered meanwhile."""

        def wanted(frame: Frame) -> bool:
            if self.ethernet:
                self.answer_neighbour(frame)
            segment = parse(frame, ethernet=self.ethernet)
            return segment is not None and segment.dport == self.ours[1]

        got = [
            parse(f, ethernet=self.ethernet)
            for f in self.link.frames(wanted, count=count, within=within)
        ]
        return [segment for segment in got if segment is not None]

    def next(self, **how: float) -> Segment:
        (segment,) = self.segments(**how)  # type: ignore[arg-type]
        return segment

    def connect(self) -> None:
        if self.ethernet:
            self.their_mac = self.find_mac()
        self.send(SYN)
        answer = self.next()
        assert answer.flags == SYN | ACK, answer
        self.ack = (answer.seq + 1) % 2**32
        self.send(ACK)

    def accept(self) -> None:
        syn = self.next()
        assert syn.flags & SYN, syn
        self.theirs = (syn.src, syn.sport)
        self.ack = (syn.seq + 1) % 2**32
        self.send(SYN | ACK)
        assert self.next().flags & ACK

    def find_mac(self) -> bytes:
        """Of the kernel's end, known to the test by other means than ARP."""
        from usertcp import netns

        return bytes.fromhex(netns.device_mac("v0").replace(":", ""))

    def read(self, total: int) -> tuple[bytes, list[Segment]]:
        """Receives in order and acknowledges every frame."""
        data, seen = b"", []
        while len(data) < total:
            segment = self.next()
            if segment.seq != self.ack or not segment.data:
                continue
            seen.append(segment)
            data += segment.data
            self.ack = (self.ack + len(segment.data)) % 2**32
            self.send(ACK)
        return data, seen
