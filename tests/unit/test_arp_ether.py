"""wire/ether and wire/arp: round trips, every truncation, every field that must have one value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import addr, exact, ffi, lib, reason

macs = st.binary(min_size=6, max_size=6)

# Who has 192.0.2.9? Tell 192.0.2.1.
REQUEST = bytes.fromhex("0001080006040001 020000000001 c0000201 000000000000 c0000209")


def parse_ether(data):
    out = ffi.new("struct wb_ether *")
    return reason(lib.wb_ether_parse(exact(data), len(data), out)), out


def parse_arp(data):
    out = ffi.new("struct wb_arp *")
    return reason(lib.wb_arp_parse(exact(data), len(data), out)), out


@given(macs, macs, st.integers(0, 65535), st.binary(max_size=40))
def test_ether_round_trip(dst, src, kind, rest):
    h = ffi.new("struct wb_ether *", {"dst": dst, "src": src, "type": kind})
    to = ffi.new("uint8_t[14]")
    lib.wb_ether_write(to, h)
    assert bytes(to) == dst + src + kind.to_bytes(2)
    why, got = parse_ether(bytes(to) + rest)
    assert why == ("frame_vlan" if kind in (0x8100, 0x88A8) else "none")
    assert (bytes(got.dst), bytes(got.src), got.type) == (dst, src, kind)


@pytest.mark.parametrize("length", range(14))
def test_short_frames(length):
    assert parse_ether(bytes(length))[0] == "frame_short"


def test_group_addresses():
    assert lib.wb_mac_is_group(b"\xff" * 6)
    assert lib.wb_mac_is_group(b"\x01\0\x5e\0\0\x01")
    assert not lib.wb_mac_is_group(b"\x02\0\0\0\0\x01")


def test_the_station_of_an_ipv6_group():
    out = ffi.new("uint8_t[6]")
    lib.wb_mac_of_multicast_v6(addr("ff02::1:ff12:3456"), out)
    assert bytes(out).hex(":") == "33:33:ff:12:34:56"


def test_an_arp_request_as_on_the_wire():
    why, got = parse_arp(REQUEST)
    assert why == "none"
    assert got.op == 1
    assert bytes(got.sender_mac) == bytes.fromhex("020000000001")
    assert bytes(got.sender_ip) == addr("192.0.2.1")
    assert bytes(got.target_mac) == bytes(6)
    assert bytes(got.target_ip) == addr("192.0.2.9")


@given(
    st.sampled_from([1, 2]),
    macs,
    macs,
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=4).map(str),
)
def test_arp_round_trip(op, sender, target, sender_ip, target_ip):
    message = {
        "op": op,
        "sender_mac": sender,
        "target_mac": target,
        "sender_ip": addr(sender_ip),
        "target_ip": addr(target_ip),
    }
    to = ffi.new("uint8_t[28]")
    lib.wb_arp_write(to, ffi.new("struct wb_arp *", message))
    why, got = parse_arp(bytes(to) + bytes(18))  # padded as Ethernet pads
    assert why == "none"
    assert got.op == op
    for field, value in message.items():
        if field != "op":
            assert bytes(getattr(got, field)) == value


def test_arp_written_as_on_the_wire():
    _, message = parse_arp(REQUEST)
    to = ffi.new("uint8_t[28]")
    lib.wb_arp_write(to, message)
    assert bytes(to) == REQUEST


@pytest.mark.parametrize("length", range(28))
def test_short_arp(length):
    assert parse_arp(REQUEST[:length])[0] == "arp_malformed"


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("bit", range(8))
def test_arp_for_other_hardware_protocol_or_purpose(at, bit):
    packet = bytearray(REQUEST)
    packet[at] ^= 1 << bit
    assert parse_arp(packet)[0] == "arp_malformed"


@pytest.mark.parametrize("op", [0, 3, 4, 8, 65535])
def test_arp_operations_not_served(op):
    assert parse_arp(REQUEST[:6] + op.to_bytes(2) + REQUEST[8:])[0] == "arp_malformed"
