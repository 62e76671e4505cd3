"""IP packets in pieces, as a router or an attacker makes them."""

import struct

from usertcp.testing.packets import checksum

FRAGMENT_HEADER = 44


def piece(
    whole: bytes, lo: int, hi: int, *, more: bool | None = None, ident: int = 7,
    tos: int | None = None, body: bytes | None = None,
) -> bytes:  # fmt: skip
    """Octets [lo, hi) of a packet's payload as a fragment. `body`: others in their place."""
    header = 20 if whole[0] >> 4 == 4 else 40
    data = whole[header:][lo:hi] if body is None else body
    more = hi < len(whole) - header if more is None else more
    if header == 20:
        head = bytearray(whole[:20])
        if tos is not None:
            head[1] = tos
        struct.pack_into("!HHH", head, 2, 20 + len(data), ident, more << 13 | lo // 8)
        struct.pack_into("!H", head, 10, 0)
        struct.pack_into("!H", head, 10, checksum(bytes(head)))
        return bytes(head) + data
    extension = struct.pack("!BBHI", whole[6], 0, lo | more, ident)
    word = struct.unpack("!I", whole[:4])[0]
    if tos is not None:
        word = word & 0xF00FFFFF | tos << 20
    head6 = struct.pack("!IHBB", word, 8 + len(data), FRAGMENT_HEADER, whole[7])
    return head6 + whole[8:40] + extension + data


def pieces(whole: bytes, *cuts: int, **fields: int) -> list[bytes]:
    """All of it, cut at these offsets (multiples of 8)."""
    size = len(whole) - (20 if whole[0] >> 4 == 4 else 40)
    ends = [0, *cuts, size]
    return [piece(whole, a, b, **fields) for a, b in zip(ends, ends[1:], strict=False)]
