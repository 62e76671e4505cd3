"""base/ring: bytes against a bytearray, by stream offset, and the cache its memory comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib

SIZE = 4096


class Rings:
    """A cache with some rings over it."""

    def __init__(self, *, max_rings=4, keep=2, rings=6, limit=0, size=SIZE):
        self.alloc = ffi.gc(lib.wb_alloc_new(limit), lib.wb_alloc_free)
        self.c = lib.wb_rings_new(self.alloc, size, max_rings, keep, rings)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        lib.wb_rings_free(self.c)
        assert lib.wb_alloc_in_use(self.alloc) == 0

    @property
    def mapped(self):
        return lib.wb_alloc_in_use(self.alloc)

    def read(self, which, offset, length):
        to = ffi.new("uint8_t[]", length)
        lib.wb_ring_read(self.c, which, offset, to, length)
        return bytes(to)


starts = st.one_of(
    st.integers(0, 3 * SIZE),
    st.integers(2**32 - SIZE, 2**32 + SIZE),
    st.integers(2**63, 2**63 + 5),
)
chunks = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE), st.integers(0, 255))


@given(starts, st.integers(0, 2 * SIZE), st.lists(chunks, max_size=20))
def test_against_a_bytearray(base, moved, script):
    """The window [lo, lo + SIZE) of the stream, wherever it has slid to since the ring opened."""
    with Rings() as rings:
        assert lib.wb_ring_open(rings.c, 0, base)
        lo = base + moved
        model = bytearray(SIZE)
        lib.wb_ring_write(rings.c, 0, lo, bytes(SIZE), SIZE)
        for at, length, seed in script:
            length = min(length, SIZE - at)
            data = bytes((seed + i) & 0xFF for i in range(length))
            lib.wb_ring_write(rings.c, 0, lo + at, data, length)
            model[at : at + length] = data
            assert rings.read(0, lo, SIZE) == model
            assert rings.read(0, lo + at, length) == data
            _check_view(rings, base, lo + at, data)


def _check_view(rings, base, offset, data):
    view = lib.wb_ring_view(rings.c, 0, offset, len(data))
    assert view.place == (offset - base) % SIZE
    assert view.len[0] == min(len(data), SIZE - view.place)
    assert view.len[0] + view.len[1] == len(data)
    pieces = [bytes(ffi.buffer(view.at[i], view.len[i])) for i in range(2)]
    assert b"".join(pieces) == data


def test_a_whole_ring_wraps_once():
    with Rings() as rings:
        lib.wb_ring_open(rings.c, 0, 1000)
        data = bytes(i * 7 & 0xFF for i in range(SIZE))
        lib.wb_ring_write(rings.c, 0, 1001, data, SIZE)
        assert rings.read(0, 1001, SIZE) == data
        _check_view(rings, 1000, 1001, data)


def test_memory_exists_only_while_open():
    with Rings(keep=0) as rings:
        assert not lib.wb_ring_is_open(rings.c, 0)
        assert rings.mapped == 0
        assert lib.wb_ring_open(rings.c, 0, 5)
        assert lib.wb_ring_open(rings.c, 0, 99)  # open already: its base stays
        assert lib.wb_rings_in_use(rings.c) == 1
        lib.wb_ring_write(rings.c, 0, 5, b"x", 1)
        assert rings.read(0, 5 + SIZE, 1) == b"x"
        lib.wb_ring_release(rings.c, 0)
        lib.wb_ring_release(rings.c, 0)
        assert not lib.wb_ring_is_open(rings.c, 0)
        assert rings.mapped == 0


def test_the_limit_on_rings():
    with Rings(max_rings=3) as rings:
        assert [lib.wb_ring_open(rings.c, i, 0) for i in range(4)] == [True, True, True, False]
        assert not lib.wb_ring_is_open(rings.c, 3)
        lib.wb_ring_release(rings.c, 1)
        assert lib.wb_ring_open(rings.c, 3, 0)


def test_free_rings_beyond_keep_are_unmapped():
    with Rings(max_rings=4, keep=2) as rings:
        for i in range(4):
            lib.wb_ring_open(rings.c, i, 0)
        assert rings.mapped == 4 * SIZE
        for i in range(4):
            lib.wb_ring_release(rings.c, i)
        assert rings.mapped == 2 * SIZE
        assert lib.wb_rings_kept(rings.c) == 2
        lib.wb_ring_open(rings.c, 0, 0)
        assert lib.wb_rings_kept(rings.c) == 1
        assert rings.mapped == 2 * SIZE


def test_the_hottest_ring_is_used_first():
    with Rings(keep=4) as rings:
        for i in range(3):
            lib.wb_ring_open(rings.c, i, 0)
            lib.wb_ring_write(rings.c, i, 100, bytes([i]), 1)
        for i in (0, 2, 1):
            lib.wb_ring_release(rings.c, i)
        found = []
        for i in range(3):
            lib.wb_ring_open(rings.c, i, 0)
            found.append(rings.read(i, 100, 1)[0])
        assert found == [1, 2, 0]


@pytest.mark.parametrize("limit", [1, SIZE - 1])
def test_no_memory_is_a_plain_no(limit):
    with Rings(limit=limit) as rings:
        assert not lib.wb_ring_open(rings.c, 0, 0)
        assert lib.wb_rings_in_use(rings.c) == 0


def test_nothing_to_copy_touches_no_ring():
    with Rings() as rings:
        lib.wb_ring_write(rings.c, 0, 0, ffi.NULL, 0)
        lib.wb_ring_read(rings.c, 0, 0, ffi.NULL, 0)
