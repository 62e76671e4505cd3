"""Received text that becomes the user's without a copy: base/posted.h, link/place, tcp/reasm."""

import gc
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.far import MSS, NOW, Far
from usertcp import _binding
from usertcp._errors import Code
from usertcp._info import ConnectionInfo
from usertcp.streams import StreamOption
from usertcp.testing.packets import ACK, Options

USUAL = 20 * MSS
STREAM = random.Random(1).randbytes(1 << 23)
BUFFERS = _binding.lib.UT_POSTED_MAX
V4, V6 = ("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")
versions = pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])


class Sender(Far):
    """Sends STREAM in pieces, and knows what of it the stack has."""

    def __init__(self, ends: tuple[str, str] = V4, **options: object) -> None:
        super().__init__(*ends, wscale=7, **options)  # type: ignore[arg-type]
        self.known: list[tuple[int, int]] = []  # beyond nxt
        self.nxt = self.read = 0

    def text(self, lo: int, size: int, *, vouched: bool = True, **fields: object) -> None:
        """The bytes of STREAM from `lo` on, in one segment."""
        if vouched:
            fields = {"checksum": 0, "gso_size": MSS} | fields
        fields["payload"] = STREAM[lo : lo + size]
        self.sends(ACK, offset=lo, **fields)  # type: ignore[arg-type]
        self.known = sorted([*self.known, (lo, lo + size)])
        while self.known and self.known[0][0] <= self.nxt:
            self.nxt = max(self.nxt, self.known.pop(0)[1])

    def next(self, size: int = USUAL, **fields: object) -> None:
        self.text(self.nxt, size, **fields)

    def receives(self, most: int = 1 << 16) -> bytes:
        """One call, and it gives what is next."""
        got = self.raw.recv(self.handle, most, NOW)
        if self.read == self.nxt:
            assert got == -Code.WOULD_BLOCK
            return b""
        assert isinstance(got, bytes)
        assert 0 < len(got) <= most
        assert got == STREAM[self.read : self.read + len(got)]
        self.read += len(got)
        return got

    def drain(self, most: int = 1 << 16) -> None:
        while self.receives(most):
            pass
        assert self.read == self.nxt

    def warm_up(self, size: int = USUAL) -> None:
        """As many usual texts as it takes until buffers are posted."""
        for _ in range(12):
            self.next(size)
            self.drain()

    @property
    def offered(self) -> int:
        info = self.raw.info(self.handle)
        assert isinstance(info, ConnectionInfo)
        return info.rcv_wnd

    @property
    def kept(self) -> int:
        return self.raw.counters()["texts_kept"]


@versions
def test_text_becomes_the_users_without_a_copy(ends: tuple[str, str]):
    far = Sender(ends)
    far.warm_up()
    kept, posted = far.kept, list(far.raw._posted)
    far.next()
    got = far.receives()
    assert any(got is buffer for buffer in posted)
    assert far.kept == kept + 1
    assert all(got is not buffer for buffer in far.raw._posted)
    far.raw.free()


def test_small_exchanges_post_nothing():
    far = Sender()
    for _ in range(100):
        far.next(1000)
        far.drain()
    assert set(far.raw._posted) == {b""}
    far.raw.free()


def test_what_is_taken_stays_as_it_is():
    """While its place in the engine is used again and again."""
    far = Sender()
    far.warm_up()
    begun = far.read
    taken = []
    for _ in range(3 * BUFFERS):
        far.next()
        taken.append(far.receives())
    assert b"".join(taken) == STREAM[begun : far.read]
    far.raw.free()
    assert b"".join(taken) == STREAM[begun : far.read]


def test_more_than_there_are_buffers():
    """Who does not read holds them all; what comes then goes to the ring, for everybody."""
    far = Sender()
    far.warm_up()
    kept = far.kept
    for _ in range(BUFFERS + 20):
        far.next()
    far.drain()
    assert far.kept == kept + BUFFERS
    far.next()
    far.receives()
    assert far.kept == kept + BUFFERS + 1
    far.raw.free()


def test_a_stack_that_ends_with_unread_text():
    far = Sender()
    far.warm_up()
    far.next()
    stack = far.raw._stack
    assert stack in _binding._posted_of
    far.raw.free()
    assert stack not in _binding._posted_of


def test_a_closed_connection_gives_its_buffers_back():
    far = Sender()
    far.warm_up()
    for _ in range(BUFFERS):
        far.next()
    far.raw.abort(far.handle, NOW)
    far.raw.poll_events(NOW, 64)
    size = len(far.raw._posted[0])
    assert all(
        _binding.lib.ut_post(far.raw._stack, 1 + i, buffer, size) == 0
        for i, buffer in enumerate(far.raw._posted)
    )
    far.raw.free()


def test_a_change_of_size_is_followed():
    far = Sender()
    far.warm_up()
    for size in (USUAL + 3 * MSS, USUAL - 2 * MSS):
        for _ in range(150):
            far.next(size)
            far.drain()
        kept = far.kept
        far.next(size)
        far.drain()
        assert far.kept == kept + 1
    far.raw.free()


def test_two_sizes_in_turn_are_not_followed_all_the_time():
    far = Sender()
    far.warm_up()
    for _ in range(100):
        far.next(USUAL - MSS)
        far.next(USUAL)
        far.drain()
    assert {len(buffer) for buffer in far.raw._posted} == {USUAL}
    far.raw.free()


@versions
def test_longer_headers_than_were_expected(ends: tuple[str, str]):
    """... in a frame of the same length: the link puts some of them into the buffer."""
    far = Sender(ends)
    far.warm_up()
    for words in (1, 3, 10, 0):
        kept = far.kept
        far.next(USUAL - 4 * words, options=Options(extra=b"\1" * 4 * words))
        far.drain()
        assert far.kept == kept
    far.raw.free()


