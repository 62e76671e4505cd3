"""wire/ipv4 and wire/ipv6: both headers both ways, extension headers, truncations."""

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import addr, exact, ffi, lib, ones_sum, reason

HBH, ROUTING, FRAGMENT, DESTINATION, TCP = 0, 43, 44, 60, 6
PARSERS = {4: lib.wb_ipv4_parse, 6: lib.wb_ipv6_parse}


def parse(data):
    out = ffi.new("struct wb_ip *")
    version = 6 if data[:1] and data[0] >> 4 == 6 else 4
    return reason(PARSERS[version](exact(data), len(data), out)), out


def ipv4(payload=b"payload!", *, options=b"", proto=TCP, flags=0, total=None, src=1, first=None):
    header = 20 + len(options)
    total = header + len(payload) if total is None else total
    first = 0x40 | header // 4 if first is None else first
    raw = bytearray([first, 0xB9])
    raw += total.to_bytes(2) + b"\x12\x34" + flags.to_bytes(2) + bytes([64, proto, 0, 0])
    raw += bytes([192, 0, 2, src, 198, 51, 100, 7]) + options
    raw[10:12] = (0xFFFF ^ ones_sum(bytes(raw))).to_bytes(2)
    return bytes(raw) + payload


def ipv6(payload=b"payload!", *, following=TCP, length=None, first=b"\x6b\x91\x23\x45"):
    length = len(payload) if length is None else length
    src, dst = addr("2001:db8::1"), addr("2001:db8::2")
    return first + length.to_bytes(2) + bytes([following, 64]) + src + dst + payload


def chain(*headers, payload=b"payload!", last=TCP):
    """An IPv6 packet with the (kind, bytes after the next-header byte) given, in that order."""
    raw = b""
    kinds = [kind for kind, _ in headers] + [last]
    for (_, body), following in zip(headers, kinds[1:], strict=True):
        raw += bytes([following]) + body
    return ipv6(raw + payload, following=kinds[0])


def options_header(kind, options=b"\x01\x04\0\0\0\0"):
    assert (len(options) + 2) % 8 == 0
    return kind, bytes([(len(options) + 2) // 8 - 1]) + options


def routing(kind=2, left=0, units=0):
    return ROUTING, bytes([units, kind, left]) + bytes(4 + 8 * units)


def fragment(offset=0, *, more=False, ident=0xABCD):
    return FRAGMENT, b"\0" + (offset | more).to_bytes(2) + ident.to_bytes(4)


# -- IPv4


def test_ipv4_fields():
    why, h = parse(ipv4(flags=0x4000) + b"link padding")
    assert why == "none"
    assert (h.version, h.proto, h.ttl, h.dscp_ecn, h.id) == (4, TCP, 64, 0xB9, 0x1234)
    assert bytes(h.src) == addr("192.0.2.1")
    assert bytes(h.dst) == addr("198.51.100.7")
    assert (h.payload_at, h.payload_len) == (20, 8)  # padding cut off
    assert not h.is_fragment
    assert h.flow_label == 0


def test_ipv4_every_truncation():
    packet = ipv4(options=b"\x01" * 8)
    for length in range(len(packet)):
        why, _ = parse(packet[:length])
        assert why == ("ip_header_short" if length < 28 else "ip_length"), length
    assert parse(packet)[0] == "none"


@pytest.mark.rfc("1122-01")
def test_ipv4_every_version_and_header_length():
    for first in range(256):
        if first >> 4 == 6:
            continue
        packet = ipv4(b"\x01" * 60, first=first)
        why, h = parse(packet)
        if first >> 4 != 4:
            assert why == "ip_version"
        elif first & 15 < 5:
            assert why == "ip_length"
        elif first & 15 == 5:
            assert (why, h.payload_at) == ("none", 20)
        else:
            assert why == "ip_checksum"  # it was made for 20 bytes


@pytest.mark.parametrize("header_words", range(5, 16))
def test_ipv4_every_option_length(header_words):
    options = b"\x01" * (header_words * 4 - 20)
    why, h = parse(ipv4(options=options))
    assert (why, h.payload_at, h.payload_len) == ("none", header_words * 4, 8)


def test_ipv4_total_length_against_frame():
    for total in range(60):
        why, h = parse(ipv4(b"x" * 10, total=total))
        assert why == ("none" if 20 <= total <= 30 else "ip_length")
        if why == "none":
            assert h.payload_len == total - 20


@pytest.mark.rfc("1122-02")
def test_ipv4_every_flipped_bit_breaks_the_checksum():
    packet = ipv4()
    for at in range(20 * 8):
        broken = bytearray(packet)
        broken[at // 8] ^= 1 << at % 8
        out = ffi.new("struct wb_ip *")
        assert lib.wb_ipv4_parse(exact(bytes(broken)), len(broken), out) != 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("00000000", "none"),
        ("01010101", "none"),
        ("00ff00ff", "none"),  # not read after the end of the list
        ("94040000", "none"),  # router alert: passed over
        ("44080500 00000000", "none"),  # timestamp: passed over
        ("07030401", "none"),  # record route, no room
        ("83030400", "ip_options"),
        ("01890304", "ip_options"),
        ("94000000", "ip_options"),
        ("94010000", "ip_options"),
        ("94050000", "ip_options"),
        ("01010194", "ip_options"),  # no room for its length
        ("940200ff", "none"),
        ("940283ff", "ip_options"),
    ],
)
def test_ipv4_options(options, why):
    assert parse(ipv4(options=bytes.fromhex(options)))[0] == why
    assert parse(ipv4(b"", options=bytes.fromhex(options)))[0] == why


@pytest.mark.rfc("9293-MUST-50")
def test_ipv4_every_kind_and_length_of_option():
    for kind in range(2, 256):
        for length in range(42):
            why, _ = parse(ipv4(options=(bytes([kind, length]) + b"\x01" * 38)))
            is_source_route = kind in (131, 137)
            legal = 2 <= length <= 40 and not is_source_route
            assert why == ("none" if legal else "ip_options"), (kind, length)


@pytest.mark.parametrize(
    ("flags", "more", "offset"),
    [
        (0, False, 0),
        (0x4000, False, 0),
        (0x8000, False, 0),
        (0x2000, True, 0),
        (1, False, 8),
        (0x3FFF, True, 65528),
    ],
)
def test_ipv4_fragments(flags, more, offset):
    why, h = parse(ipv4(flags=flags))
    assert why == "none"
    assert h.is_fragment == (more or offset != 0)
    assert (h.more_fragments, h.fragment_offset, h.fragment_id) == (more, offset, 0x1234)


v4, v6 = st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)
byte = st.integers(0, 255)


