"""IPv4, IPv6, TCP and ICMP packets as values: a second opinion on what the engine does.

Written apart from csrc/wire on purpose, checksum included: it is the oracle the engine's packets
are held against. `decode` is strict and says what is wrong (`PacketError`); `encode` produces
whatever it is told to, wrong values too, since tests need those.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = (1 << bit for bit in range(9))
FLAG_NAMES = {  # ACK last, as the RFC's figures write it
    "SYN": SYN, "FIN": FIN, "RST": RST, "PSH": PSH, "URG": URG,
    "AE": AE, "ECE": ECE, "CWR": CWR, "ACK": ACK,
}  # fmt: skip
TCP, ICMP4, ICMP6 = 6, 1, 58


class PacketError(ValueError):
    """Bytes that are no well-formed packet; the message says why."""


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum (RFC 1071): what makes the ones' complement sum all ones."""
    if len(data) % 2:
        data += b"\0"
    total: int = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo_header(src: Address, dst: Address, protocol: int, length: int) -> bytes:
    """RFC 9293 3.1, RFC 8200 8.1."""
    if src.version == 4:
        return src.packed + dst.packed + struct.pack("!BBH", 0, protocol, length)
    return src.packed + dst.packed + struct.pack("!I3xB", length, protocol)


def parse_flags(text: str) -> int:
    """'SYN,ACK' as a number; '' and '.' are none."""
    value = 0
    for name in text.replace(".", "").split(","):
        if name.strip():
            value |= FLAG_NAMES[name.strip().upper()]
    return value


