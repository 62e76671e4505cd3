"""memory.c: bounded queues, joining, and the far end that tests drive."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rawlink import (
    GSO_TCP4,
    NEEDS_CSUM,
    PLAIN,
    RX_CSUM,
    RX_GSO,
    TX_CSUM,
    TX_TSO4,
    TX_TSO6,
    Frame,
    Marks,
    RawLink,
    ffi,
    lib,
)

WOULD_BLOCK, INVALID, ADDRESS_IN_USE, NOT_SUPPORTED = -1, -4, -7, -17
SUPER = Marks(NEEDS_CSUM, GSO_TCP4, 1448, 20, 16, 52)


def write(link: RawLink, data: bytes, marks: Marks = PLAIN) -> int:
    return lib.ut_memory_write(
        link.pointer, data, len(data), ffi.new("ut_offload *", marks.__dict__)
    )


def read(link: RawLink, room: int = 70000) -> Frame | int:
    to, marks = ffi.new("uint8_t[]", room), ffi.new("ut_offload *")
    size = lib.ut_memory_read(link.pointer, to, room, marks)
    if size <= 0:
        return size
    fields = {name: getattr(marks, name) for name in Marks.__dataclass_fields__}
    return Frame(bytes(ffi.buffer(to, size)), Marks(**fields))


def pair(**options: int) -> tuple[RawLink, RawLink]:
    a, b = RawLink("memory", **options), RawLink("memory", **options)
    assert lib.ut_memory_join(a.pointer, b.pointer) == 0
    return a, b


def test_capabilities():
    with RawLink("memory") as link:
        assert link.info.caps == TX_CSUM | TX_TSO4 | TX_TSO6 | RX_CSUM | RX_GSO
        assert (link.info.medium, link.info.mtu, link.info.gso_max) == (1, 1500, 65535)
    with RawLink("memory", offload=0, ethernet=1, mtu=9000) as link:
        assert (link.info.caps, link.info.gso_max) == (0, 0)
        assert (link.info.medium, link.info.mtu) == (0, 9000)
        assert link.mac[0] == 2
    with RawLink("memory", ethernet=1) as a, RawLink("memory", ethernet=1) as b:
        assert a.mac != b.mac


@pytest.mark.parametrize("mtu", [67, 65536])
def test_mtu_out_of_range(mtu: int):
    error = ffi.new("int *")
    assert not lib.ut_link_memory(ffi.new("ut_link_options *", {"mtu": mtu}), error)
    assert error[0] == INVALID


def test_frames_and_marks_cross_a_join():
    a, b = pair()
    with a, b:
        data = bytes(range(256)) * 200
        a.send(data, SUPER, head=52)
        a.send(b"small", head=2)
        assert b.is_readable()
        assert b.recv() == [Frame(data, SUPER), Frame(b"small", Marks())]
        assert not b.is_readable()
        b.send(b"back")
        assert a.recv() == [Frame(b"back", Marks())]
        assert (a.info.tx_frames, a.info.tx_bytes) == (2, len(data) + 5)
        assert (b.info.rx_frames, b.info.rx_bytes) == (2, len(data) + 5)


def test_frames_of_one_call_stay_until_the_next():
    a, b = pair(buffer=256 << 10)
    with a, b:
        a.send(b"first")
        b.recv()
        for _ in range(10):  # more than the queue holds: none may overwrite what is lent
            a.send(bytes(60000), SUPER)
        assert b.frame(0).data == b"first"
        assert a.info.tx_full > 0


def test_full_queue_is_counted_and_others_still_fit():
    a, b = pair(buffer=256 << 10)
    with a, b:
        sent = 0
        while a.send(bytes(60000), SUPER) == 0:
            sent += 1
        assert sent == 4
        assert a.info.tx_full == 1
        assert a.send(b"fits") == 0
        a.queue(bytes(60000), SUPER)
        a.queue(b"fits too")
        assert a.flush() == 1
        assert (a.info.tx_full, a.info.tx_frames) == (2, 6)
        assert [len(f.data) for f in b.recv()] == [60000] * 4 + [4, 8]
        b.recv()
        assert a.send(bytes(60000), SUPER) == 0


def test_frame_longer_than_the_medium_is_an_error():
    a, b = pair(mtu=1000)
    with a, b:
        assert a.send(bytes(1001)) == 1
        assert a.send(bytes(1000)) == 0
        assert a.send(bytes(65536), SUPER) == 1
        assert a.send(bytes(65535), SUPER) == 0
        assert a.info.tx_errors == 2


def test_few_at_a_time():
    a, b = pair()
    with a, b:
        for i in range(5):
            a.send(bytes([i]))
        assert [f.data for f in b.recv(2)] == [b"\0", b"\1"]
        assert b.is_readable()
        assert [f.data for f in b.recv(2)] == [b"\2", b"\3"]
        assert [f.data for f in b.recv(2)] == [b"\4"]
        assert b.recv(2) == []


def test_far_end():
    with RawLink("memory") as link:
        assert read(link) == 0
        link.send(b"out", SUPER)
        link.send(b"longer")
        assert read(link) == Frame(b"out", SUPER)
        assert read(link, room=5) == INVALID
        assert read(link) == Frame(b"longer", Marks())
        assert write(link, b"in", SUPER) == 0
        assert link.is_readable()
        assert link.recv() == [Frame(b"in", SUPER)]
        assert write(link, b"") == INVALID
        assert write(link, bytes(65536 + 14)) == INVALID
        while (result := write(link, bytes(60000))) == 0:
            pass
        assert result == WOULD_BLOCK


def test_join_hands_over_what_was_sent_before():
    with RawLink("memory") as a, RawLink("memory") as b:
        a.send(b"early", SUPER)
        assert lib.ut_memory_join(a.pointer, b.pointer) == 0
        assert b.recv() == [Frame(b"early", SUPER)]
        assert read(a) == NOT_SUPPORTED


def test_who_may_be_joined():
    a, b = pair()
    c = RawLink("memory")
    with a, b, c, RawLink("memory", ethernet=1) as ether, RawLink("memory", offload=0) as plain:
        for x, y in ((a, a), (a, c), (c, ether), (c, plain)):
            assert lib.ut_memory_join(x.pointer, y.pointer) == INVALID


def test_closed_partner_is_an_unplugged_cable():
    a, b = pair()
    b.send(b"last words")
    b.close()
    with a:
        assert a.recv() == [Frame(b"last words", Marks())]
        assert a.send(b"lost") == 1
        assert a.info.tx_errors == 1
        with RawLink("memory") as c:
            assert lib.ut_memory_join(a.pointer, c.pointer) == 0
            a.send(b"again")
            c.send(b"and back")
            assert [f.data for f in c.recv()] == [b"again"]
            assert [f.data for f in a.recv()] == [b"and back"]


def test_names():
    def meet(link: RawLink, name: bytes = b"test_names") -> int:
        return lib.ut_memory_join_name(link.pointer, name)

    a, b, c = (RawLink("memory") for _ in range(3))
    with a, c:
        assert meet(a) == 0
        assert meet(b) == 1
        assert meet(b) == INVALID
        assert meet(c) == ADDRESS_IN_USE
        assert meet(c, b"x" * 64) == INVALID
        a.send(b"hello")
        assert b.recv() == [Frame(b"hello", Marks())]
        b.close()
        assert meet(c) == 1
        c.send(b"third")
        assert a.recv() == [Frame(b"third", Marks())]
        with RawLink("memory", ethernet=1) as other:
            assert meet(other, b"other") == 0
            with RawLink("memory") as different:
                assert meet(different, b"other") == INVALID


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.lists(st.integers(1, 60000), min_size=1, max_size=6)),
            st.tuples(st.just("recv"), st.integers(1, 8)),
        ),
        max_size=80,
    )
)
def test_queue_against_a_deque(steps: list[tuple[str, object]]):
    """In order, whole, nothing lost but what was counted, however the ring wraps."""
    a, b = pair(buffer=256 << 10)
    waiting: deque[bytes] = deque()
    serial = 0
    with a, b:
        for what, argument in steps:
            if what == "send":
                for size in argument:
                    serial += 1
                    frame = serial.to_bytes(4, "big") + bytes([serial % 251]) * size
                    if a.send(frame, SUPER) == 0:
                        waiting.append(frame)
            else:
                got = [f.data for f in b.recv(argument)]
                assert got == [waiting.popleft() for _ in range(min(argument, len(waiting)))]
            assert b.is_readable() == bool(waiting)
        assert a.info.tx_frames + a.info.tx_full == serial
