"""wire/addr against the standard library's ipaddress."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import addr, ffi, lib

v4, v6 = st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)


@given(st.one_of(v4, v6))
def test_address_predicates(text):
    _check_predicates(text)


@pytest.mark.parametrize(
    "text",
    """
    0.0.0.0 127.0.0.1 127.255.0.1 128.0.0.1 223.255.255.255 224.0.0.1 239.1.2.3 240.0.0.1
    255.255.255.255 :: ::1 ::2 fe80::1 febf::1 fec0::1 fe7f::1 ff02::1 feff:: 2001:db8::1
    """.split(),
)
def test_address_predicates_at_the_borders(text):
    _check_predicates(text)


def _check_predicates(text):
    ip, a = ipaddress.ip_address(text), addr(text)
    mapped = ip.version == 6 and ip.ipv4_mapped is not None
    if mapped:
        return
    assert lib.wb_addr_is_v4(a) == (ip.version == 4)
    assert lib.wb_addr_is_unspecified(a) == ip.is_unspecified
    assert lib.wb_addr_is_multicast(a) == ip.is_multicast
    assert lib.wb_addr_is_loopback(a) == ip.is_loopback
    assert lib.wb_addr_is_limited_broadcast(a) == (text == "255.255.255.255")
    assert lib.wb_addr_is_link_local(a) == (ip.version == 6 and ip.is_link_local)


@given(st.sampled_from([4, 6]), st.data())
def test_same_prefix(version, data):
    width = 32 if version == 4 else 128
    number = data.draw(st.integers(0, 2**width - 1))
    other = number ^ 1 << data.draw(st.integers(0, width - 1))
    bits = data.draw(st.integers(0, width))
    make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    a, b = addr(str(make(number))), addr(str(make(other)))
    expected = number >> (width - bits) == other >> (width - bits)
    if version == 4 or not (lib.wb_addr_is_v4(a) or lib.wb_addr_is_v4(b)):
        assert lib.wb_addr_same_prefix(a, b, bits) == expected
        assert lib.wb_addr_same_prefix(a, a, bits)


def test_families_share_no_prefix():
    assert not lib.wb_addr_same_prefix(addr("10.0.0.1"), addr("::a00:1"), 0)


def test_solicited_node():
    out = ffi.new("uint8_t[16]")
    lib.wb_addr_solicited_node(addr("2001:db8::12:3456:789a"), out)
    assert bytes(out) == addr("ff02::1:ff56:789a")
