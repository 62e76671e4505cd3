"""What routers do to packets: say that one is too large for their next link, or mark it."""

from __future__ import annotations

import ipaddress

from usertcp.testing.packets import Icmp, Packet, checksum

ROUTER = {4: ipaddress.ip_address("192.0.2.1"), 6: ipaddress.ip_address("2001:db8::1")}
_QUOTED = {4: 28, 6: 1232}  # RFC 792: header and eight bytes; RFC 4443 3.2: what fits in 1280
_SOURCE = {4: slice(12, 16), 6: slice(8, 24)}


def packet_too_big(packet: bytes, mtu: int) -> bytes:
    """The ICMP message about `packet`: RFC 1191 4, RFC 4443 3.2."""
    version = packet[0] >> 4
    kind, code = (3, 4) if version == 4 else (2, 0)
    body = Icmp(type=kind, code=code, rest=mtu, body=packet[: _QUOTED[version]])
    sender = ipaddress.ip_address(packet[_SOURCE[version]])
    return Packet(src=ROUTER[version], dst=sender, body=body).encode()


def mark_ce(packet: bytes) -> bytes | None:
    """The packet with congestion experienced (RFC 3168 5); None: its ends do not understand it."""
    changed = bytearray(packet)
    if packet[0] >> 4 == 6:
        if not packet[1] & 0x30:
            return None
        changed[1] |= 0x30
        return bytes(changed)
    if not packet[1] & 3:
        return None
    changed[1] |= 3
    head = 4 * (packet[0] & 15)
    changed[10:12] = bytes(2)
    changed[10:12] = checksum(bytes(changed[:head])).to_bytes(2, "big")
    return bytes(changed)


def may_fragment(packet: bytes) -> bool:
    """An IPv4 packet without don't-fragment: a router would cut it."""
    return packet[0] >> 4 == 4 and not packet[6] & 0x40
