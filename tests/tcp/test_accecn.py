"""More accurate ECN feedback while data flows: RFC 9768 3.2.2."""

import pytest

from tcp.accecn import (
    CE,
    ECT_0,
    MSS,
    NOT_ECT,
    ack,
    edge,
    field,
    filled,
    flags,
    numbers,
    opened,
    tells,
)
from usertcp.testing import Peer
from usertcp.testing.packets import Packet

PLAIN = {"mss": 1460, "wscale": 7}

# -- the receiver ---------------------------------------------------------------------------------


@pytest.mark.rfc("9768-14", "9768-15", "9768-13")
@pytest.mark.parametrize("passive", [False, True])
def test_every_segment_has_the_count(peer: Peer, passive: bool):
    """Modulo 8, over more than one round of it; CWR, ECE and AE of the peer are its own count."""
    opened(peer, passive=passive)
    for number in range(20):
        peer.sends(ack(0), data=b"a", tos=CE)
        got = peer.gets(ack=2 + number)
        assert field(got) == (6 + number) % 8
        peer.app.send(b"x")
        data = peer.gets(data=b"x")
        assert (field(data), data.ecn) == ((6 + number) % 8, ECT_0)
        peer.sends(ack(0), ack=2 + number)
    assert peer.app.info.ce_in == 20
    assert peer.app.info.ecn_reductions == 0


@pytest.mark.rfc("9768-15")
def test_what_is_sent_again_and_fin_have_it_too(peer: Peer):
    opened(peer)
    peer.app.send(b"x")
    assert field(peer.gets(data=b"x")) == 5
    peer.sends(ack(0), ack=1, data=b"a", tos=CE)
    peer.gets(ack=2)
    again = peer.gets(data=b"x", within=2)
    assert (field(again), again.ecn) == (6, NOT_ECT)
    peer.sends(ack(0), ack=2)
    peer.app.connection.shutdown()
    got = peer.gets(seq=2)
    assert "FIN" in got.flags
    assert field(got) == 6


@pytest.mark.rfc("9768-14")
def test_control_packets_count_and_what_is_outside_does_not(peer: Peer):
    opened(peer)
    peer.sends(ack(0), data=b"abc", tos=ECT_0)
    peer.gets(ack=4, within=0.5)
    peer.sends(ack(0), tos=CE)  # a pure ACK
    assert peer.app.info.ce_in == 1
    for wrong in ({"seq": 1, "data": b"abc"}, {"seq": 10_000_000, "data": b"x"},
                  {"ack": 1_000_000, "data": b"x"}):  # fmt: skip
        peer.sends(ack(0), tos=CE, **wrong)
        peer.gets_all(within=0.5)
    assert peer.app.info.ce_in == 1
    peer.sends(ack(0), seq=10, data=b"x", tos=CE)  # beyond a hole, but within the window
    assert field(peer.gets(ack=4)) == 7
    peer.sends(flags(5, "FIN", "ACK"), seq=11, tos=CE)
    assert peer.app.info.ce_in == 3


@pytest.mark.rfc("9768-14")
def test_a_merged_segment_is_as_many_marks(peer: Peer):
    opened(peer, mtu=9000)
    body = peer.segment(ack(0), data=bytes(3500))
    packet = Packet(src=peer.host, dst=peer.stack_host, body=body, tos=CE).encode()
    assert peer.engine.link.write(packet, gso_size=1000)
    peer.engine.poll()
    assert field(peer.gets(ack=3501)) == (5 + 4) % 8
    assert peer.app.info.ce_in == 4


@pytest.mark.rfc("9768-04")
def test_duplicates_are_reported(peer: Peer):
    opened(peer)
    for number in range(2):
        peer.sends(ack(0), seq=1, data=b"abc", tos=CE)
        got = peer.gets(ack=4)
        assert got.sack == ((1, 4),) * number


@pytest.mark.rfc("9768-20")
def test_when_marks_are_told_at_once(peer: Peer):
    """When they begin, and then every second of them; when they end, as ever."""
    opened(peer)
    told = []
    for number, tos in enumerate([ECT_0, CE, CE, CE, CE, ECT_0, CE, ECT_0, CE, CE]):
        peer.sends(ack(0), data=b"a", tos=tos)
        told += [number] * len(peer.gets_all())
    assert told == [1, 3, 6, 8]
    peer.gets(ack=11, within=0.5)


@pytest.mark.rfc("9768-20")
def test_marked_acks_are_told_every_third(peer: Peer):
    """Nothing is there to acknowledge: an ACK of ACKs, without SACK blocks."""
    opened(peer)
    told = []
    for number in range(1, 10):
        peer.sends(ack(0), tos=CE)
        told += [(number, field(got), got.sack) for got in peer.gets_all(within=1)]
    assert told == [(3, 0, ()), (6, 3, ()), (9, 6, ())]


# -- the sender -----------------------------------------------------------------------------------


