"""wire/checksum against RFC 1071 done word by word, for every implementation this CPU runs."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import addr, exact, ffi, lib, ones_sum, pseudo_header


def _names():
    names = []
    while (name := lib.wb_checksum_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


NAMES = _names()
every_implementation = pytest.mark.parametrize("which", range(len(NAMES)), ids=NAMES)


def test_the_portable_one_comes_first():
    assert NAMES[0] == "portable"
    assert len(set(NAMES)) == len(NAMES)


def test_example_of_rfc_1071():
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert lib.wb_checksum_fold(lib.wb_checksum_add(exact(data), len(data), 0)) == 0xDDF2


@every_implementation
def test_every_length_to_some_hundred_bytes(which):
    rng = random.Random(1071)
    for length in range(400):
        data = rng.randbytes(length)
        got = lib.wb_checksum_fold(lib.wb_checksum_with(which, exact(data), length, 0))
        assert got == ones_sum(data), length


@every_implementation
@pytest.mark.parametrize("length", [1447, 1448, 8960, 65535, 65536, 200001])
@pytest.mark.parametrize("fill", [b"\xff", b"\x00", b"\xff\x00\x00", None])
def test_long_and_extreme_data(which, length, fill):
    if fill is None:
        data = random.Random(length).randbytes(length)
    else:
        data = (fill * length)[:length]
    got = lib.wb_checksum_fold(lib.wb_checksum_with(which, exact(data), length, 0))
    assert got == ones_sum(data)


@every_implementation
def test_every_alignment(which):
    block = random.Random(7).randbytes(400)
    room = exact(block)
    for start in range(64):
        for length in (31, 32, 127, 128, 129, 300):
            got = lib.wb_checksum_with(which, room + start, length, 0)
            assert lib.wb_checksum_fold(got) == ones_sum(block[start : start + length])


@every_implementation
@given(data=st.binary(max_size=700), start=st.integers(0, 2**32 - 1))
def test_any_data_added_to_any_sum(which, data, start):
    got = lib.wb_checksum_with(which, exact(data), len(data), start)
    assert lib.wb_checksum_fold(got) == ones_sum(data, start)


@given(st.lists(st.binary(max_size=200), max_size=12))
def test_pieces_add_up_to_the_whole(pieces):
    total, offset = 0, 0
    for piece in pieces:
        total = lib.wb_checksum_add_at(exact(piece), len(piece), offset, total)
        offset += len(piece)
    assert lib.wb_checksum_fold(total) == ones_sum(b"".join(pieces))


@given(st.integers(0, 2**32 - 1))
def test_fold(value):
    assert lib.wb_checksum_fold(value) == ones_sum(b"", value)


@pytest.mark.parametrize(
    ("src", "dst"),
    [
        ("10.0.0.1", "192.168.255.254"),
        ("255.255.255.255", "255.255.255.255"),
        ("0.0.0.0", "0.0.0.1"),
        ("2001:db8::1", "fe80::ffff:ffff:ffff:fffe"),
        ("::", "ff02::1:ff00:1"),
    ],
)
@pytest.mark.parametrize("length", [0, 20, 1480, 65515])
@pytest.mark.parametrize("proto", [6, 58])
def test_pseudo_header(src, dst, length, proto):
    got = lib.wb_checksum_fold(lib.wb_checksum_pseudo(addr(src), addr(dst), proto, length))
    assert got == ones_sum(pseudo_header(src, dst, proto, length))


def test_pseudo_header_of_a_length_over_16_bits():
    src, dst = "2001:db8::1", "2001:db8::2"
    got = lib.wb_checksum_fold(lib.wb_checksum_pseudo(addr(src), addr(dst), 6, 0x12345))
    assert got == ones_sum(pseudo_header(src, dst, 6, 0x12345))
