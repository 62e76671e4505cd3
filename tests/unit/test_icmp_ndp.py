"""wire/icmp and wire/icmpv6: kinds, quotes, echo, and the validity checks of RFC 4861 7.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import addr, exact, ffi, lib, ones_sum, pseudo_header, reason

SRC = {4: "192.0.2.1", 6: "fe80::1"}
DST = {4: "192.0.2.2", 6: "fe80::2"}
PROTO = {4: 1, 6: 58}
MAC = bytes.fromhex("020000abcdef")
both = pytest.mark.parametrize("version", [4, 6])

V4_UNREACHABLE = (
    "NET HOST PROTO PORT TOO_BIG NET NET HOST HOST PROHIBITED PROHIBITED NET HOST PROHIBITED "
    "PROHIBITED PROHIBITED"
).split()
V6_UNREACHABLE = "NET PROHIBITED NET HOST PORT PROHIBITED PROHIBITED".split()


def ip(payload, *, src, dst, proto, ttl=64, extension=b""):
    """A packet of the family of its addresses."""
    a, b = addr(src), addr(dst)
    if ":" in src:
        following = 44 if extension else proto
        length = len(extension) + len(payload)
        return (
            b"\x60\0\0\0"
            + length.to_bytes(2)
            + bytes([following, ttl])
            + a
            + b
            + extension
            + payload
        )
    raw = bytearray(b"\x45\0" + (20 + len(payload)).to_bytes(2) + bytes(4))
    raw += bytes([ttl, proto, 0, 0]) + a[12:] + b[12:]
    raw[10:12] = (0xFFFF ^ ones_sum(bytes(raw))).to_bytes(2)
    return bytes(raw) + payload


def icmp(version, kind, code=0, rest=bytes(4), body=b"", *, src=None, dst=None, **more):
    """A whole packet with a right checksum."""
    src, dst = src or SRC[version], dst or DST[version]
    raw = bytearray(bytes([kind, code, 0, 0]) + rest + body)
    pseudo = pseudo_header(src, dst, 58, len(raw)) if version == 6 else b""
    raw[2:4] = (0xFFFF ^ ones_sum(pseudo + bytes(raw))).to_bytes(2)
    return ip(bytes(raw), src=src, dst=dst, proto=PROTO[version], **more)


def _call(function, kind, packet):
    out = ffi.new(f"struct {kind} *")
    return reason(function(exact(packet), len(packet), out)), out


def parse(packet):
    return _call(lib.wb_icmp_parse, "wb_icmp", packet)


def quote(packet):
    return _call(lib.wb_icmp_quote, "wb_quote", packet)


def ndp(packet):
    return _call(lib.wb_ndp_parse, "wb_ndp", packet)


def kind_name(value):
    return ffi.typeof("enum wb_icmp_kind").elements[value].removeprefix("WB_ICMP_")


def _long(name):
    return {"TOO_BIG": "PACKET_TOO_BIG", "PROHIBITED": name}.get(name, f"{name}_UNREACHABLE")


# -- messages


@pytest.mark.parametrize(("version", "names"), [(4, V4_UNREACHABLE), (6, V6_UNREACHABLE)])
def test_every_code_of_unreachable(version, names):
    for code in range(256):
        why, m = parse(icmp(version, 3 if version == 4 else 1, code))
        assert why == "none"
        expected = _long(names[code]) if code < len(names) else "OTHER"
        assert kind_name(m.kind) == expected, code


V4_TYPES = {0: "ECHO_REPLY", 4: "SOURCE_QUENCH", 8: "ECHO_REQUEST"}
V4_TYPES |= {3: "NET_UNREACHABLE", 11: "TIME_EXCEEDED", 12: "PARAMETER_PROBLEM"}
V6_TYPES = {128: "ECHO_REQUEST", 129: "ECHO_REPLY", 2: "PACKET_TOO_BIG", 1: "NET_UNREACHABLE"}
V6_TYPES |= {3: "TIME_EXCEEDED", 4: "PARAMETER_PROBLEM"}
V6_TYPES |= dict.fromkeys(range(133, 138), "NEIGHBOUR")


@pytest.mark.parametrize(("version", "types"), [(4, V4_TYPES), (6, V6_TYPES)])
def test_every_type(version, types):
    for kind in range(256):
        why, m = parse(icmp(version, kind))
        assert (why, m.type) == ("none", kind)
        assert kind_name(m.kind) == types.get(kind, "OTHER")


@both
def test_echo_fields(version):
    packet = icmp(version, 8 if version == 4 else 128, 0, b"\x12\x34\x00\x07", b"data")
    why, m = parse(packet)
    assert (why, m.echo_id, m.echo_seq, m.body_len) == ("none", 0x1234, 7, 4)
    assert packet[m.body_at :] == b"data"


def test_mtu():
    assert parse(icmp(4, 3, 4, b"\0\0\x05\x14"))[1].mtu == 1300
    assert parse(icmp(4, 3, 3, b"\0\0\x05\x14"))[1].mtu == 0
    assert parse(icmp(6, 2, 0, b"\0\1\0\0"))[1].mtu == 65536
    assert kind_name(parse(icmp(6, 2, 9))[1].kind) == "PACKET_TOO_BIG"  # RFC 4443 3.2: any code


@both
def test_short_messages(version):
    for length in range(8):
        packet = ip(bytes(length), src=SRC[version], dst=DST[version], proto=PROTO[version])
        assert parse(packet)[0] == "icmp_malformed"


@both
def test_every_flipped_bit_breaks_the_checksum(version):
    packet = icmp(version, 8 if version == 4 else 128, 0, b"\0\1\0\2", b"some data")
    first = len(packet) - 17
    for at in range(first * 8, len(packet) * 8):
        broken = bytearray(packet)
        broken[at // 8] ^= 1 << at % 8
        assert parse(broken)[0] == "icmp_malformed"


def test_an_icmpv6_checksum_without_pseudo_header_is_wrong():
    good = icmp(6, 128)
    payload = bytes([128, 0]) + (0xFFFF ^ ones_sum(bytes([128, 0]))).to_bytes(2) + bytes(4)
    assert parse(good)[0] == "none"
    assert parse(good[:40] + payload)[0] == "icmp_malformed"


@both
@given(ident=st.integers(0, 65535), body=st.binary(max_size=80))
def test_echo_reply(version, ident, body):
    rest = ident.to_bytes(2) + b"\0\5"
    request = icmp(version, 8 if version == 4 else 128, 0, rest, body)
    to = ffi.new("uint8_t[]", 8 + len(body))
    assert lib.wb_icmp_write_echo(to, exact(request), len(request)) == 8 + len(body)
    expected = icmp(
        version, 0 if version == 4 else 129, 0, rest, body, src=DST[version], dst=SRC[version]
    )
    assert bytes(to) == expected[-(8 + len(body)) :]


# -- quotes

SEGMENT = bytes.fromhex("c350 0050 01020304 00000000 5010 ffff 0000 0000")


def quoting(version, quoted):
    return icmp(version, 3 if version == 4 else 1, 1, bytes(4), quoted)


@both
def test_a_quoted_segment(version):
    packet = ip(SEGMENT, src=DST[version], dst=SRC[version], proto=6)
    header = len(packet) - 20
    for length in range(len(packet) + 1):
        why, q = quote(quoting(version, packet[:length]))
        if length < header + 8:
            assert why == "icmp_malformed", length
            continue
        assert (why, q.sport, q.dport, q.seq) == ("none", 50000, 80, 0x01020304)
        assert bytes(q.src) == addr(DST[version])
        assert bytes(q.dst) == addr(SRC[version])


@both
def test_a_quote_of_another_protocol(version):
    packet = ip(SEGMENT, src=DST[version], dst=SRC[version], proto=17)
    assert quote(quoting(version, packet))[0] == "icmp_unmatched"


def test_a_quote_with_an_extension_header_is_of_no_packet_of_ours():
    packet = ip(SEGMENT, src=DST[6], dst=SRC[6], proto=6, extension=b"\6" + bytes(7))
    assert quote(quoting(6, packet))[0] == "icmp_unmatched"


@both
def test_a_quote_of_the_other_version(version):
    other = 10 - version
    packet = ip(SEGMENT + bytes(40), src=DST[other], dst=SRC[other], proto=6)
    assert quote(quoting(version, packet))[0] == "icmp_malformed"


def test_a_quote_with_ipv4_options():
    packet = bytearray(ip(SEGMENT, src=DST[4], dst=SRC[4], proto=6))
    packet[20:20] = b"\x01" * 12
    for words in range(16):
        packet[0] = 0x40 | words
        why, q = quote(quoting(4, bytes(packet)))
        assert why == ("icmp_malformed" if words < 5 or words * 4 + 8 > len(packet) else "none")
        if words == 8:
            assert (q.sport, q.dport, q.seq) == (50000, 80, 0x01020304)


def test_a_quote_of_a_later_fragment_holds_no_ports():
    packet = bytearray(ip(SEGMENT, src=DST[4], dst=SRC[4], proto=6))
    packet[6:8] = b"\0\1"
    assert quote(quoting(4, bytes(packet)))[0] == "icmp_unmatched"
    packet[6:8] = b"\x60\0"  # flags are no offset
    assert quote(quoting(4, bytes(packet)))[0] == "none"


@both
@given(body=st.binary(max_size=100))
def test_any_quote(version, body):
    assert quote(quoting(version, body))[0] in ("none", "icmp_malformed", "icmp_unmatched")


# -- neighbour discovery

TARGET = addr("fe80::77")
SOURCE_MAC, TARGET_MAC = b"\x01\x01" + MAC, b"\x02\x01" + MAC


def solicitation(options=b"", *, target=TARGET, code=0, **more):
    return icmp(6, 135, code, bytes(4), target + options, **{"ttl": 255, **more})


def advertisement(options=b"", *, flags=0, target=TARGET, code=0, **more):
    rest = bytes([flags, 0, 0, 0])
    return icmp(6, 136, code, rest, target + options, **{"ttl": 255, **more})


MESSAGES = [solicitation, advertisement]
either = pytest.mark.parametrize("make", MESSAGES)


def test_solicitation():
    why, m = ndp(solicitation(SOURCE_MAC))
    assert (why, m.type, m.has_mac) == ("none", 135, True)
    assert bytes(m.target) == TARGET
    assert bytes(m.mac) == MAC
    why, m = ndp(solicitation())
    assert (why, m.has_mac) == ("none", False)


@pytest.mark.parametrize("flags", range(0, 256, 32))
def test_advertisement(flags):
    why, m = ndp(advertisement(TARGET_MAC, flags=flags | 0x1F))
    assert (why, m.type, m.has_mac) == ("none", 136, True)
    assert (m.router, m.solicited, m.override) == tuple(bool(flags & b) for b in (128, 64, 32))


@either
@pytest.mark.parametrize("ttl", [0, 1, 64, 254])
def test_hop_limit(make, ttl):
    assert ndp(make(ttl=ttl))[0] == "ndp_malformed"


@either
def test_code_and_target(make):
    assert ndp(make(code=1))[0] == "ndp_malformed"
    assert ndp(make(target=addr("ff02::1")))[0] == "ndp_malformed"


@pytest.mark.parametrize("kind", [135, 136])
def test_ndp_truncations(kind):
    body = TARGET + b"\x0e\x02" + bytes(14)
    for length in range(len(body) + 1):
        why, _ = ndp(icmp(6, kind, 0, bytes(4), body[:length], ttl=255))
        assert why == ("none" if length in (16, 32) else "ndp_malformed"), length


@either
def test_option_of_length_zero(make):
    assert ndp(make(b"\x0e\x00" + bytes(6)))[0] == "ndp_malformed"
    assert ndp(make(b"\x0e\x01" + bytes(6) + b"\x05\x00" + bytes(6)))[0] == "ndp_malformed"


@either
def test_other_options_are_passed_over(make):
    foreign = TARGET_MAC if make is solicitation else SOURCE_MAC
    own = SOURCE_MAC if make is solicitation else TARGET_MAC
    why, m = ndp(make(foreign))
    assert (why, m.has_mac) == ("none", False)
    why, m = ndp(make(b"\x0e\x02" + bytes(14) + own + b"\xfd\x01" + bytes(6)))
    assert (why, m.has_mac, bytes(m.mac)) == ("none", True, MAC)


@either
def test_an_address_option_of_a_size_ethernet_has_not(make):
    own = b"\x01" if make is solicitation else b"\x02"
    assert ndp(make(own + b"\x02" + bytes(14)))[0] == "ndp_malformed"


def test_duplicate_address_detection():
    group = "ff02::1:ff00:77"
    assert ndp(solicitation(src="::", dst=group))[0] == "none"
    assert ndp(solicitation(src="::", dst="fe80::77"))[0] == "ndp_malformed"
    assert ndp(solicitation(src="::", dst="ff02::1"))[0] == "ndp_malformed"
    assert ndp(solicitation(SOURCE_MAC, src="::", dst=group))[0] == "ndp_malformed"


def test_no_solicited_flag_to_a_group():
    assert ndp(advertisement(flags=0x40, dst="ff02::1"))[0] == "ndp_malformed"
    assert ndp(advertisement(flags=0xA0, dst="ff02::1"))[0] == "none"


@either
def test_no_fragment_header_not_even_an_atomic_one(make):  # RFC 6980 5
    assert ndp(make(extension=bytes([58]) + bytes(7)))[0] == "ndp_malformed"


def test_other_neighbour_messages_are_ignored():
    for kind in (133, 134, 137):
        assert ndp(icmp(6, kind, 0, bytes(4), bytes(16), ttl=255))[0] == "icmp_ignored"


@pytest.mark.parametrize("kind", [135, 136])
@pytest.mark.parametrize("has_mac", [False, True])
def test_ndp_round_trip(kind, has_mac):
    flags = {"router": False, "solicited": kind == 136, "override": kind == 136}
    message = {"type": kind, "target": TARGET, "has_mac": has_mac, "mac": MAC, **flags}
    to = ffi.new("uint8_t[32]")
    a, b = "fe80::1", "fe80::2"
    length = lib.wb_ndp_write(to, ffi.new("struct wb_ndp *", message), addr(a), addr(b))
    assert length == (32 if has_mac else 24)
    raw = bytes(to)[:length]
    why, m = ndp(ip(raw, src=a, dst=b, proto=58, ttl=255))
    assert (why, m.type, bytes(m.target), m.has_mac) == ("none", kind, TARGET, has_mac)
    assert {name: getattr(m, name) for name in flags} == flags
    assert not has_mac or bytes(m.mac) == MAC


@pytest.mark.parametrize("kind", [135, 136])
@given(body=st.binary(max_size=60))
def test_any_ndp(kind, body):
    assert ndp(icmp(6, kind, 0, bytes(4), body, ttl=255))[0] in ("none", "ndp_malformed")
