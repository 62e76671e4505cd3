"""RACK: loss detection by time, RFC 8985 sections 5, 6 and 9."""

import pytest

from tcp.flights import MSS, RTT, ack, edge, flight, numbers
from usertcp.testing import Peer

MS = 1_000_000


@pytest.mark.rfc("8985-01")
def test_without_sack_there_is_no_rack(peer: Peer):
    flight(peer, sack=False)
    assert peer.app.info.reo_wnd_ns == 0
    peer.advance(0.5)
    assert peer.app.info.tlp_probes == 0
    for _ in range(3):
        ack(peer, 0)
    assert peer.app.info.fast_recoveries == 1, "RFC 5681 serves"


@pytest.mark.rfc("8985-06", "8985-09", "8985-03")
def test_a_gap_is_lost_after_the_reordering_window(peer: Peer):
    """One SACK and no further ACK: min RTT / 4 later the timer says so, long before the RTO."""
    flight(peer, count=3, data=3)
    peer.advance(RTT)
    assert ack(peer, 0, (1, 2)) == []
    assert peer.app.info.reo_wnd_ns == 25 * MS
    peer.gets_nothing(within=0.0249)
    assert numbers(peer.gets_all(within=0.0002))[:1] == [0]
    assert peer.app.info.fast_recoveries == 1
    assert peer.app.info.rto_count == 0


@pytest.mark.rfc("8985-05", "8985-20")
def test_three_sacked_segments_need_no_window(peer: Peer):
    """No reordering has been seen: as quick as three duplicate ACKs."""
    flight(peer)
    peer.advance(RTT)
    assert 0 not in ack(peer, 0, (1, 2))
    assert 0 not in ack(peer, 0, (1, 3))
    assert ack(peer, 0, (1, 4))[:1] == [0]


@pytest.mark.rfc("8985-20")
def test_rfc_6675_marks_nothing_beside_rack(peer: Peer):
    """Three runs above a segment are no loss to RACK while its reordering window lasts."""
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (1, 2))
    ack(peer, 1)  # 0 came late: reordering is seen
    assert peer.app.info.reordering_seen
    sent = ack(peer, 2, (3, 4), (5, 6), (7, 10))
    assert not {2, 4, 6} & set(sent)
    assert peer.app.info.lost == 0
    peer.advance(0.026)
    assert {2, 4, 6} >= set(numbers(peer.gets_all())) & set(range(10)) >= {2}


@pytest.mark.rfc("8985-05")
def test_how_late_a_segment_was(peer: Peer):
    """RFC 8985 6.2 step 3: behind RACK.fack; the most counts, and what came twice does not."""
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (3, 4))
    assert peer.app.info.reordering == 0
    ack(peer, 0, (2, 4))
    assert peer.app.info.reordering == 2 * MSS
    ack(peer, 0, (2, 4), (6, 7))
    ack(peer, 1, (2, 4), (6, 7))
    assert peer.app.info.reordering == 7 * MSS
    ack(peer, 1, (2, 4), (5, 7))
    assert peer.app.info.reordering == 7 * MSS


@pytest.mark.rfc("8985-04")
def test_a_retransmission_lost_again_is_found(peer: Peer):
    """RFC 8985 9.1, example 2, and no time-out."""
    flight(peer, data=10)
    peer.advance(RTT)
    assert 0 in ack(peer, 0, (2, 10))
    assert 1 in [*ack(peer, 0, (2, 10)), *numbers(peer.gets_all(within=0.001)), 1]
    peer.advance(RTT)
    again = ack(peer, 0, (1, 10))  # the second retransmission arrived, the first did not
    later = numbers(peer.gets_all(within=RTT))
    assert 0 in again + later
    assert peer.app.info.rto_count == 0


@pytest.mark.rfc("8985-04")
def test_an_ack_too_fast_is_not_of_the_retransmission(peer: Peer):
    """It comes 10 ms after it, on a path of 100: it is of the original, and proves nothing lost."""
    flight(peer)
    peer.advance(RTT)
    sent = ack(peer, 0, (1, 4))
    assert sent[0] == 0
    peer.advance(0.01)
    sent = ack(peer, 4)
    assert 4 not in sent
    assert peer.app.info.lost == 0