def test_unvouched_text_is_looked_at():
    """RFC 9293 3.1 (MUST-3): nobody but us verifies its checksum."""
    far = Sender()
    far.warm_up()
    kept = far.kept
    far.next(vouched=False)
    far.drain()
    before = far.raw.counters()["drop_tcp_checksum"]
    far.sends(ACK, offset=far.nxt, payload=bytes(USUAL), checksum=1)
    assert far.raw.counters()["drop_tcp_checksum"] == before + 1
    far.drain()
    assert far.kept == kept
    far.raw.free()


def test_a_capture_has_all_of_it(tmp_path: Path):
    file = tmp_path / "c.pcapng"
    far = Sender(capture=str(file))
    far.warm_up()
    lo = far.nxt
    far.next()
    far.drain()
    far.raw.free()
    assert STREAM[lo : lo + USUAL] in file.read_bytes()


def test_an_interrupt_leaves_no_memory_behind_that_is_still_used(monkeypatch: pytest.MonkeyPatch):
    """Between the engine's call and what follows it: KeyboardInterrupt may come anywhere."""
    far = Sender()
    far.warm_up()
    real = _binding._recv_keep

    def interrupted(*args: object) -> int:
        real(*args)
        raise KeyboardInterrupt

    far.next()
    with monkeypatch.context() as patch:
        patch.setattr(_binding, "_recv_keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            far.receives()
    far.read = far.nxt  # that text is lost with the call that had it
    del patch
    gc.collect()
    waste = [bytes(USUAL) for _ in range(50)]
    for _ in range(2 * BUFFERS):
        far.next()
    far.drain()
    assert all(not any(w) for w in waste)
    far.raw.free()


lengths = pytest.mark.parametrize("size", [40_000, 50_008], ids=["grains", "no grains"])
"""Of the window field, which counts in units of 64 bytes here."""


@lengths
def test_the_window_ends_where_a_usual_text_does(size: int):
    """Whatever is unread: a sender at the window's edge need not cut its super-segments.

    RFC 9293 3.8.6 (SHLD-14): the edge never moves left.
    """
    far, chance = Sender(), random.Random(2)
    far.warm_up(size)
    edge = 0
    for _ in range(300):
        if far.offered >= size and chance.random() < 0.4:
            far.next(size)
        else:
            far.receives(chance.choice([500, MSS, size, size, 1 << 16]))
        assert far.offered % size < MSS
        assert far.nxt + far.offered >= edge
        edge = far.nxt + far.offered
    far.drain()
    far.next(size)
    _, limit = far.raw.get_option(far.handle, StreamOption.RCV_LIMIT)
    assert far.offered > limit - 2 * size
    far.raw.free()


@lengths
def test_a_full_window_opens_by_a_whole_text(size: int):
    """RFC 9293 3.8.6.2.2 (MUST-39), and no update that opens nothing."""
    far = Sender()
    far.warm_up(size)
    while far.offered >= size:
        far.next(size)
    assert far.offered < MSS
    far.frames()
    begun = far.read
    while not (frames := far.frames()):
        far.receives(MSS)
    assert len(frames) == 1
    assert far.read - begun <= size
    assert 0 <= far.offered - size < MSS
    far.raw.free()


def test_the_end_of_a_text_close_by_is_no_reason_to_move():
    """RFC 9293 3.8.6.2.2 (MUST-39): 300 bytes, where segments have 1000."""
    size = 40_000
    far = Sender()
    far.warm_up(size)
    far.next(size)
    edge = far.nxt + far.offered
    far.frames()
    for _ in range(2):  # the second of them is acknowledged
        far.next(150)
    assert far.frames()
    assert far.nxt + far.offered - edge < 64
    far.raw.free()


def test_a_window_of_few_texts_is_offered_whole():
    far = Sender()
    far.warm_up()
    limit = 3 * USUAL + MSS // 2
    assert far.raw.set_option(far.handle, StreamOption.RCV_LIMIT, limit, NOW) == 0
    while far.offered > limit:
        far.next()
        far.drain()
    far.next()
    assert abs(far.offered - (limit - USUAL)) < 64
    far.raw.free()


pieces = st.tuples(
    st.sampled_from(["next", "next", "next", "ahead", "again"]),
    st.sampled_from([USUAL, USUAL, USUAL - 12, USUAL - 40, USUAL + 1, 17 * MSS, 300, 2 * USUAL]),
    st.sampled_from([b"", b"", b"\1" * 12, b"\1" * 40]),  # with 12 less: the same length in all
    st.booleans(),
)
reads = st.tuples(
    st.just("read"), st.sampled_from([1, 100, 16384, USUAL - 1, USUAL, 65536, 1 << 20])
)


@given(st.lists(st.one_of(pieces, reads), max_size=40), st.sampled_from([V4, V6]))
def test_whatever_comes_is_what_is_read(script, ends):
    """Other sizes, other headers, holes, duplicates: each guess of the link may be wrong."""
    far = Sender(ends)
    try:
        far.warm_up()
        for step in script:
            if step[0] == "read":
                far.receives(step[1])
                continue
            how, size, options, vouched = step
            lo = {"next": far.nxt, "ahead": far.nxt + USUAL, "again": max(0, far.nxt - 1000)}[how]
            if lo + size - far.read > 1 << 20 or lo + size > len(STREAM) or size > 60_000 - 40:
                continue
            far.text(lo, size, vouched=vouched, options=Options(extra=options))
        far.drain()
    finally:
        far.raw.free()
