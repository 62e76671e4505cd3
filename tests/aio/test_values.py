"""The plain parts: addresses, options, seeds, event bits, snapshots. No event loop."""

from ipaddress import IPv4Address, IPv6Interface
from socket import AF_INET, AF_INET6

import pytest

from usertcp import ConnectionInfo, LinkInfo, StackConfig, State, StreamOption
from usertcp._address import (
    family_of,
    pack,
    pack_text,
    parse_address,
    parse_interface,
    text_of,
)
from usertcp._binding_info import _PLAIN_FIELDS
from usertcp._config import seed_words
from usertcp._core import ffi, lib
from usertcp._errors import ERRORS, Code, exception, os_error
from usertcp._resolve import order


@pytest.mark.parametrize("text", ["10.7.0.2", "255.255.255.255", "fd07::2", "::1", "fe80::1"])
def test_address_text_round_trip(text: str):
    packed = pack_text(text)
    assert packed is not None
    assert len(packed) == 16
    assert text_of(packed) == text
    assert packed == pack(parse_address(text, "x"))
    assert family_of(packed) == (AF_INET6 if ":" in text else AF_INET)


def test_a_zone_is_dropped():
    assert pack_text("fe80::1%eth0") == pack_text("fe80::1")


@pytest.mark.parametrize("text", ["example.com", "10.7.0", "1.2.3.4%eth0", "", "::g"])
def test_what_is_no_numeric_host(text: str):
    assert pack_text(text) is None


def test_interfaces():
    assert str(parse_interface("10.7.0.2/24")) == "10.7.0.2/24"
    assert parse_interface(IPv6Interface("fd07::2/64")).network.prefixlen == 64
    assert parse_address(parse_interface("10.7.0.2/24"), "x") == IPv4Address("10.7.0.2")


def test_options_are_those_of_the_engine():
    config = ffi.new("ut_config *")
    given = StackConfig(
        profile="rfc", memory_limit=1, max_connections=2, max_time_wait=3, max_half_open=4,
        rcv_buffer=1 << 16, snd_buffer=1 << 17, use_rack=False, congestion="reno",
        msl=1.5, rto_initial=1, rto_min=0.2, rto_max=60, delack=0.04,
        user_timeout=9, connect_timeout=8, orphan_timeout=7, synack_retries=5, syn_cookies=1,
        use_timestamps=True, use_window_scale=False, use_sack=True, nodelay=True, port_first=1024,
        port_last=2048, quick_acks=3, challenge_ack_limit=6, trace_capacity=10, fixed_isn=5,
        path_mtu_discovery=False, mtu_probing=2, ecn=1, fixed_ts_offset=2**33 - 1,
        hystart="off", cubic_ssthresh="cwnd", window_probe="empty", nagle="minshall", mss_max=536,
        mtu_base=512,
    ).engine_fields()  # fmt: skip
    for name, value in given.items():
        setattr(config, name, value)
    assert given["msl_ns"] == 1_500_000_000
    assert given["use_window_scale"] == 0
    assert (given["fixed_isn"], given["fixed_isn_value"]) == (1, 5)
    assert (given["fixed_ts_offset"], given["fixed_ts_offset_value"]) == (1, 2**32 - 1)
    assert (given["profile"], given["use_rack"], given["congestion"]) == (1, 0, 1)
    assert (given["path_mtu_discovery"], given["mtu_probing"]) == (0, 2)
    assert (given["hystart"], given["cubic_ssthresh"], given["window_probe"]) == (2, 1, 1)
    assert (given["nagle"], given["mss_max"], given["mtu_base"]) == (1, 536, 512)
    names = {name for name, _ in ffi.typeof("ut_config").fields}
    assert set(given) == names - {"seed", "mtu"}


def test_seeds():
    assert seed_words(1) == (1, 0)
    assert seed_words(1 << 64) == (0, 1)
    assert seed_words(bytes(15) + b"\x01") == (0, 1 << 56)
    assert seed_words(None) != seed_words(None)


def test_snapshot_has_every_field_of_the_engine():
    names = {name for name, _ in ffi.typeof("ut_info").fields}
    assert set(ConnectionInfo.__dataclass_fields__) == names - {"congestion_count"}
    assert set(_PLAIN_FIELDS) < names
    names = {name for name, _ in ffi.typeof("ut_link_info").fields}
    assert set(LinkInfo.__dataclass_fields__) == (names - {"medium"}) | {"ethernet"}


def test_enums_are_the_engines():
    for state in State:
        assert getattr(lib, f"UT_STATE_{state.name}") == state
    for option in StreamOption:
        assert getattr(lib, f"UT_OPT_{option.name}") == option
    assert len(StreamOption) == len([n for n in dir(lib) if n.startswith("UT_OPT_")])
    assert len(State) == len([n for n in dir(lib) if n.startswith("UT_STATE_")])


@pytest.mark.parametrize("code", Code)
def test_every_code_has_its_exception(code: Code):
    made = exception(-code, "doing something", system_errno=2)
    assert "doing something" in str(made)
    assert ERRORS[code].exception != "ValueError" or isinstance(made, ValueError)
    plain = os_error(code)
    assert isinstance(plain, OSError)
    assert plain.errno
    builtin = {"ConnectionRefusedError", "ConnectionResetError", "TimeoutError"}
    if ERRORS[code].exception in builtin:
        assert type(plain).__name__ == ERRORS[code].exception


def test_a_code_from_the_future():
    assert "ERROR 99" in str(os_error(-99))


def test_order_of_attempts():
    def made(*families: str):
        return [(AF_INET6 if f[0] == "6" else AF_INET, f.encode()) for f in families]

    def names(found):
        return [name.decode() for _, name in found]

    assert names(order(made("4a", "4b", "6a", "6b"))) == ["6a", "4a", "4b", "6b"]
    assert names(order(made("6a", "6b", "4a", "4b"))) == ["6a", "4a", "6b", "4b"]
    assert names(order(made("4a", "4b"))) == ["4a", "4b"]
    assert names(order([])) == []
