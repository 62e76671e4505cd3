"""wire/text_at: where the text of a segment begins, from its packet's first bytes."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fragments import pieces
from support.whitebox import lib
from usertcp.testing.packets import ACK, Options, Packet, Segment

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
TEXT = b"x" * 64
HOP_BY_HOP = bytes([6, 0, 1, 4, 0, 0, 0, 0])  # TCP is next


def packet(version: int, tcp_options: bytes = b"", ip_options: bytes = b"") -> bytes:
    src, dst = map(ip_address, ENDS[version])
    body = Segment(
        sport=1, dport=2, seq=3, flags=ACK, options=Options(extra=tcp_options), payload=TEXT
    )
    return Packet(src=src, dst=dst, body=body, options=ip_options).encode()


def text_at(data: bytes) -> int:
    """As its first bytes, which lie alone: what is read beyond them is found by a sanitizer."""
    return lib.wb_text_at(bytes(data), len(data))


@pytest.mark.parametrize("version", [4, 6])
@given(st.integers(0, 10), st.integers(0, 10))
def test_behind_headers_of_any_length(version: int, tcp_words: int, ip_words: int):
    ip_options = b"\1" * 4 * ip_words if version == 4 else b""
    whole = packet(version, b"\1" * 4 * tcp_words, ip_options)
    head = len(whole) - len(TEXT)
    assert text_at(whole) == text_at(whole[:head]) == head


@pytest.mark.parametrize("version", [4, 6])
def test_too_little_to_tell(version: int):
    whole = packet(version)
    head = len(whole) - len(TEXT)
    assert [n for n in range(head) if text_at(whole[:n])] == []


def test_what_is_no_plain_segment():
    fragments = [piece for version in (4, 6) for piece in pieces(packet(version), 40)]
    src, dst = map(ip_address, ENDS[4])
    udp = Packet(src=src, dst=dst, body=bytes(40), protocol=17).encode()
    short = bytearray(packet(4))
    short[32] = 4 << 4  # TCP: a header of 16 octets
    lean = bytearray(packet(4))
    lean[0] = 0x44  # IP: the same
    odd = bytes([0x55]) + packet(4)[1:]
    plain = packet(6)
    extended = plain[:6] + b"\0" + plain[7:40] + HOP_BY_HOP + plain[40:]
    for data in (*fragments, udp, bytes(short), bytes(lean), odd, extended, bytes(60)):
        assert text_at(data) == 0


@given(st.binary(max_size=120))
def test_any_bytes(data: bytes):
    assert text_at(data) <= 60 + 60