def flags_text(flags: int) -> str:
    return ",".join(name for name, bit in FLAG_NAMES.items() if flags & bit) or "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """TCP options. `order` is what was seen, kind by kind; `extra` is appended as it is."""

    mss: int | None = None
    wscale: int | None = None
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    timestamps: tuple[int, int] | None = None
    cookie: bytes | None = None
    """Of TCP Fast Open, RFC 7413; empty: one is asked for."""
    extra: bytes = b""
    order: tuple[int, ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        out = b""
        if self.mss is not None:
            out += struct.pack("!BBH", 2, 4, self.mss)
        if self.sack_permitted:
            out += b"\x04\x02" if self.timestamps is not None else b"\x01\x01\x04\x02"
        if self.timestamps is not None:
            lead = b"" if self.sack_permitted else b"\x01\x01"
            out += lead + struct.pack("!BBII", 8, 10, *self.timestamps)
        if self.wscale is not None:
            out += struct.pack("!BBBB", 1, 3, 3, self.wscale)
        if self.sack:
            out += struct.pack("!BBBB", 1, 1, 5, 2 + 8 * len(self.sack))
            out += b"".join(struct.pack("!II", *block) for block in self.sack)
        if self.cookie is not None:
            out += bytes([34, 2 + len(self.cookie)]) + self.cookie
            out += b"\1" * (-len(out) % 4)
        out += self.extra
        return out + b"\0" * (-len(out) % 4)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        found: dict[str, object] = {}
        order: list[int] = []
        at = 0
        while at < len(data):
            kind = data[at]
            order.append(kind)
            if kind == 0:
                if any(data[at:]):
                    raise PacketError("bytes after the end-of-options mark are not zero")
                break
            if kind == 1:
                at += 1
                continue
            if at + 1 >= len(data) or not 2 <= data[at + 1] <= len(data) - at:
                raise PacketError(f"option {kind} has a wrong length")
            body = data[at + 2 : at + data[at + 1]]
            at += data[at + 1]
            found.update(_option(kind, body))
        return cls(order=tuple(order), **found)  # type: ignore[arg-type]


def _option(kind: int, body: bytes) -> dict[str, object]:
    lengths = {2: 2, 3: 1, 4: 0, 8: 8}
    if kind in lengths and len(body) != lengths[kind]:
        raise PacketError(f"option {kind} has {len(body)} bytes of value")
    match kind:
        case 2:
            return {"mss": int.from_bytes(body)}
        case 3:
            return {"wscale": body[0]}
        case 4:
            return {"sack_permitted": True}
        case 5:
            if not body or len(body) % 8:
                raise PacketError(f"SACK option has {len(body)} bytes of value")
            edges = struct.unpack(f"!{len(body) // 4}I", body)
            return {"sack": tuple(zip(edges[::2], edges[1::2], strict=True))}
        case 8:
            return {"timestamps": struct.unpack("!II", body)}
        case 34:
            if len(body) % 2 or (len(body) not in range(4, 17) and body):
                raise PacketError(f"Fast Open option has {len(body)} bytes of value")
            return {"cookie": body}
    return {"extra": bytes([kind, len(body) + 2]) + body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A TCP segment. Sequence numbers are the wire's."""

    sport: int
    dport: int
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 65535
    urgent: int = 0
    options: Options = field(default_factory=Options)
    payload: bytes = b""
    reserved: int = 0  # the four bits beside the data offset, AE aside
    data_offset: int | None = None  # in 32-bit words; None = as it is
    checksum: int | None = None  # None = right

    @property
    def length(self) -> int:
        """Sequence space: SYN and FIN count (RFC 9293 3.4)."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)

    @property
    def end(self) -> int:
        return (self.seq + self.length) % 2**32

    def encode(self, src: Address, dst: Address) -> bytes:
        options = self.options.encode()
        offset = 5 + len(options) // 4 if self.data_offset is None else self.data_offset
        head = struct.pack(
            "!HHIIHH", self.sport, self.dport, self.seq % 2**32, self.ack % 2**32,
            (offset & 15) << 12 | self.reserved << 8 | self.flags, self.window,
        )  # fmt: skip
        tail = struct.pack("!H", self.urgent) + options + self.payload
        total = len(head) + 2 + len(tail)
        value = self.checksum
        if value is None:
            value = checksum(pseudo_header(src, dst, TCP, total) + head + b"\0\0" + tail)
        return head + struct.pack("!H", value) + tail

    @classmethod
    def decode(cls, data: bytes, src: Address, dst: Address, *, verify: bool = True) -> Self:
        if len(data) < 20:
            raise PacketError(f"TCP header cut at {len(data)} bytes")
        sport, dport, seq, ack, bits, window, value, urgent = struct.unpack("!HHIIHHHH", data[:20])
        size = (bits >> 12) * 4
        if not 20 <= size <= len(data):
            raise PacketError(f"TCP header of {size} bytes in a segment of {len(data)}")
        if verify and checksum(pseudo_header(src, dst, TCP, len(data)) + data):
            raise PacketError(f"TCP checksum {value:#06x} is wrong")
        return cls(
            sport=sport, dport=dport, seq=seq, ack=ack, flags=bits & 0x1FF,
            reserved=bits >> 8 & 14, window=window, urgent=urgent,
            options=Options.decode(data[20:size]), payload=data[size:],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Icmp:
    """An ICMP or ICMPv6 message: type, code, the four bytes after the checksum, and the rest."""

    type: int
    code: int = 0
    rest: int = 0
    body: bytes = b""

    def encode(self, src: Address, dst: Address) -> bytes:
        data = struct.pack("!BBHI", self.type, self.code, 0, self.rest) + self.body
        lead = pseudo_header(src, dst, ICMP6, len(data)) if src.version == 6 else b""
        return data[:2] + struct.pack("!H", checksum(lead + data)) + data[4:]

    @classmethod
    def decode(cls, data: bytes, src: Address, dst: Address) -> Self:
        if len(data) < 8:
            raise PacketError("ICMP message cut")
        lead = pseudo_header(src, dst, ICMP6, len(data)) if src.version == 6 else b""
        if checksum(lead + data):
            raise PacketError("ICMP checksum is wrong")
        kind, code, _, rest = struct.unpack("!BBHI", data[:8])
        return cls(type=kind, code=code, rest=rest, body=data[8:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """An IP packet with what it carries: a `Segment`, an `Icmp`, or bytes of `protocol`."""

    src: Address
    dst: Address
    body: Segment | Icmp | bytes
    protocol: int = 0  # of plain bytes
    ttl: int = 64
    tos: int = 0
    ident: int = 0
    dont_fragment: bool = True
    flow: int = 0
    options: bytes = b""  # IPv4 options, or IPv6 extension headers without the last next-header

    @property
    def segment(self) -> Segment:
        if not isinstance(self.body, Segment):
            raise PacketError("no TCP segment in the packet")
        return self.body

    def encode(self) -> bytes:
        protocol = self.protocol
        if isinstance(self.body, Segment):
            protocol = TCP
        elif isinstance(self.body, Icmp):
            protocol = ICMP4 if self.src.version == 4 else ICMP6
        data = self.body if isinstance(self.body, bytes) else self.body.encode(self.src, self.dst)
        if self.src.version == 6:
            word = 6 << 28 | self.tos << 20 | self.flow
            head = struct.pack("!IHBB", word, len(data), protocol, self.ttl)
            return head + self.src.packed + self.dst.packed + data
        size = 20 + len(self.options)
        head = struct.pack(
            "!BBHHHBBH", 4 << 4 | size // 4, self.tos, size + len(data), self.ident,
            self.dont_fragment << 14, self.ttl, protocol, 0,
        ) + self.src.packed + self.dst.packed + self.options  # fmt: skip
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data


def decode(data: bytes, *, verify: bool = True) -> Packet:
    """The packet in `data`, which must be exactly one. PacketError says what is wrong with it.

    `verify=False` does not look at TCP's checksum, which a capture has before the device fills it
    in.
    """
    if not data:
        raise PacketError("no bytes")
    version = data[0] >> 4
    if version == 4:
        packet, protocol, body = _decode4(data)
    elif version == 6:
        packet, protocol, body = _decode6(data)
    else:
        raise PacketError(f"IP version {version}")
    inner: Segment | Icmp | bytes = body
    if protocol == TCP:
        inner = Segment.decode(body, packet.src, packet.dst, verify=verify)
    elif protocol == (ICMP4 if version == 4 else ICMP6):
        inner = Icmp.decode(body, packet.src, packet.dst)
    return replace(packet, body=inner, protocol=protocol)


def _decode4(data: bytes) -> tuple[Packet, int, bytes]:
    if len(data) < 20:
        raise PacketError("IPv4 header cut")
    first, tos, total, ident, fragment, ttl, protocol, value = struct.unpack("!BBHHHBBH", data[:12])
    size = (first & 15) * 4
    if size < 20 or total != len(data) or size > total:
        raise PacketError(f"IPv4 header {size}, total length {total}, {len(data)} bytes there")
    if checksum(data[:size]):
        raise PacketError(f"IPv4 header checksum {value:#06x} is wrong")
    if fragment & 0x3FFF:
        raise PacketError("a fragment")
    packet = Packet(
        src=ipaddress.IPv4Address(data[12:16]), dst=ipaddress.IPv4Address(data[16:20]), body=b"",
        ttl=ttl, tos=tos, ident=ident, dont_fragment=bool(fragment & 0x4000), options=data[20:size],
    )  # fmt: skip
    return packet, protocol, data[size:]


def _decode6(data: bytes) -> tuple[Packet, int, bytes]:
    if len(data) < 40:
        raise PacketError("IPv6 header cut")
    word, length, protocol, ttl = struct.unpack("!IHBB", data[:8])
    if length + 40 != len(data):
        raise PacketError(f"IPv6 payload length {length}, {len(data) - 40} bytes there")
    packet = Packet(
        src=ipaddress.IPv6Address(data[8:24]), dst=ipaddress.IPv6Address(data[24:40]), body=b"",
        ttl=ttl, tos=word >> 20 & 255, flow=word & 0xFFFFF,
    )  # fmt: skip
    return packet, protocol, data[40:]
