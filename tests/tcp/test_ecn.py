"""Explicit congestion notification, RFC 3168 6.1: both roles, and what is never marked."""

import pytest

from tcp.ecn import CE, ECT_0, NOT_ECT, echo, filled, opened
from tcp.flights import MSS, edge, flight, numbers
from usertcp.testing import Peer
from usertcp.testing.packets import Packet

# -- what carries which codepoint (6.1.2, 6.1.4 to 6.1.6) -----------------------------------------


@pytest.mark.rfc("3168-05", "3168-10")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_new_data_is_ect0_and_nothing_else_is(peer: Peer, passive: bool, ipv6: bool):
    opened(peer, passive=passive, ipv6=ipv6)
    peer.app.send(b"abc")
    assert peer.gets(data=b"abc").ecn == ECT_0
    peer.sends(data=b"x", ack=4)
    assert peer.gets("ACK", ack=2, within=0.5).ecn == NOT_ECT
    peer.app.connection.shutdown()
    assert peer.gets("FIN,ACK").ecn == NOT_ECT


def test_the_codepoint_beside_dscp(peer: Peer):
    opened(peer)
    peer.app.connection.set_option("dscp", 46)
    peer.app.send(b"abc")
    assert peer.gets(data=b"abc").packet.tos == 46 << 2 | ECT_0
    peer.sends(data=b"x", ack=4)
    assert peer.gets("ACK", within=0.5).packet.tos == 46 << 2


def test_a_stream_may_stop_and_begin_again(peer: Peer):
    opened(peer)
    for value, field in ((0, NOT_ECT), (1, ECT_0)):
        peer.app.connection.set_option("ecn", value)
        assert peer.app.connection.get_option("ecn") == value
        peer.app.send(b"a")
        assert peer.gets(data=b"a").ecn == field
        peer.sends(ack=peer.rcv_nxt)


@pytest.mark.rfc("3168-11", "3168-08")
def test_what_is_sent_again_is_not_ect_nor_cwr(peer: Peer):
    filled(peer)
    peer.sends(ack=edge(0), sack=[(edge(3), edge(10))], window=1 << 20)
    sent = peer.gets_all(within=0.2)
    again = [got for got in sent if numbers([got])[0] < 3]
    assert numbers(again)[:3] == [0, 1, 2]
    assert {(got.ecn, "CWR" in got.flags) for got in again} == {(NOT_ECT, False)}
    new = [got for got in sent if got not in again]
    assert ["CWR" in got.flags for got in new] == [True] + [False] * (len(new) - 1)
    assert {got.ecn for got in new} == {ECT_0}


@pytest.mark.rfc("3168-13")
def test_window_probes_are_not_ect_nor_cwr(peer: Peer):
    opened(peer)
    peer.app.send(b"a")
    peer.gets(data=b"a")
    peer.sends("ECE,ACK", ack=2, window=0)  # a reduction: CWR is due
    assert peer.app.info.ecn_reductions == 1
    peer.app.send(b"bcd")
    for _ in range(2):
        probe = peer.gets(data=b"b", within=5)
        assert (probe.ecn, "CWR" in probe.flags) == (NOT_ECT, False)
        peer.sends(ack=2, window=0)
    peer.sends(ack=3, window=1000)
    got = peer.gets(data=b"cd", within=5)
    assert (got.ecn, "CWR" in got.flags) == (ECT_0, True)


# -- the receiver (6.1.3) -------------------------------------------------------------------------


