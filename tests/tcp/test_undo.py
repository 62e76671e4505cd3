"""Recoveries that were none: Eifel (RFC 3522, 4015), F-RTO (RFC 5682), D-SACK."""

import pytest

from tcp.flights import MSS, RTO, RTT, ack, edge, flight, numbers
from usertcp.testing import Got, Peer


def timed_out(peer: Peer, **options: object) -> Got:
    """Ten are in flight, the RTO has fired, and 0 has been sent again."""
    flight(peer, **{"use_rack": False} | options)
    got = peer.gets_all(within=RTO + 0.0001)
    assert numbers(got) == [0]
    assert peer.app.info.cwnd == MSS
    return got[0]


@pytest.mark.rfc("5682-01")
@pytest.mark.parametrize("sack", [False, True], ids=["-", "sack"])
def test_a_late_flight_undoes_the_timeout(peer: Peer, sack: bool):
    """RFC 5682 2.1, 3.1: two ACKs of originals follow the RTO; only two new segments were sent."""
    timed_out(peer, sack=sack)
    assert ack(peer, 1) == [10, 11], "step 2 (b): new data, not the next of the old"
    assert peer.app.info.in_recovery
    sent = ack(peer, 2)
    info = peer.app.info
    assert (info.in_recovery, info.spurious_recoveries) == (False, 1)
    assert info.ssthresh >= 10 * MSS
    assert info.cwnd == 10 * MSS
    assert set(sent).isdisjoint(range(10)), "nothing old is sent again"
    assert info.retransmits == 1


@pytest.mark.rfc("5682-01", "6675-05")
def test_a_real_loss_goes_on_as_ever(peer: Peer):
    """The second ACK is a duplicate: conventional recovery, with 3 MSS at most."""
    timed_out(peer, sack=False)
    assert ack(peer, 1) == [10, 11]
    sent = ack(peer, 1) + numbers(peer.gets_all(within=RTT))  # it is paced
    info = peer.app.info
    assert info.spurious_recoveries == 0
    assert info.in_recovery
    assert info.cwnd <= 3 * MSS
    assert sent[0] == 1


@pytest.mark.rfc("5682-01")
def test_data_sent_after_the_timeout_proves_nothing(peer: Peer):
    """3.1 step 3 (a): SACK of a new segment: what lies before it was lost."""
    timed_out(peer)
    assert ack(peer, 1) == [10, 11]
    ack(peer, 1, (10, 11))
    info = peer.app.info
    assert info.spurious_recoveries == 0
    assert info.in_recovery


@pytest.mark.rfc("5682-02")
def test_a_second_timeout_begins_anew(peer: Peer):
    timed_out(peer)
    again = peer.gets_all(within=2 * RTO + 0.01)
    assert numbers(again) == [0]
    assert peer.app.info.rto_count == 2
    assert ack(peer, 1) == [10, 11]
    ack(peer, 2)
    info = peer.app.info
    assert info.spurious_recoveries == 1
    assert info.cwnd == 10 * MSS, "of before the first"
    assert info.backoff == 0


def test_nothing_new_to_send_no_frto(peer: Peer):
    flight(peer, data=10, use_rack=False)
    peer.gets_all(within=RTO + 0.0001)
    assert ack(peer, 1)[0] == 1
    assert peer.app.info.spurious_recoveries == 0


@pytest.mark.parametrize("rack", [False, True], ids=["6675", "rack"])
def test_eifel_undoes_a_timeout_at_the_first_ack(peer: Peer, rack: bool):
    """RFC 3522 3.2: the echo is older than the retransmission."""
    flight(peer, timestamps=True, use_rack=rack, rto_min=0.2)
    original = peer.ts_recent
    peer.advance(1.5)
    assert peer.app.info.in_recovery
    peer.gets_all()
    peer.ts_val += 1
    ack(peer, 1, ts=(peer.ts_val, original))
    info = peer.app.info
    assert (info.in_recovery, info.spurious_recoveries) == (False, 1)
    assert info.cwnd >= 10 * MSS
    assert info.ssthresh >= 10 * MSS


