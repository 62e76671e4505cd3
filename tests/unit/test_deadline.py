"""base/deadline against a dictionary of instants."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib

NEVER = 2**64 - 1
NODES = 40


class Heap:
    def __init__(self, nodes=NODES, *, limit=0, reserve=True):
        self.alloc = ffi.gc(lib.wb_alloc_new(limit), lib.wb_alloc_free)
        self.c = lib.wb_heap_new(self.alloc, nodes)
        if reserve:
            assert lib.wb_heap_reserve(self.c, nodes)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        lib.wb_heap_free(self.c)
        assert lib.wb_alloc_in_use(self.alloc) == 0

    def set(self, node, at):
        lib.wb_heap_set(self.c, node, at)

    def pop_all(self, now):
        due = []
        while (node := lib.wb_heap_pop_due(self.c, now)) != lib.WB_NOWHERE:
            due.append(node)
        return due

    @property
    def next(self):
        return lib.wb_heap_next(self.c)


instants = st.one_of(st.integers(0, 200), st.just(NEVER), st.integers(NEVER - 3, NEVER))
steps = st.one_of(
    st.tuples(st.just("set"), st.integers(0, NODES - 1), instants),
    st.tuples(st.just("set"), st.integers(0, NODES - 1), instants),
    st.tuples(st.just("remove"), st.integers(0, NODES - 1), st.none()),
    st.tuples(st.just("pop one"), st.none(), instants),
    st.tuples(st.just("pop all"), st.none(), instants),
)


def _pop_one(heap, model, now):
    node = lib.wb_heap_pop_due(heap.c, now)
    if node == lib.WB_NOWHERE:
        assert not [n for n, at in model.items() if at <= now]
        assert heap.next > now or heap.next == NEVER
        return
    assert model.pop(node) <= now
    assert lib.wb_heap_at(heap.c, node) == NEVER
    assert not lib.wb_heap_is_queued(heap.c, node)


@given(st.lists(steps, max_size=200))
def test_against_a_dictionary(script):
    model = {}
    with Heap() as heap:
        for what, node, at in script:
            if what == "set":
                heap.set(node, at)
                model[node] = at
                if at == NEVER:
                    del model[node]
            elif what == "remove":
                lib.wb_heap_remove(heap.c, node)
                model.pop(node, None)
            elif what == "pop one":
                _pop_one(heap, model, at)
            else:
                due = {n for n, when in model.items() if when <= at}
                popped = heap.pop_all(at)
                assert len(popped) == len(set(popped))
                assert set(popped) == due
                for n in due:
                    del model[n]
            assert lib.wb_heap_is_sound(heap.c)
            assert heap.next <= min(model.values(), default=NEVER)  # early perhaps, never late


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300))
def test_untouched_deadlines_come_in_order(times):
    with Heap(len(times)) as heap:
        for node, at in enumerate(times):
            heap.set(node, at)
        assert heap.next == min(times)
        assert [times[n] for n in heap.pop_all(1000)] == sorted(times)


def test_a_large_heap_stays_sound():
    """Removal from the middle moves the last node down or, from another branch, up."""
    rng = random.Random(4)
    with Heap(700) as heap:
        model = {}
        for step in range(6000):
            node = rng.randrange(700)
            if rng.random() < 0.4:
                lib.wb_heap_remove(heap.c, node)
                model.pop(node, None)
            else:
                model[node] = rng.randrange(2**40)
                heap.set(node, model[node])
            if step % 16 == 0:
                assert lib.wb_heap_is_sound(heap.c)
        assert set(heap.pop_all(2**40)) == set(model)


def test_a_later_deadline_costs_one_store_and_is_kept():
    with Heap() as heap:
        heap.set(0, 10)
        heap.set(1, 20)
        heap.set(0, 30)
        assert heap.next == 10  # its old place: early, not late
        assert heap.pop_all(15) == []
        assert heap.next == 20  # put right when it surfaced
        assert heap.pop_all(29) == [1]
        assert heap.pop_all(30) == [0]
        assert heap.next == NEVER


def test_an_earlier_deadline_is_seen_at_once():
    with Heap() as heap:
        for node in range(NODES):
            heap.set(node, 1000 + node)
        heap.set(NODES - 1, 1)
        assert heap.next == 1
        assert heap.pop_all(1) == [NODES - 1]


def test_sleeping_nodes_leave_when_they_surface():
    with Heap() as heap:
        heap.set(0, 10)
        heap.set(0, NEVER)
        assert lib.wb_heap_is_queued(heap.c, 0)
        assert heap.pop_all(NEVER - 1) == []
        assert not lib.wb_heap_is_queued(heap.c, 0)
        heap.set(0, 5)  # wakes again
        assert heap.pop_all(5) == [0]


def test_a_popped_node_may_be_set_for_the_past_again():
    with Heap() as heap:
        heap.set(3, 7)
        assert heap.pop_all(7) == [3]
        heap.set(3, 7)
        assert heap.pop_all(7) == [3]


def test_removing_an_idle_node_is_nothing():
    with Heap() as heap:
        lib.wb_heap_remove(heap.c, 0)
        assert heap.next == NEVER


@pytest.mark.parametrize("already", [0, 64])
def test_no_memory_to_reserve(already):
    with Heap(200, limit=64 * 8 + 100, reserve=False) as heap:
        assert lib.wb_heap_reserve(heap.c, already)
        assert not lib.wb_heap_reserve(heap.c, 200)
        assert lib.wb_heap_reserve(heap.c, already)  # what there was is still there
        for node in range(already):
            heap.set(node, node)
        assert len(heap.pop_all(NEVER - 1)) == already


def test_growing_keeps_what_is_queued():
    with Heap(5000, reserve=False) as heap:
        for node in range(5000):
            assert lib.wb_heap_reserve(heap.c, node + 1)
            heap.set(node, 5000 - node)
        assert lib.wb_heap_is_sound(heap.c)
        assert heap.pop_all(5000) == list(reversed(range(5000)))
        assert lib.wb_alloc_calls(heap.alloc) < 20
