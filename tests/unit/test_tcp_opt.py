"""wire/tcp_opt: what is written is read back, and no length is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import exact, ffi, lib, reason

EOL, NOP, MSS, WSCALE, SACK_OK, SACK, TS = 0, 1, 2, 3, 4, 5, 8
LEGAL = {MSS: {4}, WSCALE: {3}, SACK_OK: {2}, SACK: {10, 18, 26, 34}, TS: {10}}
u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
blocks = st.lists(st.tuples(u32, u32), max_size=4)


def parse(data):
    out = ffi.new("struct wb_opts *")
    return reason(lib.wb_tcp_opt_parse(exact(data), len(data), out)), read(out)


def read(o):
    """Only what was there."""
    got = {}
    if o.has_mss:
        got["mss"] = o.mss
    if o.has_wscale:
        got["wscale"] = o.wscale
    if o.has_ts:
        got["ts"] = (o.ts_val, o.ts_ecr)
    if o.sack_permitted:
        got["sack_permitted"] = True
    if o.sack_count:
        got["sack"] = [(o.sack[2 * i], o.sack[2 * i + 1]) for i in range(o.sack_count)]
    return got


def make(options):
    o = ffi.new("struct wb_opts *")
    if "mss" in options:
        o.has_mss, o.mss = True, options["mss"]
    if "wscale" in options:
        o.has_wscale, o.wscale = True, options["wscale"]
    if "ts" in options:
        o.has_ts, (o.ts_val, o.ts_ecr) = True, options["ts"]
    o.sack_permitted = "sack_permitted" in options
    for i, (left, right) in enumerate(options.get("sack", [])):
        o.sack[2 * i], o.sack[2 * i + 1] = left, right
        o.sack_count = i + 1
    return o


def write(options):
    o = make(options)
    to = ffi.new("uint8_t[40]")
    length = lib.wb_tcp_opt_write(to, o)
    assert length == lib.wb_tcp_opt_length(o)
    return bytes(to)[:length]


def option(kind, length, fill=0x11):
    return bytes([kind, length]) + bytes([fill]) * max(length - 2, 0)


some = st.fixed_dictionaries(
    {},
    optional={
        "mss": u16,
        "wscale": st.integers(0, 255),
        "ts": st.tuples(u32, u32),
        "sack_permitted": st.just(True),
        "sack": blocks.filter(bool),
    },
)


@given(some)
def test_round_trip(options):
    data = write(options)
    assert len(data) % 4 == 0
    assert len(data) <= 40
    why, got = parse(data)
    assert why == "none"
    room = (40 - len(write({k: v for k, v in options.items() if k != "sack"})) - 4) // 8
    expected = dict(options)
    expected["sack"] = options.get("sack", [])[:room]
    assert got == {k: v for k, v in expected.items() if v != []}


@pytest.mark.parametrize(
    ("options", "wire"),
    [
        ({}, ""),
        ({"mss": 1460}, "020405b4"),
        (
            {"mss": 1460, "sack_permitted": True, "ts": (1, 2), "wscale": 7},
            "020405b4 0402 080a 00000001 00000002 01 030307",
        ),
        ({"mss": 1460, "sack_permitted": True, "wscale": 7}, "020405b4 01010402 01030307"),
        ({"ts": (1, 2)}, "0101080a 00000001 00000002"),
        ({"sack": [(5, 9)]}, "0101050a 00000005 00000009"),
        (
            {"ts": (1, 2), "sack": [(5, 9), (11, 12)]},
            "0101080a 00000001 00000002 01010512 00000005 00000009 0000000b 0000000c",
        ),
    ],
)
def test_the_layout_is_linux(options, wire):
    assert write(options) == bytes.fromhex(wire)


def test_sack_blocks_that_do_not_fit_are_left_out():
    four = [(n, n + 1) for n in range(0, 8, 2)]
    assert len(parse(write({"sack": four}))[1]["sack"]) == 4
    assert len(parse(write({"ts": (0, 0), "sack": four}))[1]["sack"]) == 3


@pytest.mark.rfc("9293-MUST-7")
@pytest.mark.parametrize("before", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("kind", sorted(LEGAL))
def test_every_length_of_every_kind_we_know(kind, before):
    for length in range(256):
        whole = bytes([NOP] * before) + option(kind, length)
        padded = whole[:40] + bytes(max(40 - len(whole), 0))
        legal = length in LEGAL[kind] and before + length <= 40
        assert parse(padded)[0] == ("none" if legal else "tcp_options"), length


@pytest.mark.rfc("9293-MUST-6")
def test_unknown_kinds_are_passed_over():
    for kind in set(range(256)) - {EOL, NOP, *LEGAL}:
        for length in (2, 3, 4, 10, 36):
            assert parse(option(kind, length) + option(MSS, 4)) == ("none", {"mss": 0x1111})


@pytest.mark.rfc("9293-MUST-7", "9293-MUST-68")
def test_unknown_kinds_with_lengths_that_cannot_be():
    for kind in set(range(256)) - {EOL, NOP, *LEGAL}:
        assert parse(bytes([NOP, NOP, kind, 38]) + bytes(36))[0] == "none"
        for length in (0, 1, 39, 40, 41, 255):
            assert parse(bytes([NOP, NOP, kind, length]) + bytes(36))[0] == "tcp_options"
        assert parse(bytes([NOP, NOP, NOP, kind]))[0] == "tcp_options"  # no room for a length


@pytest.mark.parametrize("kind", sorted(LEGAL))
def test_options_cut_off_at_every_byte(kind):
    whole = option(kind, min(LEGAL[kind]))
    for before in range(40):
        for cut in range(1, len(whole)):
            assert parse(bytes([NOP] * before) + whole[:cut])[0] == "tcp_options"


@pytest.mark.rfc("9293-MUST-4", "9293-MUST-64")
@given(st.lists(st.sampled_from([MSS, WSCALE, SACK_OK, TS, 77]), max_size=5), st.data())
def test_any_order_at_any_offset(kinds, data):
    wire, expected = b"", {}
    for kind in kinds:
        length = 5 if kind == 77 else min(LEGAL[kind])
        nops = data.draw(st.integers(0, 3))
        if len(wire) + nops + length > 40:
            break
        wire += bytes([NOP] * nops) + option(kind, length)
        expected |= {
            MSS: {"mss": 0x1111},
            WSCALE: {"wscale": 0x11},
            SACK_OK: {"sack_permitted": True},
            TS: {"ts": (0x11111111, 0x11111111)},
            77: {},
        }[kind]
    assert parse(wire) == ("none", expected)


def test_the_usual_block_and_what_follows_it():
    usual = bytes.fromhex("0101080a 01020304 05060708")
    assert parse(usual) == ("none", {"ts": (0x01020304, 0x05060708)})
    sack = bytes.fromhex("0101050a 00000001 00000002")
    assert parse(usual + sack) == (
        "none",
        {"ts": (0x01020304, 0x05060708), "sack": [(1, 2)]},
    )
    for cut in range(1, 12):
        assert parse(usual[:cut])[0] == ("none" if cut <= 2 else "tcp_options")
    assert parse(usual + bytes([MSS, 3, 0, 0]))[0] == "tcp_options"


def test_nothing_after_the_end_of_the_list_is_read():
    assert parse(bytes([EOL, MSS, 0, 255])) == ("none", {})
    assert parse(option(MSS, 4) + bytes([EOL, 255, 255, 255])) == ("none", {"mss": 0x1111})
    assert parse(b"") == ("none", {})


@given(st.binary(max_size=40))
def test_any_bytes(data):
    why, _ = parse(data)
    assert why in ("none", "tcp_options")
