"""base/pool against a list model, and the counting allocator under it (base/alloc)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib

UNLIMITED = 2**64 - 1


class Pool:
    def __init__(self, size=24, *, slab=4, most=20, limit=0):
        self.size = size
        self.alloc = ffi.gc(lib.wb_alloc_new(limit), lib.wb_alloc_free)
        self.c = lib.wb_pool_new(self.alloc, size, slab, most)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        lib.wb_pool_free(self.c)
        assert lib.wb_alloc_in_use(self.alloc) == 0

    def get(self):
        index = ffi.new("uint32_t *")
        p = lib.wb_pool_get(self.c, index)
        return None if p == ffi.NULL else (index[0], ffi.buffer(p, self.size))

    def put(self, index):
        lib.wb_pool_put(self.c, index)

    def at(self, index):
        p = lib.wb_pool_at(self.c, index)
        return None if p == ffi.NULL else ffi.buffer(p, self.size)


@given(
    st.lists(st.one_of(st.just("get"), st.integers(0, 30)), max_size=120),
    st.sampled_from([5, 8, 24, 100]),
    st.sampled_from([1, 4, 64]),
)
def test_against_a_list(script, size, slab):
    most = 17
    held, freed, fresh = {}, [], 0
    with Pool(size, slab=slab, most=most) as pool:
        for step in script:
            if step == "get":
                got = pool.get()
                if len(held) == most:
                    assert got is None
                    continue
                index, memory = got
                assert index == (freed.pop() if freed else fresh)
                fresh = max(fresh, index + 1)
                assert memory[:] == bytes(size)
                memory[:] = held[index] = bytes([index + 1]) * size
            elif held:
                index = sorted(held)[step % len(held)]
                del held[index]
                freed.append(index)
                pool.put(index)
            assert lib.wb_pool_in_use(pool.c) == len(held)
            for index, content in held.items():
                assert pool.at(index)[:] == content


def test_indices_never_handed_out_have_no_object():
    with Pool() as pool:
        assert pool.at(0) is None
        pool.get()
        assert pool.at(0) is not None
        assert pool.at(1) is None  # in the same slab
        assert pool.at(2**32 - 1) is None


def test_a_freed_object_keeps_all_but_its_last_four_bytes():
    with Pool(24) as pool:
        index, memory = pool.get()
        memory[:] = b"G" * 24
        pool.put(index)
        assert pool.at(index)[:20] == b"G" * 20
        assert pool.get()[1][:] == bytes(24)


def test_objects_are_aligned_and_apart():
    with Pool(13, slab=8, most=64) as pool:
        places = []
        for _ in range(64):
            index, _ = pool.get()
            places.append(int(ffi.cast("uintptr_t", lib.wb_pool_at(pool.c, index))))
        assert all(place % 8 == 0 for place in places)
        places.sort()
        assert all(b - a >= 16 for a, b in zip(places, places[1:], strict=False))


def test_no_memory_is_taken_before_the_first_object():
    with Pool() as pool:
        assert lib.wb_alloc_calls(pool.alloc) == 0


@pytest.mark.parametrize("successes", range(6))
def test_any_allocation_may_fail(successes):
    """Nine slabs of one object: the table of slabs has to grow once."""
    with Pool(8, slab=1, most=9) as pool:
        lib.wb_alloc_fail_after(pool.alloc, successes)
        held = []
        while (got := pool.get()) is not None:
            held.append(got[0])
        assert len(held) < 9
        lib.wb_alloc_fail_after(pool.alloc, UNLIMITED)
        while (got := pool.get()) is not None:
            held.append(got[0])
        assert held == list(range(9))


def test_the_limit_of_the_allocator():
    with Pool(64, slab=16, most=10000, limit=10_000) as pool:
        count = 0
        while pool.get() is not None:
            count += 1
        assert 0 < count < 10_000 // 64
        assert count % 16 == 0
        assert lib.wb_alloc_in_use(pool.alloc) <= 10_000
        pool.put(0)
        assert pool.get()[0] == 0  # a freed one needs no memory


def test_the_allocator_counts():
    a = ffi.gc(lib.wb_alloc_new(100), lib.wb_alloc_free)
    p = lib.wb_alloc_get(a, 60)
    assert ffi.buffer(p, 60)[:] == bytes(60)
    assert lib.wb_alloc_get(a, 41) == ffi.NULL
    q = lib.wb_alloc_get(a, 40)
    assert q != ffi.NULL
    empty = lib.wb_alloc_get(a, 0)
    assert empty != ffi.NULL
    assert lib.wb_alloc_in_use(a) == lib.wb_alloc_peak(a) == 100
    assert lib.wb_alloc_calls(a) == 3
    lib.wb_alloc_put(a, empty, 0)
    lib.wb_alloc_put(a, p, 60)
    lib.wb_alloc_put(a, q, 40)
    lib.wb_alloc_put(a, ffi.NULL, 40)
    assert lib.wb_alloc_in_use(a) == 0
    assert lib.wb_alloc_peak(a) == 100


def test_the_schedule_of_failures():
    a = ffi.gc(lib.wb_alloc_new(0), lib.wb_alloc_free)
    lib.wb_alloc_fail_after(a, 1)
    p = lib.wb_alloc_get(a, 8)
    assert p != ffi.NULL
    assert lib.wb_alloc_get(a, 8) == ffi.NULL
    assert lib.wb_alloc_get(a, 8) == ffi.NULL
    lib.wb_alloc_put(a, p, 8)


def test_a_size_no_system_has():
    a = ffi.gc(lib.wb_alloc_new(2**62), lib.wb_alloc_free)
    assert lib.wb_alloc_get(a, 2**62 + 1) == ffi.NULL
    assert lib.wb_alloc_in_use(a) == 0
