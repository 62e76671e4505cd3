"""Segment text: trimming to the window, order, overlaps, PSH, segment sizes."""

import random

import pytest

from usertcp import _events
from usertcp.testing import Peer

TEXT = bytes(range(256)) * 40


def part(seq: int, length: int) -> dict:
    """The stream's bytes [seq, seq+length): byte 1 is TEXT[0]."""
    return {"seq": seq, "data": TEXT[seq - 1 : seq - 1 + length]}


def test_out_of_order_segment_is_acked_at_once(peer: Peer):  # RFC 5681 4.2
    peer.establish(sack=True)
    peer.sends(seq=4, data=b"def")
    peer.gets(ack=1, sack=[(4, 7)])
    peer.sends(seq=1, data=b"abc")
    peer.gets(ack=7, sack=[])
    assert peer.app.receive() == b"abcdef"


@pytest.mark.rfc("9293-SHLD-31")
def test_nothing_is_read_before_the_gap_is_filled(peer: Peer):
    peer.establish()
    peer.sends(**part(11, 10))
    assert peer.app.receive() == b""
    assert not peer.app.events & _events.READABLE
    assert peer.app.info.rcv_out_of_order == 10
    peer.sends(**part(1, 10))
    assert peer.app.events & _events.READABLE
    assert peer.app.receive() == TEXT[:20]


@pytest.mark.rfc("9293-EV-07", "9293-EV-09")
@pytest.mark.parametrize("order", range(12))
def test_any_order_and_overlap_gives_the_stream(peer: Peer, order: int):
    rng = random.Random(order)
    peer.establish()
    pieces = [part(at, rng.randint(100, 400)) for at in range(1, 3000, 100)]
    pieces.append(part(2900, 500))
    rng.shuffle(pieces)
    for piece in pieces:
        peer.sends(**piece)
    for piece in sorted(pieces, key=lambda p: p["seq"]):  # what found no range is sent again
        peer.sends(**piece)
    assert peer.app.receive() == TEXT[:3399]


@pytest.mark.rfc("9293-EV-09")
@pytest.mark.parametrize(
    ("seq", "length"), [(1, 1), (5, 6), (5, 12), (8, 20), (10, 2), (11, 5), (1, 30)]
)
def test_old_bytes_at_the_front_are_cut(peer: Peer, seq: int, length: int):
    peer.establish()
    peer.sends(**part(1, 10))
    peer.sends(**part(seq, length))
    end = max(10, seq + length - 1)
    assert peer.app.receive() == TEXT[:end]
    assert peer.app.info.rcv_nxt == (peer.iss + end + 1) % 2**32


@pytest.mark.rfc("9293-EV-09", "9293-EV-24")
def test_bytes_beyond_the_window_are_cut(peer: Peer):
    peer.configure(rcv_buffer=4096, mtu=9000).establish(mss=8960)
    window = peer.app.info.rcv_wnd
    peer.sends(seq=1, data=TEXT[: window + 500])
    peer.gets(ack=1 + window, window=0, within=0.5)
    assert peer.app.receive() == TEXT[:window]
    assert peer.engine.drops()["tcp_window_overrun"] == 1


def test_fin_beyond_the_window_is_cut(peer: Peer):
    peer.configure(rcv_buffer=4096, mtu=9000).establish(mss=8960)
    window = peer.app.info.rcv_wnd
    peer.sends("FIN,ACK", seq=1, data=TEXT[: window + 1])
    peer.gets(ack=1 + window, within=0.5)
    assert peer.app.state == "ESTABLISHED"
    peer.app.receive()
    peer.gets("ACK", ack=1 + window)
    peer.sends("FIN,ACK", seq=1 + window, data=TEXT[window : window + 1])
    peer.gets(ack=1 + window + 2)
    assert peer.app.state == "CLOSE-WAIT"


@pytest.mark.attack(37)
def test_first_arrival_wins(peer: Peer):
    """Attack 37: what lies at an offset is never overwritten, queued or not."""
    peer.establish()
    peer.sends(seq=3, data=b"CC")
    peer.sends(seq=2, data=b"xxxx")
    peer.sends(seq=1, data=b"yyyyyyyy")
    assert peer.app.receive() == b"yxCCxyyy"


@pytest.mark.rfc("9293-EV-21", "9293-MUST-1")
@pytest.mark.parametrize("isn", [0xFFFFFFF0, 0x7FFFFFF0, 0xFFFFFFFF, 0])
def test_sequence_numbers_wrap(peer: Peer, isn: int):
    peer.configure(isn=isn)
    peer.iss = (isn + 5) % 2**32
    peer.establish()
    for at in range(1, 200, 10):
        peer.sends(**part(at, 10))
        assert peer.app.send(part(at, 10)["data"]) == 10
        peer.gets(seq=at, ack=at + 10, data=part(at, 10)["data"])
    assert peer.app.receive() == TEXT[:200]
    peer.sends(ack=201)
    assert peer.app.info.flight_size == 0


@pytest.mark.rfc("9293-MUST-60", "9293-MUST-61")
def test_push_is_on_the_last_segment(peer: Peer):
    peer.establish(mss=1000)
    peer.app.send(bytes(2500))
    got = peer.gets_all()
    assert [len(g.data) for g in got] == [1000, 1000, 500]
    assert ["PSH" in g.flags for g in got] == [False, False, True]