@pytest.mark.rfc("9768-13")
@pytest.mark.parametrize(("name", "left"), [("reno", 5000), ("cubic", 7000)])
def test_one_reduction_for_a_window(peer: Peer, name: str, left: int):
    """As RFC 3168 6.1.2; but no CWR, which is a bit of our own count."""
    filled(peer, congestion=name)
    assert tells(peer, 1, 1) == []
    assert (peer.app.info.cwnd, peer.app.info.ssthresh) == (9000 + left // 10, left)  # RFC 9937
    sent = []
    for number in range(2, 11):
        sent += tells(peer, number, number)
    info = peer.app.info
    assert (info.cwnd, info.ecn_reductions, info.ece_in) == (left, 1, 10)
    assert {(got.ecn, field(got)) for got in sent} == {(ECT_0, 5)}
    tells(peer, 11, 10)  # no news
    assert peer.app.info.ecn_reductions == 1
    tells(peer, 12, 11)
    assert peer.app.info.ecn_reductions == 2


def test_losses_and_marks_of_one_window_are_one(peer: Peer):
    filled(peer, congestion="reno")
    tells(peer, 1, 1)
    peer.sends(ack(1), ack=edge(1), sack=[(edge(2), edge(5))], window=1 << 20)
    peer.advance(0.15)
    info = peer.app.info
    assert (info.in_recovery, info.ssthresh) == (True, 5000)
    assert all(got.ecn == NOT_ECT for got in peer.gets_all() if numbers([got])[0] < 10)


@pytest.mark.rfc("9768-21")
@pytest.mark.parametrize("marks", range(8))
def test_a_few_segments_are_taken_at_their_word(peer: Peer, marks: int):
    """ACE went on by no more than 7: an ACK of 7 segments cannot hide a wrap."""
    filled(peer)
    tells(peer, 7, marks)
    assert peer.app.info.ece_in == marks


@pytest.mark.rfc("9768-21")
@pytest.mark.parametrize(
    ("segments", "least", "taken"), [(8, 0, 8), (8, 1, 1), (9, 2, 2), (10, 2, 10), (10, 3, 3)]
)
def test_a_wrap_that_may_have_been(peer: Peer, segments: int, least: int, taken: int):
    """A.2.1, with its examples; a peer whose ACKs are for few segments at a time otherwise."""
    filled(peer)
    tells(peer, segments, least)
    assert peer.app.info.ece_in == taken


@pytest.mark.rfc("9768-21")
def test_stretch_acks_are_no_wraps(peer: Peer):
    """A.2.1: they are the rule for this peer."""
    filled(peer, congestion="reno")
    done, marks = 0, []
    for _ in range(20):
        flight = peer.app.info.flight_size // MSS
        done += max(flight - 1, 1)
        before = peer.app.info.ece_in
        tells(peer, done, before)
        marks.append(peer.app.info.ece_in - before)
        if done > 180:
            break
    assert sum(marks[:2]) > 0
    assert sum(marks[4:]) == 0


@pytest.mark.rfc("9768-21")
def test_what_sack_has_told_is_not_new(peer: Peer):
    """An ACK that only fills a hole is for one segment, however far it goes."""
    filled(peer)
    for top in range(2, 11):
        peer.sends(ack(0), ack=edge(0), sack=[(edge(1), edge(top))], window=1 << 20)
    peer.gets_all()
    tells(peer, 10, 0)
    assert peer.app.info.ece_in == 0


def test_an_old_ack_tells_nothing(peer: Peer):
    """3.2.2.2: the count would seem to have gone round."""
    filled(peer)
    tells(peer, 4, 2)
    tells(peer, 2, 1)
    tells(peer, 4, 1)  # no later, as far as can be told
    assert peer.app.info.ece_in == 2
    tells(peer, 5, 3)
    assert peer.app.info.ece_in == 3


def test_a_timestamp_tells_what_is_newer(peer: Peer):
    offer = PLAIN | {"sack_permitted": True, "ts": (1000, 0)}
    opened(peer, passive=True, offer=offer)
    peer.app.send(b"abc")
    sent = peer.gets(data=b"abc").ts
    assert sent is not None
    peer.sends(ack(0), ack=4, ts=(1001, sent[0]))
    for time, marks, heard in ((1002, 1, 1), (1002, 0, 1), (1001, 0, 1), (1003, 2, 2)):
        peer.sends(ack(marks), ack=4, ts=(time, sent[0]))
        assert peer.app.info.ece_in == heard


def test_marks_without_data_in_flight_reduce_nothing(peer: Peer):
    opened(peer)
    cwnd = peer.app.info.cwnd
    peer.sends(ack(1), data=b"a")
    peer.sends(ack(3), data=b"a")
    info = peer.app.info
    assert (info.cwnd, info.ecn_reductions, info.ece_in) == (cwnd, 0, 3)


def test_a_window_of_one_waits_for_the_timer(peer: Peer):
    filled(peer, congestion="reno")
    acked = 0
    for _ in range(40):
        acked += max(1, peer.app.info.flight_size // MSS)
        if peer.app.info.cwnd < 2 * MSS:
            break
        tells(peer, acked, peer.app.info.ece_in + 1)
    assert tells(peer, acked, peer.app.info.ece_in + 1) == []
    before = peer.app.info
    assert peer.gets_all(within=before.rto_ns / 1e9 - 0.01) == []
    (got,) = peer.gets_all(within=0.02)
    assert (len(got.data), got.ecn) == (MSS, ECT_0)