@pytest.mark.rfc("8985-07", "8985-08", "2883-04")
def test_dsacks_widen_the_window_once_a_round(peer: Peer):
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (1, 4))  # 0 is sent again, needlessly
    peer.advance(0.01)
    ack(peer, 4)
    assert peer.app.info.reo_wnd_mult == 1
    ack(peer, 5, (0, 1))
    assert peer.app.info.reo_wnd_mult == 2
    assert peer.app.info.spurious_retransmits == 1
    ack(peer, 6, (0, 1))
    assert peer.app.info.reo_wnd_mult == 2, "the same round"


@pytest.mark.rfc("8985-07", "8985-08")
def test_the_window_stays_below_srtt_and_shrinks_again(peer: Peer):
    flight(peer, data=2000, snd_buffer=1 << 22)
    seen = []
    una, mult = 0, 1
    for _ in range(8):
        peer.advance(RTT)
        una, nxt = una + 4, (peer.app.info.snd_nxt - peer.app.info.iss - 1) // MSS
        ack(peer, una - 4, (una - 3, una))
        peer.advance(RTT)
        ack(peer, nxt, (una - 4, una - 3))  # what was sent again came twice
        una = nxt
        info = peer.app.info
        seen.append(info.reo_wnd_mult)
        assert info.reo_wnd_ns <= info.srtt_ns
    assert seen == sorted(seen)
    assert seen[-1] > mult + 3
    for _ in range(60):
        nxt = (peer.app.info.snd_nxt - peer.app.info.iss - 1) // MSS
        if nxt - una < 2:
            peer.advance(RTT)
            ack(peer, nxt)
            una = nxt
            continue
        peer.advance(RTT)
        ack(peer, una, (una + 1, nxt))
        peer.advance(3 * RTT)
        nxt = (peer.app.info.snd_nxt - peer.app.info.iss - 1) // MSS
        ack(peer, nxt)
        una = nxt
        if peer.app.info.reo_wnd_mult == 1:
            break
    assert peer.app.info.reo_wnd_mult == 1, "16 recoveries without D-SACK"


@pytest.mark.rfc("8985-10")
def test_the_minimum_rtt_follows_the_path(peer: Peer):
    """A path that becomes longer is believed after five minutes at most."""
    peer.configure().establish(mss=MSS, rtt=0.01)
    assert peer.app.info.rtt_min_ns == 10 * MS
    for n in range(400):
        peer.app.send(b"x")
        peer.advance(0.05)
        peer.sends(ack=2 + n)
        peer.advance(1)
    assert peer.app.info.rtt_min_ns >= 50 * MS


@pytest.mark.rfc("8985-03")
def test_what_left_beside_a_retransmission_goes_by_its_order(peer: Peer):
    """New segments left in the same instant as a retransmission, which RACK.segment now is. Of the
    new ones a lower is older than a higher, whatever the clock tells."""
    flight(peer)
    peer.advance(RTT)
    for end in range(2, 11):
        ack(peer, 0, (1, end))
    info = peer.app.info
    assert (info.recovery_point - info.iss - 1) // MSS == 12
    peer.advance(RTT)
    ack(peer, 12, (13, 16))  # the retransmission has arrived, and all but one of the new ones
    assert numbers(peer.gets_all(within=RTT / 8 + 0.002)) == [12]


@pytest.mark.rfc("8985-11")
def test_a_timeout_marks_only_what_is_old(peer: Peer):
    peer.configure(rto_min=1.0).establish(mss=MSS, window=1 << 20, rtt=RTT)
    peer.app.send(bytes(3 * MSS))
    assert len(peer.gets_all()) == 3
    peer.gets_all(within=0.21)  # the probe
    left = peer.app.info.deadline_ns / 1e9 - peer.engine.now / 1e9
    peer.advance(left - 0.05)
    peer.app.send(bytes(3 * MSS))
    assert numbers(peer.gets_all()) == [3, 4, 5]
    assert numbers(peer.gets_all(within=0.06))[:1] == [0]
    info = peer.app.info
    assert info.rto_count == 1
    assert info.lost <= 2 * MSS, "what left 50 ms ago may yet arrive"


@pytest.mark.rfc("8985-18")
def test_what_is_lost_waits_for_cwnd(peer: Peer):
    flight(peer, data=10)
    peer.advance(RTT)
    sent = ack(peer, 0, (8, 10))
    info = peer.app.info
    assert info.lost + info.pipe + info.sacked == info.flight_size
    peer.advance(0.03)
    sent += numbers(peer.gets_all())
    info = peer.app.info
    assert info.in_recovery
    assert info.lost > 0
    assert info.pipe <= info.cwnd
    assert sent == sorted(set(sent)), "the lowest first, each once"


