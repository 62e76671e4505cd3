"""tcp/reasm: received bytes against a bytearray and a set of offsets; the first arrival wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import ffi, lib, reason

SIZE = 4096
RUNS = 64
BUFFERS = 3
POSTED_SIZE = 200

arrivals = st.tuples(
    st.just("insert"), st.integers(0, SIZE), st.integers(1, 600), st.integers(0, 255)
)
posted = st.tuples(
    st.just("posted"),
    st.sampled_from([0, 0, 1, 40]),
    st.sampled_from([1, POSTED_SIZE - 1, POSTED_SIZE, POSTED_SIZE]),
    st.integers(0, 255),
)
reads = st.tuples(st.sampled_from(["take", "lend"]), st.integers(1, SIZE))


class Model:
    """What tcp/reasm.h promises, the slow way."""

    def __init__(self):
        self.known: dict[int, int] = {}
        self.read = 0

    @property
    def nxt(self):
        at = self.read
        while at in self.known:
            at += 1
        return at

    def runs_with(self, lo, hi):
        held = sorted({o for o in self.known if o > self.nxt} | set(range(lo, hi)))
        return sum(1 for i, o in enumerate(held) if i == 0 or held[i - 1] != o - 1)


@pytest.mark.rfc("9293-SHLD-31")
@given(st.lists(st.one_of(arrivals, posted, reads), max_size=60))
def test_against_a_model(script):
    r = lib.wb_reasm_new(SIZE)
    model = Model()
    buffers = [ffi.new("uint8_t[]", POSTED_SIZE) for _ in range(BUFFERS)]
    for number, memory in enumerate(buffers, 1):
        assert lib.wb_reasm_post(r, number, memory, POSTED_SIZE)
    try:
        for step in script:
            if step[0] == "insert":
                insert(r, model, *step[1:])
            elif step[0] == "posted":
                insert_posted(r, model, buffers, step[1:])
            else:
                read(r, model, *step)
            assert lib.wb_reasm_nxt(r) == model.nxt
            assert lib.wb_reasm_window(r) == SIZE - 1 - (model.nxt - model.read)
            if not model.known:
                assert not lib.wb_reasm_has_memory(r)
                assert all(lib.wb_reasm_is_free(r, n) for n in range(1, BUFFERS + 1))
    finally:
        lib.wb_reasm_free(r)


def insert(r, model, ahead, length, fill):
    lo = model.nxt + ahead
    hi = min(lo + length, model.read + SIZE - 1)
    if lo >= hi:
        return
    data = bytes((fill + i) % 256 for i in range(hi - lo))
    why = reason(lib.wb_reasm_insert(r, lo, data, len(data)))
    if ahead and model.runs_with(lo, hi) > RUNS:
        assert why == "tcp_reasm_full"
        return
    assert why == "none"
    for i, byte in enumerate(data):
        model.known.setdefault(lo + i, byte)


def insert_posted(r, model, buffers, arrival):
    """As the link does: into the first free buffer, without knowing where it belongs."""
    ahead, length, fill = arrival
    number = next((n for n in range(1, BUFFERS + 1) if lib.wb_reasm_is_free(r, n)), 0)
    lo = model.nxt + ahead
    hi = min(lo + length, model.read + SIZE - 1)
    if not number or lo >= hi or model.runs_with(lo, hi) > RUNS:
        return
    data = bytes((fill + i) % 256 for i in range(hi - lo))
    in_order = lo == model.nxt and all(o < lo for o in model.known)
    ffi.memmove(buffers[number - 1], data, len(data))
    assert reason(lib.wb_reasm_insert_posted(r, lo, number, len(data))) == "none"
    stays = in_order and len(data) == POSTED_SIZE
    assert lib.wb_reasm_is_free(r, number) != stays
    assert lib.wb_reasm_post(r, number, buffers[number - 1], POSTED_SIZE) != stays
    if not stays:  # the next frame may go there at once
        ffi.memmove(buffers[number - 1], b"\xee" * POSTED_SIZE, POSTED_SIZE)
    for i, byte in enumerate(data):
        model.known.setdefault(lo + i, byte)


def read(r, model, how, most):
    expected = bytes(model.known[o] for o in range(model.read, min(model.nxt, model.read + most)))
    if how == "take":
        to = ffi.new("uint8_t[]", most)
        assert lib.wb_reasm_take(r, to, most) == len(expected)
        got = bytes(ffi.buffer(to, len(expected)))
    else:
        at = ffi.new("uint8_t **")
        count = lib.wb_reasm_peek(r, most, at)
        if number := lib.wb_reasm_whole(r, count):
            assert count == POSTED_SIZE
            assert not lib.wb_reasm_is_free(r, number)
        got = bytes(ffi.buffer(at[0], count)) if count else b""
        assert count > 0 or not expected
        lib.wb_reasm_consume(r, count)
        expected = expected[:count]
    assert got == expected
    for _ in expected:
        del model.known[model.read]
        model.read += 1


@pytest.mark.rfc("SEC-10")
def test_holes_cost_no_memory_beyond_their_number():
    """33 runs of one byte: the last is refused, nothing of it is kept."""
    r = lib.wb_reasm_new(SIZE)
    for i in range(RUNS):
        assert reason(lib.wb_reasm_insert(r, 2 * i + 1, b"x", 1)) == "none"
    assert reason(lib.wb_reasm_insert(r, 2 * RUNS + 1, b"y", 1)) == "tcp_reasm_full"
    assert reason(lib.wb_reasm_insert(r, 0, b"z" * (2 * RUNS + 1), 2 * RUNS + 1)) == "none"
    to = ffi.new("uint8_t[]", SIZE)
    count = lib.wb_reasm_take(r, to, SIZE)
    assert bytes(ffi.buffer(to, count)) == b"zx" * RUNS + b"z"
    lib.wb_reasm_free(r)