ipv4_fields = st.fixed_dictionaries(
    {
        "proto": byte,
        "ttl": byte,
        "dscp_ecn": byte,
        "id": st.integers(0, 65535),
        "payload_len": st.integers(0, 300),
    }
)


@given(v4, v4, ipv4_fields)
def test_ipv4_round_trip(src, dst, fields):
    length = fields["payload_len"]
    h = ffi.new("struct wb_ip *", {"src": addr(src), "dst": addr(dst), **fields})
    to = ffi.new("uint8_t[20]")
    lib.wb_ipv4_write(to, h)
    assert ones_sum(bytes(to)) == 0xFFFF
    assert to[6] == 0x40  # don't fragment
    why, got = parse(bytes(to) + bytes(length))
    assert why == "none"
    assert (bytes(got.src), bytes(got.dst)) == (addr(src), addr(dst))
    assert {name: getattr(got, name) for name in fields} == fields


# -- IPv6


def test_ipv6_fields():
    why, h = parse(ipv6() + b"link padding")
    assert why == "none"
    assert (h.version, h.proto, h.ttl, h.dscp_ecn) == (6, TCP, 64, 0xB9)
    assert h.flow_label == 0x12345
    assert bytes(h.src) == addr("2001:db8::1")
    assert bytes(h.dst) == addr("2001:db8::2")
    assert (h.payload_at, h.payload_len) == (40, 8)
    assert not h.is_fragment
    assert not h.has_fragment_header


ipv6_fields = st.fixed_dictionaries(
    {
        "proto": st.sampled_from([6, 17, 58, 59]),
        "ttl": byte,
        "dscp_ecn": byte,
        "flow_label": st.integers(0, 2**20 - 1),
        "payload_len": st.just(77),
    }
)


@given(v6, v6, ipv6_fields)
def test_ipv6_round_trip(src, dst, fields):
    h = ffi.new("struct wb_ip *", {"src": addr(src), "dst": addr(dst), **fields})
    to = ffi.new("uint8_t[40]")
    lib.wb_ipv6_write(to, h)
    why, got = parse(bytes(to) + bytes(77))
    assert why == "none"
    assert bytes(got.src) == ipaddress.ip_address(src).packed
    assert bytes(got.dst) == ipaddress.ip_address(dst).packed
    assert {name: getattr(got, name) for name in fields} == fields


def test_ipv6_versions():
    out = ffi.new("struct wb_ip *")
    for version in range(16):
        packet = ipv6(first=bytes([version << 4, 0, 0, 0]))
        why = reason(lib.wb_ipv6_parse(exact(packet), len(packet), out))
        assert why == ("none" if version == 6 else "ip_version")


def test_ipv6_every_truncation():
    packet = chain(options_header(HBH), routing(), fragment(), options_header(DESTINATION))
    for length in range(40):
        out = ffi.new("struct wb_ip *")
        got = lib.wb_ipv6_parse(exact(packet[:length]), length, out)
        assert reason(got) == "ip_header_short"
    for length in range(40, len(packet)):
        assert parse(packet[:length])[0] == "ip_length"
    assert parse(packet)[0] == "none"


