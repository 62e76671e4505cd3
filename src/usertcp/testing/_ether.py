"""The station at the other end of an Ethernet memory link: answers ARP and neighbour solicitation
for every address but the stack's own, and takes Ethernet headers off and puts them on.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, TypeAlias

from usertcp.testing.packets import Icmp, Packet, PacketError, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

STATION = bytes.fromhex("02005e005301")
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_SOLICIT, _ADVERTISE = 135, 136


class EthernetPort:
    """`mac` and `own` are the stack's; every other address is here, at STATION."""

    def __init__(self, mac: bytes, own: Sequence[Interface]) -> None:
        self.mac = mac
        self.own: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = {
            interface.ip for interface in own
        }
        self.answering = True
        self.asked: list[str] = []  # addresses the stack asked for

    def to_stack(self, packet: bytes) -> bytes:
        kind = _IPV4 if packet[:1] and packet[0] >> 4 == 4 else _IPV6
        return self.mac + STATION + struct.pack("!H", kind) + packet

    def from_stack(self, frame: bytes) -> tuple[bytes | None, bytes | None]:
        """The IP packet in it, if it is one for the test; and a frame in reply, if one is due."""
        if len(frame) < 14:
            raise AssertionError(f"Ethernet frame of {len(frame)} bytes emitted")
        (kind,) = struct.unpack("!H", frame[12:14])
        body = frame[14:]
        if frame[6:12] != self.mac:
            raise AssertionError(f"frame from station {frame[6:12].hex()}, not {self.mac.hex()}")
        if kind == _ARP:
            return None, self._arp(body)
        if kind not in (_IPV4, _IPV6):
            raise AssertionError(f"frame of type {kind:#06x} emitted")
        if kind == _IPV6 and (reply := self._neighbour(body)) is not None:
            return None, reply
        return body, None

    def _arp(self, body: bytes) -> bytes | None:
        fields = struct.unpack("!HHBBH6s4s6s4s", body[:28])
        _, _, _, _, operation, sha, spa, _, tpa = fields
        target = ipaddress.IPv4Address(tpa)
        if operation != 1 or target in self.own or sha != self.mac:
            return None
        self.asked.append(str(target))
        if not self.answering:
            return None
        reply = struct.pack("!HHBBH6s4s6s4s", 1, _IPV4, 6, 4, 2, STATION, tpa, sha, spa)
        return self.mac + STATION + struct.pack("!H", _ARP) + reply

    def _neighbour(self, body: bytes) -> bytes | None:
        try:
            packet = decode(body)
        except PacketError:
            return None
        message = packet.body
        if not isinstance(message, Icmp) or message.type != _SOLICIT:
            return None
        target = ipaddress.IPv6Address(message.body[:16])
        if target in self.own:
            return None
        self.asked.append(str(target))
        if not self.answering:
            return None
        option = b"\x02\x01" + STATION
        advert = Icmp(type=_ADVERTISE, rest=0x60000000, body=target.packed + option)
        return self.to_stack(Packet(src=target, dst=packet.src, body=advert, ttl=255).encode())