@pytest.mark.rfc("3168-09")
def test_every_ack_echoes_until_cwr(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", tos=ECT_0)
    assert "ECE" not in peer.gets("ACK", within=0.5).flags
    peer.sends(data=b"b", tos=CE)
    peer.gets("ECE,ACK", ack=3)  # at once
    peer.sends(data=b"c", tos=ECT_0)
    peer.gets("ECE,ACK", ack=4, within=0.5)
    peer.app.send(b"x")
    peer.gets("PSH,ECE,ACK", data=b"x")
    peer.sends("PSH,CWR,ACK", data=b"d", ack=2, tos=ECT_0)
    assert "ECE" not in peer.gets("ACK", ack=5).flags  # at once
    peer.sends(data=b"e", tos=ECT_0)
    assert "ECE" not in peer.gets("ACK", ack=6, within=0.5).flags
    assert peer.app.info.ce_in == 1


@pytest.mark.rfc("3168-09")
def test_a_marked_segment_with_cwr_begins_anew(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", tos=CE)
    peer.gets("ECE,ACK")
    peer.sends("CWR,ACK", data=b"b", tos=CE)
    peer.gets("ECE,ACK", ack=3)


def test_a_delayed_ack_of_marked_and_unmarked_data(peer: Peer):
    """One of the segments it acknowledges was marked."""
    opened(peer)
    peer.sends_together(peer.segment(data=b"a"), peer.segment(data=b"b", seq=2), tos=CE)
    peer.gets("ECE,ACK", ack=3)
    peer.gets_nothing(within=0.1)


def test_a_merged_segment_is_as_many_marks(peer: Peer):
    """A super-segment, as links with GRO deliver it: what says CWR is its first segment."""
    opened(peer, mtu=9000)
    peer.sends(data=b"x", tos=CE)
    peer.gets("ECE,ACK")
    body = peer.segment("CWR,ACK", data=bytes(3500))
    packet = Packet(src=peer.host, dst=peer.stack_host, body=body, tos=CE).encode()
    assert peer.engine.link.write(packet, gso_size=1000)
    peer.engine.poll()
    peer.gets("ECE,ACK", ack=3502)
    assert peer.app.info.ce_in == 1 + 4


@pytest.mark.rfc("3168-12")
def test_marks_on_what_is_not_ours_do_nothing(peer: Peer):
    """Outside the window, with an impossible ACK, or without data."""
    opened(peer)
    peer.sends(data=b"abc", tos=ECT_0)
    peer.gets("ACK", ack=4, within=0.5)
    for wrong in ({"seq": 1, "data": b"abc"}, {"seq": 10_000_000, "data": b"x"},
                  {"ack": 1_000_000, "data": b"x"}, {"data": b""}):  # fmt: skip
        peer.sends(tos=CE, **wrong)
        assert all("ECE" not in got.flags for got in peer.gets_all(within=0.5))
    assert peer.app.info.ce_in == 0


# -- the sender (6.1.2) ---------------------------------------------------------------------------


@pytest.mark.rfc("3168-06", "3168-08", "3168-15")
@pytest.mark.parametrize(("name", "left"), [("reno", 5000), ("cubic", 7000)])
def test_one_reduction_for_a_window(peer: Peer, name: str, left: int):
    filled(peer, congestion=name)
    sent = echo(peer, 1)
    assert sent == []  # more is in flight than cwnd now
    # RFC 9937 6: the flight shrinks by its share with every segment that was delivered.
    assert (peer.app.info.cwnd, peer.app.info.ssthresh) == (9000 + left // 10, left)
    for number in range(2, 11):
        sent += echo(peer, number)
    info = peer.app.info
    assert (info.cwnd, info.ecn_reductions, info.ece_in) == (left, 1, 10)
    assert ["CWR" in got.flags for got in sent] == [True] + [False] * (len(sent) - 1)
    assert {got.ecn for got in sent} == {ECT_0}
    assert numbers(sent)[0] == 10
    peer.sends(ack=edge(11), window=1 << 20)  # CWR has arrived: no more echo
    assert peer.app.info.ecn_reductions == 1
    echo(peer, 12)  # a new mark
    assert peer.app.info.ecn_reductions == 2


def test_a_reduction_and_nothing_to_send(peer: Peer):
    """CWR goes with the first new data, whenever that is."""
    opened(peer)
    peer.app.send(b"a")
    peer.gets(data=b"a")
    peer.sends("ECE,ACK", ack=2)
    peer.sends("ECE,ACK", ack=2)
    peer.gets_nothing()
    assert peer.app.info.ecn_reductions == 1
    peer.advance(5)
    peer.app.send(b"b")
    assert "CWR" in peer.gets(data=b"b").flags


def test_ece_without_data_in_flight_does_nothing(peer: Peer):
    opened(peer)
    cwnd = peer.app.info.cwnd
    for ack in (1, 1):
        peer.sends("ECE,ACK", ack=ack)
    peer.sends("ECE,ACK", ack=5000)  # of nothing sent
    assert peer.app.info.cwnd == cwnd
    assert peer.app.info.ecn_reductions == 0


@pytest.mark.rfc("3168-06")
def test_losses_and_marks_of_one_window_are_one(peer: Peer):
    filled(peer, congestion="reno")
    echo(peer, 1)
    peer.sends(ack=edge(1), sack=[(edge(2), edge(5))], window=1 << 20)
    peer.advance(0.15)
    info = peer.app.info
    assert info.in_recovery
    assert info.ssthresh == 5000
    peer.gets_all()


@pytest.mark.rfc("3168-06", "3168-08")
def test_marks_after_a_loss_of_the_same_window(peer: Peer):
    filled(peer, congestion="reno")
    peer.sends(ack=edge(0), sack=[(edge(1), edge(5))], window=1 << 20)
    peer.advance(0.15)
    sent = peer.gets_all()
    assert peer.app.info.in_recovery
    ssthresh = peer.app.info.ssthresh
    sent += echo(peer, 0, sack=[(edge(1), edge(8))])
    sent += echo(peer, 10)
    info = peer.app.info
    assert (info.ssthresh, info.ecn_reductions, info.in_recovery) == (ssthresh, 0, False)
    new = [got for got in sent if numbers([got])[0] >= 10]
    assert ["CWR" in got.flags for got in new] == [True] + [False] * (len(new) - 1)


def test_an_ece_makes_a_recovery_real(peer: Peer):
    """RFC 4015 3: D-SACKs that call a recovery needless are not believed against ECE."""
    filled(peer, congestion="reno")
    peer.sends(ack=edge(0), sack=[(edge(1), edge(5))], window=1 << 20)
    peer.advance(0.15)
    peer.gets_all()
    low = peer.app.info.ssthresh
    echo(peer, 5)
    peer.sends(ack=edge(6), sack=[(edge(0), edge(1))], window=1 << 20)
    assert peer.app.info.ssthresh == low


@pytest.mark.rfc("3168-08")
def test_a_time_out_is_answered_by_cwr_too(peer: Peer):
    filled(peer, use_rack=False)
    peer.advance(1.2)
    again = peer.gets_all()
    assert numbers(again)[0] == 0
    assert all("CWR" not in got.flags for got in again)
    sent = []
    for number in (1, 5, 10):
        peer.sends(ack=edge(number), window=1 << 20)
        sent += peer.gets_all()
    new = [got for got in sent if numbers([got])[0] >= 10]
    assert ["CWR" in got.flags for got in new] == [True] + [False] * (len(new) - 1)


@pytest.mark.rfc("3168-07", "9438-08")
@pytest.mark.parametrize("name", ["reno", "cubic"])
def test_a_window_of_one_waits_for_the_timer(peer: Peer, name: str):
    filled(peer, congestion=name)
    acked = 0
    for _ in range(40):
        acked += max(1, peer.app.info.flight_size // MSS)
        if peer.app.info.cwnd < 2 * MSS:
            break
        echo(peer, acked)
    assert MSS <= peer.app.info.cwnd < 2 * MSS
    assert echo(peer, acked) == []
    before = peer.app.info
    assert before.cwnd >= MSS
    assert before.flight_size == 0
    sent = peer.gets_all(within=before.rto_ns / 1e9 - 0.01)
    assert sent == []
    (got,) = peer.gets_all(within=0.02)
    assert (len(got.data), "CWR" in got.flags) == (MSS, True)
    assert numbers(echo(peer, acked + 1, "ACK"))  # no mark: it goes on


def test_bbr_takes_marks_for_losses(peer: Peer):
    """Its draft says nothing of ECE: a round with marks is a round with losses beyond 2 %."""
    filled(peer, congestion="bbr")
    acked = 1
    for _ in range(12):
        peer.advance(0.1)
        sent = echo(peer, acked)
        acked += max(1, peer.app.info.flight_size // MSS)
        if peer.app.info.congestion["full_bw_reached"]:
            break
        assert all(got.ecn == ECT_0 for got in sent)
    info = peer.app.info
    assert info.congestion["full_bw_reached"]
    assert info.ecn_reductions == 2


def test_without_an_agreement_nothing_is_marked(peer: Peer):
    flight(peer)
    assert peer.app.info.ecn_ok == 0
    peer.sends("ECE,ACK", ack=edge(1), window=1 << 20)
    assert {got.ecn for got in peer.gets_all()} == {NOT_ECT}
    assert peer.app.info.ecn_reductions == 0