@pytest.mark.rfc("8985-02")
def test_times_are_finer_than_a_quarter_of_the_minimum_rtt(peer: Peer):
    """Segments sent 20 ms apart on a path of 100 are told apart: only the first is lost."""
    peer.configure(rto_min=1.0).establish(mss=MSS, window=1 << 20, rtt=RTT)
    for _ in range(4):
        peer.app.send(bytes(MSS))
        peer.advance(0.02)
    assert len(peer.gets_all()) == 4
    peer.advance(0.045)  # 125 ms after the first, 105 after the second
    ack(peer, 0, (2, 3))
    assert peer.app.info.lost <= MSS
    assert numbers(peer.gets_all(within=0.001))[:1] in ([0], [])
    assert peer.app.info.retransmits == 1


@pytest.mark.rfc("2018-11", "SEC-02")
def test_a_thousand_blocks_cost_little_memory(peer: Peer):
    """Attack 14: what the peer reports is bounded by runs, and forgotten again."""
    peer.configure(rto_min=1.0, snd_buffer=1 << 18, nodelay=True)
    peer.establish(mss=MSS, window=1 << 20, rtt=RTT)
    peer.sends(window=1 << 20)
    peer.app.send(b"x")  # so that a run of one octet may be a segment
    peer.app.send(bytes(200 * MSS))
    peer.gets_all()
    for n in range(1, 9, 2):
        peer.sends(ack=1, sack=[(edge(n), edge(n) + 1)], window=1 << 20)
    before = peer.engine.memory
    for n in range(1000):
        at = edge(1) + 2 * n
        peer.sends(ack=1, sack=[(at, at + 1)], window=1 << 20)
        peer.gets_all()
    assert before < peer.engine.memory <= before + 512 * (16 + 16 + 32)  # sacked, lost, resent
    peer.sends(ack=1, sack=[(edge(1), edge(9))], window=1 << 20)
    assert peer.app.info.state.name == "ESTABLISHED"
    peer.sends(ack=edge(9), window=1 << 20)
    peer.gets_all()
    while (info := peer.app.info).flight_size > 0:
        peer.sends(ack=info.snd_nxt - info.iss, window=1 << 20)
        peer.gets_all()
    assert peer.engine.memory <= before


@pytest.mark.rfc("2018-11", "8985-05")
def test_hundreds_of_holes_are_remembered(peer: Peer):
    """Every other of 600 segments was lost: each is sent again, once, and none of the others."""
    peer.establish(sack=True, rtt=RTT)
    size, count = 20, 600
    for _ in range(count):
        peer.app.send(bytes(size))
    assert len(peer.gets_all()) == count
    peer.advance(RTT)
    again = []
    for n in range(1, count, 2):
        peer.sends(ack=1, sack=[(1 + size * n, 1 + size * (n + 1))])
        again += [(one.seq - 1) // size for one in peer.gets_all()]
    assert again == list(range(0, 2 * len(again), 2))
    assert peer.app.info.sacked == size * count // 2
    # PRR may have held back the last.
    tail = [(1 + size * n, 1 + size * (n + 1)) for n in range(count - 3, count, 2)]
    peer.sends(ack=1 + size * (count - 4), sack=tail)
    again += [(one.seq - 1) // size for one in peer.gets_all()]
    assert again == list(range(0, count, 2))


def test_what_was_sent_again_this_instant_is_not_lost(peer: Peer):
    """A path without delay, and a peer that says the same for ever: 3 and 4 were sent again before
    5, which has arrived, but no time has passed. Each report had its answer, without end."""
    peer.configure(rto_min=1.0, snd_buffer=1 << 18).establish(mss=MSS, window=1 << 20, rtt=0)
    peer.sends(window=1 << 20)
    peer.app.send(bytes(10 * MSS))
    assert numbers(peer.gets_all()) == list(range(10))
    peer.advance(1.2)
    assert numbers(peer.gets_all()) == [9, 0], "a tail probe, then the time-out"
    assert [ack(peer, number) for number in (1, 2, 3)] == [[1, 2], [3, 4], [5, 6]]
    assert ack(peer, 3, (5, 6)) == [7]
    for _ in range(20):
        assert ack(peer, 3, (5, 6)) == []
    peer.gets_nothing(within=0.0009)
    assert numbers(peer.gets_all(within=0.0002)) == [3, 4]
