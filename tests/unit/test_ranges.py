"""base/ranges against a set of integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib

UNIVERSE = 120
BASES = [0, 2**32 - 60, 2**64 - 1 - UNIVERSE]


class Ranges:
    def __init__(self, room=lib.WB_RANGES_MAX, *, grows=False):
        self.c = ffi.gc(lib.wb_ranges_new(room, grows), lib.wb_ranges_free)

    def runs(self):
        out = ffi.new("uint64_t[1024]")
        count = lib.wb_ranges_list(self.c, out)
        return [(out[2 * i], out[2 * i + 1]) for i in range(count)]


def runs_of(members):
    runs = []
    for n in sorted(members):
        if runs and runs[-1][1] == n:
            runs[-1][1] = n + 1
        else:
            runs.append([n, n + 1])
    return [tuple(run) for run in runs]


class Model:
    """What ranges.h promises, over a plain set."""

    def __init__(self):
        self.members = set()

    def change(self, members):
        fits = len(runs_of(members)) <= lib.WB_RANGES_MAX
        if fits:
            self.members = members
        return fits


intervals = st.tuples(st.integers(0, UNIVERSE - 1), st.integers(1, 12)).map(
    lambda t: (t[0], min(t[0] + t[1], UNIVERSE))
)
narrow = st.integers(0, UNIVERSE - 1).map(lambda n: (n, n + 1))
steps = st.one_of(
    st.tuples(st.just("add"), narrow),
    st.tuples(st.just("add"), intervals),
    st.tuples(st.just("remove"), narrow),
    st.tuples(st.just("remove"), intervals),
    st.tuples(st.just("trim"), intervals),
    st.tuples(st.just("ask"), intervals),
)


def _ask(ranges, model, base, lo, hi):
    inside = {n for n in model.members if lo <= n < hi}
    a, b = base + lo, base + hi
    assert lib.wb_ranges_covers(ranges.c, a, b) == (len(inside) == hi - lo)
    assert lib.wb_ranges_touches(ranges.c, a, b) == bool(inside)
    assert lib.wb_ranges_bytes_in(ranges.c, a, b) == len(inside)
    assert lib.wb_ranges_has(ranges.c, a) == (lo in model.members)
    run = ffi.new("uint64_t[2]")
    found = lib.wb_ranges_find(ranges.c, a, run)
    assert found == (lo in model.members)
    if found:
        assert (run[0] - base, run[1] - base) in runs_of(model.members)
        assert run[0] <= a < run[1]


@given(st.sampled_from(BASES), st.lists(steps, max_size=120))
def test_against_a_set(base, script):
    ranges, model = Ranges(), Model()
    for what, (lo, hi) in script:
        span = set(range(lo, hi))
        if what == "add":
            expected = model.change(model.members | span)
            assert lib.wb_ranges_add(ranges.c, base + lo, base + hi) == expected
        elif what == "remove":
            expected = model.change(model.members - span)
            assert lib.wb_ranges_remove(ranges.c, base + lo, base + hi) == expected
        elif what == "trim":
            model.change({n for n in model.members if n >= lo})
            lib.wb_ranges_trim_below(ranges.c, base + lo)
        else:
            _ask(ranges, model, base, lo, hi)
        assert ranges.runs() == [(base + a, base + b) for a, b in runs_of(model.members)]


@pytest.fixture
def full():
    """As many runs as fit: [0,2) [6,8) [12,14)..."""
    ranges = Ranges()
    for i in range(lib.WB_RANGES_MAX):
        assert lib.wb_ranges_add(ranges.c, 6 * i, 6 * i + 2)
    return ranges


def test_one_run_too_many_changes_nothing(full):
    before = full.runs()
    for lo in (3, 6 * 10 + 3, 6 * lib.WB_RANGES_MAX, 2**63):
        assert not lib.wb_ranges_add(full.c, lo, lo + 1)
        assert full.runs() == before


def test_a_full_set_still_merges_and_grows(full):
    assert lib.wb_ranges_add(full.c, 2, 6)  # joins the first two
    assert len(full.runs()) == lib.WB_RANGES_MAX - 1
    assert full.runs()[0] == (0, 8)
    assert lib.wb_ranges_add(full.c, 1000, 1001)
    assert not lib.wb_ranges_add(full.c, 2000, 2001)
    assert lib.wb_ranges_add(full.c, 0, 5000)
    assert full.runs() == [(0, 5000)]


def test_a_full_set_refuses_a_split_only(full):
    lib.wb_ranges_trim_below(full.c, 2)
    assert lib.wb_ranges_add(full.c, 1000, 1010)
    before = full.runs()
    assert not lib.wb_ranges_remove(full.c, 1003, 1004)
    assert full.runs() == before
    assert lib.wb_ranges_remove(full.c, 1005, 1010)
    assert lib.wb_ranges_remove(full.c, 6, 8)
    assert lib.wb_ranges_remove(full.c, 1002, 1003)
    assert full.runs()[-2:] == [(1000, 1002), (1003, 1005)]


def test_a_set_with_an_allocator_grows_and_gives_back():
    ranges = Ranges(4, grows=True)
    for i in range(512):
        assert lib.wb_ranges_add(ranges.c, 6 * i, 6 * i + 2)
        assert lib.wb_ranges_memory(ranges.c) == (0 if i < 4 else 16 << i.bit_length())
    assert not lib.wb_ranges_add(ranges.c, 9999, 10000)
    assert ranges.runs() == [(6 * i, 6 * i + 2) for i in range(512)]
    lib.wb_ranges_clear(ranges.c)
    assert ranges.runs() == []


def test_a_split_takes_room_too():
    ranges = Ranges(1, grows=True)
    assert lib.wb_ranges_add(ranges.c, 0, 100)
    assert lib.wb_ranges_remove(ranges.c, 40, 50)
    assert ranges.runs() == [(0, 40), (50, 100)]


def test_touching_runs_become_one():
    ranges = Ranges()
    lib.wb_ranges_add(ranges.c, 10, 20)
    lib.wb_ranges_add(ranges.c, 30, 40)
    lib.wb_ranges_add(ranges.c, 20, 30)
    assert ranges.runs() == [(10, 40)]


def test_clear_and_empty_intervals():
    ranges = Ranges()
    lib.wb_ranges_add(ranges.c, 10, 20)
    assert lib.wb_ranges_covers(ranges.c, 5, 5)
    assert not lib.wb_ranges_touches(ranges.c, 15, 15)
    assert lib.wb_ranges_bytes_in(ranges.c, 15, 15) == 0
    lib.wb_ranges_clear(ranges.c)
    assert ranges.runs() == []


def test_the_end_of_the_stream():
    ranges = Ranges()
    top = 2**64 - 1
    assert lib.wb_ranges_add(ranges.c, top - 5, top)
    assert lib.wb_ranges_has(ranges.c, top - 1)
    assert not lib.wb_ranges_has(ranges.c, top)
    lib.wb_ranges_trim_below(ranges.c, top)
    assert ranges.runs() == []
