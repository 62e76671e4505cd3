"""The white-box module, and what every test of base/ and wire/ needs around it."""

import ipaddress
from typing import Any

from usertcp import _whitebox

ffi: Any = _whitebox.ffi
lib: Any = _whitebox.lib

_REASONS: dict[int, str] = ffi.typeof("enum drop_reason").elements


def reason(code: int) -> str:
    """The drop reason's name without its prefix; "none" for not dropped."""
    return _REASONS[code].removeprefix("DROP_")


def exact(data: bytes | bytearray) -> Any:
    """A copy with nothing after its last byte, so that a sanitizer sees each byte read beyond."""
    return ffi.gc(lib.wb_bytes_copy(bytes(data), len(data)), lib.wb_bytes_free)


def addr(text: str) -> bytes:
    """16 bytes as in wire/addr.h."""
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return bytes(10) + b"\xff\xff" + address.packed
    return address.packed


def ones_sum(data: bytes, start: int = 0) -> int:
    """RFC 1071, the slow and certain way: 16 bits, not inverted."""
    if len(data) % 2:
        data += b"\0"
    total = start + sum(int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo_header(src: str, dst: str, proto: int, length: int) -> bytes:
    """What a checksum covers besides the segment (RFC 9293 3.1, RFC 8200 8.1)."""
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 4:
        return a.packed + b.packed + bytes([0, proto]) + length.to_bytes(2)
    return a.packed + b.packed + length.to_bytes(4) + bytes([0, 0, 0, proto])