def test_eifel_undoes_a_fast_retransmit(peer: Peer):
    """RFC 4015: a segment was late by more than three others."""
    flight(peer, timestamps=True)
    original = peer.ts_recent
    peer.advance(RTT)
    size = MSS
    for n in (2, 3, 4):
        peer.sends(ack=1, sack=[(1 + size, 1 + n * size)], window=1 << 20, ts=(1001, original))
    before = peer.app.info
    assert before.in_recovery
    peer.advance(0.05)
    peer.sends(ack=1 + 4 * size, window=1 << 20, ts=(1002, original))
    info = peer.app.info
    assert (info.in_recovery, info.spurious_recoveries) == (False, 1)
    assert info.cwnd > before.cwnd
    assert info.ssthresh >= 10 * size


def test_an_echo_of_the_retransmission_undoes_nothing(peer: Peer):
    flight(peer, timestamps=True)
    peer.advance(RTT)
    size = MSS
    for n in (2, 3, 4):
        peer.sends(
            ack=1, sack=[(1 + size, 1 + n * size)], window=1 << 20, ts=(1001, peer.ts_recent)
        )
        peer.gets_all()
    peer.advance(RTT)
    peer.sends(ack=1 + 4 * size, window=1 << 20, ts=(1002, peer.ts_recent))
    info = peer.app.info
    assert info.spurious_recoveries == 0
    assert info.in_recovery


def test_dsacks_for_all_that_was_sent_again_undo(peer: Peer):
    flight(peer)
    peer.advance(RTT)
    assert ack(peer, 0, (1, 4)) == [0]
    low = peer.app.info.cwnd
    ack(peer, 4)
    assert peer.app.info.in_recovery
    ack(peer, 5, (0, 1))
    info = peer.app.info
    assert (info.in_recovery, info.spurious_recoveries) == (False, 1)
    assert info.cwnd > low
    assert info.ssthresh >= 10 * MSS


def test_a_dsack_of_half_is_not_enough(peer: Peer):
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (2, 6))
    for end in range(7, 11):
        ack(peer, 0, (2, end))
    assert peer.app.info.retransmits == 2
    ack(peer, 10, (0, 1))
    assert peer.app.info.spurious_recoveries == 0
    peer.sends(ack=edge(10), sack=[(edge(1), edge(2))], window=1 << 20)
    assert peer.app.info.spurious_recoveries == 1


@pytest.mark.rfc("2018-08", "2018-09", "2018-10")
@pytest.mark.parametrize("rack", [False, True], ids=["6675", "rack"])
def test_reneging_is_noticed_at_the_timeout(peer: Peer, rack: bool):
    """SACKed data at SND.UNA that is not acknowledged: the peer has let go of all of it."""
    flight(peer, data=10, use_rack=rack)
    peer.advance(RTT)
    ack(peer, 0, (1, 10))
    peer.gets_all()
    ack(peer, 1)
    assert peer.app.info.sacked == 9 * MSS
    got = numbers(peer.gets_all(within=1.2))
    assert got[:1] == [1]
    assert peer.app.info.sacked == 0
    acked = 2
    for _ in range(20):
        sent = ack(peer, acked)
        acked = max([acked, *(n + 1 for n in sent)])
        if acked == 10:
            break
        peer.advance(RTT)
    ack(peer, 10)
    assert peer.app.info.flight_size == 0


def test_a_repair_of_the_episode_before_is_no_original(peer: Peer):
    """RFC 3522 asks for the first retransmission: in a second episode that is not the oldest."""
    flight(peer, timestamps=True)
    peer.advance(RTT)
    sent = []
    for n in range(4, 11):
        sent += ack(peer, 0, (1, n), ts=(1001, peer.ts_recent))
    assert (sent[0], max(sent) >= 13) == (0, True), "the repair, and new data"
    peer.advance(RTT)
    sent = ack(peer, 0, (11, 14), (1, 10), ts=(1002, peer.ts_recent))
    assert 10 in sent, "beyond the recovery point, lost as well, and sent again meanwhile"
    echo = peer.ts_recent
    peer.advance(0.01)
    sent += ack(peer, 10, (11, 14), ts=(1003, echo))
    assert not peer.app.info.in_recovery
    newest = max(sent) + 1
    assert newest > 17
    peer.advance(0.01)
    ack(peer, 10, (15, newest), (11, 14), ts=(1004, echo))
    peer.gets_all(within=0.03)
    assert peer.app.info.fast_recoveries == 2
    ack(peer, 14, (15, newest), ts=(1005, echo))
    assert peer.app.info.spurious_recoveries == 0
    assert peer.app.info.in_recovery
