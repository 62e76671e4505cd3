"""base/siphash against the published vectors and a second implementation; base/rand on top."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib

MASK = 2**64 - 1
KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)

# Output bytes of SipHash-2-4 for key 00..0f and the first n bytes of 00 01 02 ...
PUBLISHED = """
310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785
b7877127e09427cf 8da699cd64557618 cee3fe586e46c9cb 37d1018bf50002ab
6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4
fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1
""".split()


def _rotate(x, bits):
    return (x << bits | x >> (64 - bits)) & MASK


def _round(v):
    for a, b, bits, half in (
        (0, 1, 13, True),
        (2, 3, 16, False),
        (0, 3, 21, False),
        (2, 1, 17, True),
    ):
        v[a] = (v[a] + v[b]) & MASK
        v[b] = _rotate(v[b], bits) ^ v[a]
        if half:
            v[a] = _rotate(v[a], 32)


def siphash(c, d, key, data):
    """Written from the paper, apart from the C."""
    v = [int.from_bytes(word) for word in (b"somepseu", b"dorandom", b"lygenera", b"tedbytes")]
    v = [x ^ key[i % 2] for i, x in enumerate(v)]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        m = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= m
        for _ in range(c):
            _round(v)
        v[0] ^= m
    v[2] ^= 0xFF
    for _ in range(d):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@pytest.mark.parametrize(("n", "expected"), list(enumerate(PUBLISHED)))
def test_published_vectors(n, expected):
    data = bytes(range(n))
    assert lib.wb_siphash24(*KEY, data, n).to_bytes(8, "little").hex() == expected


def test_the_vector_of_the_paper():
    assert lib.wb_siphash24(*KEY, bytes(range(15)), 15) == 0xA129CA6149BE45E5


def test_every_length_to_64():
    for n in range(64):
        data = bytes(range(n))
        assert lib.wb_siphash24(*KEY, data, n) == siphash(2, 4, KEY, data)
        assert lib.wb_siphash13(*KEY, data, n) == siphash(1, 3, KEY, data)


@given(st.integers(0, MASK), st.integers(0, MASK), st.binary(max_size=300))
def test_any_key_and_data(k0, k1, data):
    assert lib.wb_siphash24(k0, k1, data, len(data)) == siphash(2, 4, (k0, k1), data)
    assert lib.wb_siphash13(k0, k1, data, len(data)) == siphash(1, 3, (k0, k1), data)


def test_an_empty_message_may_be_null():
    assert lib.wb_siphash24(*KEY, ffi.NULL, 0) == siphash(2, 4, KEY, b"")


def _stream(count, seed=(1, 2)):
    out = ffi.new("uint64_t[]", count)
    lib.wb_rand_u64(*seed, out, count)
    return list(out)


def _below(n, count, seed=(3, 4)):
    out = ffi.new("uint32_t[]", count)
    lib.wb_rand_below(*seed, n, out, count)
    return list(out)


def _key(purpose, seed=(5, 6)):
    key = ffi.new("uint64_t[2]")
    lib.wb_rand_key(*seed, purpose.encode(), key)
    return tuple(key)


def test_the_stream_is_siphash_of_a_counter():
    expected = [siphash(2, 4, (1, 2), n.to_bytes(8, "little")) for n in range(10)]
    assert _stream(10) == expected


def test_the_seed_decides_all():
    assert _stream(50) == _stream(50)
    assert not set(_stream(50)) & set(_stream(50, (1, 3)))
    assert len(set(_stream(5000))) == 5000


@pytest.mark.parametrize("n", [1, 2, 3, 10, 2**31 + 1, 2**32 - 1])
def test_below_stays_below(n):
    assert all(value < n for value in _below(n, 1000))


def test_below_is_uniform():
    counts = Counter(_below(6, 60_000))
    assert sorted(counts) == list(range(6))
    assert all(9_500 < count < 10_500 for count in counts.values())


def test_keys_differ_by_purpose_and_seed():
    keys = [_key("isn"), _key("cookie"), _key(""), _key("isn", (5, 7)), _key("12345678")]
    words = [word for key in keys for word in key]
    assert len(set(words)) == len(words)
    assert _key("isn") == _key("isn")