def test_ipv6_payload_length_cuts_the_chain_anywhere():
    packet = chain(options_header(HBH), routing(units=1), fragment(), options_header(DESTINATION))
    extensions = len(packet) - 40 - 8
    for length in range(extensions):
        cut = packet[:4] + length.to_bytes(2) + packet[6:]
        assert parse(cut)[0] == "ip6_extension"
    for rest in range(9):
        cut = packet[:4] + (extensions + rest).to_bytes(2) + packet[6:]
        why, h = parse(cut)
        assert (why, h.proto, h.payload_len) == ("none", TCP, rest)


@pytest.mark.rfc("8200-06")
def test_ipv6_all_extensions_walked():
    packet = chain(options_header(HBH), options_header(DESTINATION), routing(4), fragment())
    why, h = parse(packet)
    assert (why, h.proto, h.payload_at, h.payload_len) == ("none", TCP, 72, 8)


@pytest.mark.rfc("8200-06")
@pytest.mark.parametrize("count", range(12))
def test_ipv6_number_of_extensions(count):
    why, h = parse(chain(*[options_header(DESTINATION)] * count))
    assert why == ("none" if count <= 8 else "ip6_extension")
    if count <= 8:
        assert h.payload_at == 40 + 8 * count


def test_ipv6_hop_by_hop_stands_first_or_nowhere():
    assert parse(chain(options_header(HBH)))[0] == "none"
    for before in (options_header(HBH), options_header(DESTINATION), routing(), fragment()):
        assert parse(chain(before, options_header(HBH)))[0] == "ip6_extension"


@pytest.mark.parametrize("kind", range(256))
def test_ipv6_unknown_headers_end_the_walk(kind):
    if kind in (HBH, ROUTING, FRAGMENT, DESTINATION):
        return
    why, h = parse(chain(options_header(DESTINATION), last=kind))
    assert (why, h.proto, h.payload_len) == ("none", kind, 8)


@pytest.mark.parametrize("left", [0, 1, 255])
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 255])
def test_ipv6_routing(kind, left):
    why, _ = parse(chain(routing(kind, left, units=2)))
    assert why == ("none" if kind != 0 and left == 0 else "ip6_extension")


@pytest.mark.rfc("6946-01")
def test_ipv6_atomic_fragment_is_no_fragment():
    why, h = parse(chain(fragment(), options_header(DESTINATION)))
    assert (why, h.is_fragment, h.has_fragment_header, h.proto) == ("none", False, True, TCP)
    assert h.payload_len == 8


@pytest.mark.parametrize(("offset", "more"), [(0, True), (8, False), (8, True), (65528, False)])
def test_ipv6_fragments_end_the_walk(offset, more):
    why, h = parse(chain(fragment(offset, more=more), options_header(DESTINATION)))
    assert (why, h.is_fragment, h.proto) == ("none", True, DESTINATION)
    assert (h.fragment_offset, h.more_fragments, h.fragment_id) == (offset, more, 0xABCD)
    assert h.payload_len == 16


@pytest.mark.parametrize("header", [HBH, DESTINATION])
def test_ipv6_option_kinds(header):
    for kind in range(2, 256):
        why, _ = parse(chain(options_header(header, bytes([kind, 4, 0, 0, 0, 0]))))
        assert why == ("none" if kind < 0x40 else "ip6_extension"), kind


@pytest.mark.parametrize("header", [HBH, DESTINATION])
def test_ipv6_option_lengths(header):
    for size in range(256):
        options = bytes([5, size]) + bytes(12)
        why, _ = parse(chain(options_header(header, options)))
        assert why == ("none" if size <= 12 else "ip6_extension"), size
    assert parse(chain(options_header(header, bytes(6))))[0] == "none"  # Pad1 six times
    assert parse(chain(options_header(header, bytes(5) + b"\x01")))[0] == "ip6_extension"


def test_ipv6_jumbograms_are_refused():
    jumbo = options_header(HBH, b"\xc2\x04\x00\x01\x00\x00")
    packet = chain(jumbo)
    assert parse(packet)[0] == "ip6_extension"
    assert parse(packet[:4] + b"\0\0" + packet[6:])[0] == "ip6_extension"


@given(st.binary(max_size=120), st.sampled_from([0x45, 0x4F, 0x60]))
def test_any_bytes(data, first):
    parse(bytes([first]) + data)


def test_ipv6_any_chain():
    rng = random.Random(8200)
    kinds = [HBH, ROUTING, FRAGMENT, DESTINATION, TCP]
    for _ in range(20_000):
        body = bytearray(rng.randbytes(rng.randrange(100)))
        for at in range(0, len(body) - 1, 8):
            body[at] = rng.choice(kinds)
            body[at + 1] = rng.choice([0, 0, 1, 2, body[at + 1]])
        why, h = parse(ipv6(bytes(body), following=rng.choice(kinds)))
        assert why in ("none", "ip6_extension")
        if why == "none":
            assert h.payload_at + h.payload_len == 40 + len(body)