@pytest.mark.rfc("9293-MUST-17", "9293-SHLD-7", "9293-SHLD-27")
@pytest.mark.parametrize("nodelay", [True, False])
def test_nagle(peer: Peer, nodelay: bool):
    peer.configure(nodelay=nodelay).establish()
    peer.app.send(b"a")
    peer.gets(data=b"a")
    peer.app.send(b"b")
    peer.app.send(b"c")
    if nodelay:
        peer.gets(data=b"b")
        peer.gets(data=b"c")
        return
    peer.gets_nothing()
    peer.sends()
    peer.gets(data=b"bc")


@pytest.mark.rfc("9293-MUST-17")
def test_nagle_is_switched_per_connection(peer: Peer):
    peer.configure(nodelay=False).establish()
    peer.app.send(b"a")
    peer.gets(data=b"a")
    peer.app.send(b"b")
    peer.gets_nothing()
    assert peer.app.connection is not None
    peer.app.connection.set_option("nodelay", 1)
    peer.gets(data=b"b")


@pytest.mark.rfc("9293-SHLD-28")
def test_full_segments_when_there_is_enough(peer: Peer):
    peer.configure(nodelay=False).establish(mss=1000)
    for _ in range(10):
        peer.app.send(bytes(350))
    got = peer.gets_all()
    assert [len(g.data) for g in got] == [350, 1000, 1000, 1000]


def test_a_merged_segment_arrives(peer: Peer):
    """A super-segment, as links with GRO deliver it."""
    peer.configure(mtu=9000).establish(mss=8900)
    frame = peer.segment(seq=1, data=TEXT[:8000])
    from usertcp.testing.packets import Packet

    packet = Packet(src=peer.host, dst=peer.stack_host, body=frame).encode()
    assert peer.engine.link.write(packet, gso_size=1000)
    peer.engine.poll()
    peer.gets(ack=8001)
    assert peer.app.receive() == TEXT[:8000]


def test_data_in_both_directions_carries_acks(peer: Peer):
    peer.establish()
    peer.sends(data=b"request")
    peer.app.receive()
    peer.app.send(b"response")
    peer.gets(seq=1, ack=8, data=b"response")
    peer.gets_nothing(within=1.0 - 0.9)


@pytest.mark.rfc("9293-MUST-5", "9293-MUST-6")
@pytest.mark.parametrize("options", ["01010101", "fd040000", "00000000", "4d06010203040000"])
def test_unknown_options_on_data(peer: Peer, options: str):
    peer.establish()
    peer.sends(data=b"x", options=bytes.fromhex(options))
    assert peer.app.receive() == b"x"


@pytest.mark.rfc("9293-MUST-3")
def test_a_wrong_checksum_changes_nothing(peer: Peer):
    peer.establish()
    good = peer.segment(data=b"x").encode(peer.host, peer.stack_host)
    right = int.from_bytes(good[16:18])
    for wrong in (right ^ 1, right ^ 0x8000, 0, 0xFFFF):
        if wrong != right:
            peer.sends_together(peer.segment(data=b"x", seq=1, checksum=wrong))
    peer.gets_nothing(within=0.5)
    assert peer.app.receive() == b""
    assert peer.engine.drops()["tcp_checksum"] >= 3


@pytest.mark.rfc("SEC-04")
@pytest.mark.parametrize("offset", [0, 1, 4, 6, 15])
def test_a_wrong_data_offset_changes_nothing(peer: Peer, offset: int):
    peer.establish()
    peer.sends_together(peer.segment(data=b"x", seq=1, data_offset=offset))
    peer.gets_nothing(within=0.5)
    assert peer.app.receive() == b""


def test_memory_comes_back_when_data_is_read(peer: Peer):
    peer.establish()
    idle = peer.engine.memory
    peer.sends(**part(1, 1000))
    peer.sends(**part(2001, 100))
    assert peer.engine.memory >= idle
    peer.sends(**part(1001, 1000))
    peer.app.receive()
    peer.gets_all(within=1)
    assert peer.app.info.memory < 2048
    held = []
    for _ in range(2):
        before = peer.app.info.memory
        peer.app.send(b"x" * 100)
        assert peer.app.info.memory > before
        peer.gets_all()
        peer.sends()
        held.append(peer.app.info.memory)
    assert held[0] == held[1] < 2048


def test_many_holes_are_bounded(peer: Peer):
    """SEC-10, attack 16: one-byte segments at odd offsets."""
    peer.establish()
    for at in range(3, 1403, 2):
        peer.sends(seq=at, data=b"x")
    peer.gets_all()
    info = peer.app.info
    assert info.rcv_out_of_order == 512
    assert peer.engine.drops()["tcp_reasm_full"] > 0
    peer.sends(seq=1, data=bytes(1400))
    assert len(peer.app.receive()) == 1400


@pytest.mark.rfc("9293-MUST-16", "2018-05")
@pytest.mark.parametrize("timestamps", [False, True], ids=["-", "ts"])
@pytest.mark.parametrize("holes", range(1, 6))
def test_sack_blocks_leave_less_room_for_data(peer: Peer, holes: int, timestamps: bool):
    """Both directions at once: a segment with data and SACK blocks still fits the MTU."""
    peer.configure(use_rack=False, rto_min=1.0).establish(timestamps=timestamps)
    for n in range(holes):
        peer.sends(seq=101 + 100 * n, data=b"x")
    peer.gets_all()
    peer.app.send(bytes(3000))
    got = peer.gets_all()
    assert [bool(one.sack) for one in got] == [True] * len(got)
    assert sum(len(one.data) for one in got) == 3000
    assert len(got[0].packet.encode()) == 1500
    assert peer.gets(seq=1, within=1.5).data
