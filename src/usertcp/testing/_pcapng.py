"""pcapng files (draft-ietf-opsawg-pcapng): the packets in them, as IP packets.

Either byte order, several sections and interfaces, any resolution of time; Ethernet (with VLAN
tags) and bare IP. What a file was cut short of, a crash for instance, ends it without an error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTION, INTERFACE, SIMPLE, PACKET = 0x0A0D0D0A, 1, 3, 6
_MAGIC = b"\x1a\x2b\x3c\x4d"
_BLOCK_MAX = 1 << 26
_ETHERNET, _IP = 1, (101, 228, 229)
_IP_TYPES, _VLAN_TYPES = (0x0800, 0x86DD), (0x8100, 0x88A8)
_FLAGS, _RESOLUTION = 2, 9


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """An IP packet of a capture."""

    at_ns: int
    outgoing: bool | None  # None: the file does not say
    data: bytes  # padded with zeros to its length on the wire


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    per_second: int  # units of time


class _Section:
    def __init__(self, order: str) -> None:
        self.order = order
        self.interfaces: list[_Interface] = []


def read_pcapng(path: str | Path) -> Iterator[CapturedPacket]:
    """`OSError` when it cannot be read, `ValueError` when it is no pcapng file."""
    data = Path(path).read_bytes()
    if data[:4] != struct.pack("<I", SECTION):
        raise ValueError(f"{path} is no pcapng file")
    section = _Section("<")
    at = 0
    while at + 12 <= len(data):
        if data[at : at + 4] == struct.pack("<I", SECTION):  # the same in either order
            section = _Section(">" if data[at + 8 : at + 12] == _MAGIC else "<")
        kind, size = struct.unpack_from(f"{section.order}II", data, at)
        if size < 12 or size % 4 or size > _BLOCK_MAX:
            raise ValueError(f"{path}: a block of {size} bytes at offset {at}")
        if at + size > len(data):
            return
        body = data[at + 8 : at + size - 4]
        at += size
        try:
            packet = _block(section, kind, body)
        except (struct.error, IndexError):
            raise ValueError(f"{path}: a broken block before offset {at}") from None
        if packet is not None:
            yield packet


def _block(section: _Section, kind: int, body: bytes) -> CapturedPacket | None:
    order = section.order
    if kind == INTERFACE:
        (link_type,) = struct.unpack_from(f"{order}H", body)
        if link_type != _ETHERNET and link_type not in _IP:
            raise ValueError(f"link type {link_type}: only Ethernet and IP are understood")
        raw = _options(order, body[8:]).get(_RESOLUTION, b"\x06")[0]
        units = 2 ** (raw & 127) if raw & 128 else 10**raw
        section.interfaces.append(_Interface(link_type, units))
    elif kind == PACKET:
        number, high, low, captured, length = struct.unpack_from(f"{order}5I", body)
        interface = section.interfaces[number]
        flags = _options(order, body[20 + (captured + 3 & ~3) :]).get(_FLAGS)
        way = struct.unpack(f"{order}I", flags)[0] & 3 if flags else 0
        at_ns = (high << 32 | low) * 10**9 // interface.per_second
        data = _ip_of(interface.link_type, body[20 : 20 + captured], length)
        if data is not None:
            return CapturedPacket(at_ns, {1: False, 2: True}.get(way), data)
    elif kind == SIMPLE:
        raise ValueError("packets without times (simple packet blocks) make no picture")
    return None


def _options(order: str, data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(f"{order}HH", data, at)
        if code == 0:
            break
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + (size + 3 & ~3)
    return found


def _ip_of(link_type: int, frame: bytes, length: int) -> bytes | None:
    """The IP packet of a frame, without padding and with zeros for what was not captured."""
    if link_type == _ETHERNET:
        at = 12
        while int.from_bytes(frame[at : at + 2]) in _VLAN_TYPES:
            at += 4
        if int.from_bytes(frame[at : at + 2]) not in _IP_TYPES:
            return None
        frame, length = frame[at + 2 :], length - at - 2
    if len(frame) < 20:
        return None
    if frame[0] >> 4 == 4:
        total = int.from_bytes(frame[2:4])
    else:
        total = 40 + int.from_bytes(frame[4:6])
    if total > max(length, len(frame)):
        return None
    return frame[:total].ljust(total, b"\0")
