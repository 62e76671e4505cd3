"""When and what to acknowledge: RFC 9293 3.8.6.3, RFC 5681 4.2, RFC 2018 4."""

import pytest

from usertcp.testing import Peer

MSS = 1460


def full(count: int = 1) -> bytes:
    return bytes(MSS * count)


@pytest.mark.rfc("9293-MUST-40", "9293-SHLD-18", "5681-19")
def test_a_lone_segment_is_acked_with_delay(peer: Peer):
    peer.configure(delack=0.04).establish()
    sent = peer.now
    peer.sends(data=b"x")
    peer.gets_nothing(within=0.039)
    got = peer.gets("ACK", ack=2, len=0, within=0.01)
    assert got.at - sent == pytest.approx(0.04, abs=0.001)
    peer.gets_nothing(within=10)


def test_the_first_segments_are_acked_at_once(peer: Peer):
    """By default 16 of them, as Linux: a peer with Nagle on is not kept waiting (RFC 5681 4.2)."""
    peer.configure(quick_acks=16).establish()
    for index in range(16):
        peer.sends(data=b"x")
        peer.gets("ACK", ack=2 + index, len=0, within=0)
    peer.sends(data=b"x")
    peer.gets_nothing(within=0.039)


@pytest.mark.rfc("9293-MUST-40")
def test_default_delay_is_below_half_a_second(peer: Peer):
    peer.establish()
    peer.sends(data=b"x")
    peer.gets("ACK", ack=2, within=0.499)


@pytest.mark.rfc("9293-SHLD-19", "1122-12")
def test_every_second_full_segment_is_acked_at_once(peer: Peer):
    peer.establish()
    for index in range(1, 11):
        peer.sends(data=full())
        if index % 2 == 0:
            peer.gets("ACK", ack=1 + index * MSS)
        else:
            peer.gets_nothing()


@pytest.mark.rfc("9293-MUST-58", "9293-MUST-59", "5681-20")
def test_a_batch_of_segments_is_acked_once(peer: Peer):
    peer.establish()
    batch = [peer.segment(seq=1 + n * MSS, data=full()) for n in range(10)]
    peer.sends_together(*batch)
    got = peer.gets_all()
    assert len(got) <= 5
    assert got[-1].ack == 1 + 10 * MSS


def test_an_ack_rides_on_data(peer: Peer):
    peer.establish()
    peer.sends(data=b"x")
    peer.app.send(b"y")
    peer.gets(ack=2, data=b"y")
    peer.sends()
    peer.gets_nothing(within=1)


@pytest.mark.rfc("5681-11", "9293-MAY-13", "2018-12")
def test_each_segment_above_a_gap_is_acked(peer: Peer):
    peer.establish()
    for n in range(1, 6):
        peer.sends(seq=1 + n * 100, data=bytes(100))
        peer.gets("ACK", ack=1, sack=[(101, 101 + n * 100)])


@pytest.mark.rfc("5681-12")
def test_filling_a_gap_in_part_is_acked(peer: Peer):
    peer.establish()
    peer.sends(seq=301, data=bytes(100))
    peer.gets("ACK", ack=1)
    peer.sends(seq=1, data=bytes(100))
    peer.gets("ACK", ack=101, sack=[(301, 401)])
    peer.sends(seq=101, data=bytes(200))
    peer.gets("ACK", ack=401, sack=[])


@pytest.mark.rfc("9293-EV-08")
def test_a_duplicate_is_acked_at_once(peer: Peer):
    peer.establish()
    peer.sends(data=b"abc")
    peer.gets("ACK", ack=4, within=0.5)
    peer.sends(seq=1, data=b"abc")
    peer.gets("ACK", ack=4)


@pytest.mark.rfc("2018-02", "2018-03", "2018-04", "2018-05", "2018-06")
def test_sack_blocks_tell_the_newest_first(peer: Peer):
    peer.establish()
    peer.sends(seq=101, data=bytes(10))
    peer.gets(ack=1, sack=[(101, 111)])
    peer.sends(seq=301, data=bytes(10))
    peer.gets(ack=1, sack=[(301, 311), (101, 111)])
    peer.sends(seq=201, data=bytes(10))
    peer.gets(ack=1, sack=[(201, 211), (301, 311), (101, 111)])
    peer.sends(seq=111, data=bytes(10))
    peer.gets(ack=1, sack=[(101, 121), (201, 211), (301, 311)])
    peer.sends(seq=401, data=bytes(10))
    peer.sends(seq=501, data=bytes(10))
    peer.gets(ack=1, sack=[(401, 411), (101, 121), (201, 211), (301, 311)])
    peer.gets(ack=1, sack=[(501, 511), (401, 411), (101, 121), (201, 211)])


@pytest.mark.rfc("2018-05")
def test_three_blocks_beside_a_timestamp(peer: Peer):
    peer.establish(timestamps=True)
    for at in (101, 201, 301, 401):
        peer.sends(seq=at, data=bytes(10))
    got = peer.gets_all()
    assert got[-1].sack == ((401, 411), (301, 311), (201, 211))
    assert got[-1].ts is not None


@pytest.mark.rfc("2018-07")
def test_joined_blocks_are_one(peer: Peer):
    peer.establish()
    peer.sends(seq=101, data=bytes(10))
    peer.sends(seq=121, data=bytes(10))
    peer.gets_all()
    peer.sends(seq=111, data=bytes(10))
    peer.gets(sack=[(101, 131)])


@pytest.mark.rfc("2018-01")
def test_no_sack_unless_permitted(peer: Peer):
    peer.establish(sack=False)
    peer.sends(seq=101, data=bytes(10))
    peer.gets("ACK", ack=1, sack=[])


@pytest.mark.rfc("9293-EV-24")
def test_acks_show_the_window_as_it_is(peer: Peer):
    peer.configure(rcv_buffer=16384).establish(wscale=0)
    offered = peer.app.info.rcv_wnd
    peer.sends(data=full())
    peer.sends(data=full())
    peer.gets("ACK", ack=1 + 2 * MSS, window=offered - 2 * MSS)


@pytest.mark.rfc("5681-20", "SEC-13")
def test_pure_acks_are_not_acked(peer: Peer):
    peer.establish()
    for _ in range(20):
        peer.sends()
    peer.gets_nothing(within=5)


@pytest.mark.attack(44)
@pytest.mark.rfc("SEC-13")
def test_an_ack_war_dies(peer: Peer):
    """Attack 44: each answer to an unacceptable ACK is itself unacceptable to the other side."""
    peer.establish()
    answers = 0
    for _ in range(1000):
        peer.sends(seq=5000, ack=5000)
        answers += len(peer.gets_all())
    assert 0 < answers < 500


@pytest.mark.rfc("SEC-13", "5681-20")
def test_no_war_about_a_fin_that_waits(peer: Peer):
    """A FIN beyond a gap is remembered; what carries neither text nor FIN is still not answered."""
    peer.establish()
    peer.sends("FIN,ACK", seq=5)
    peer.gets("ACK", ack=1)
    for _ in range(5):
        peer.sends(seq=6)
        peer.gets_nothing(within=1)
    peer.sends(seq=1, data=b"abcd")
    peer.gets("ACK", ack=6)
