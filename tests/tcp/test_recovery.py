"""Congestion control and loss recovery: RFC 5681, 6582, 6675, 6928, 3042, without RACK."""

import pytest

from usertcp.testing import Got, Peer

MSS = 1000


def pump(peer: Peer, count: int = 10, **offer: object) -> list[Got]:
    """A connection with a full send queue, and the first `count` segments it sent."""
    config = {"rto_min": 1.0, "snd_buffer": 1 << 18, "use_rack": False, "congestion": "reno"}
    peer.configure(**config).establish(mss=MSS, window=1 << 20, wscale=7, **offer)
    peer.sends(window=1 << 20)
    peer.app.send(bytes(200_000))
    got = peer.gets_all()
    assert [one.seq for one in got] == [1 + MSS * n for n in range(len(got))]
    assert len(got) == count
    return got


def seqs(got: list[Got]) -> list[int]:
    """Segments by number: 0 is the first of the connection."""
    return [(one.seq - 1) // MSS for one in got]


def edge(number: int) -> int:
    return 1 + MSS * number


def holds(*numbers: int) -> list[tuple[int, int]]:
    """SACK blocks of segments by number, newest first as given."""
    return [(edge(n), edge(n + 1)) for n in numbers]


def ack(peer: Peer, number: int, *sacked: tuple[int, int]) -> list[int]:
    """The peer has all before segment `number`, and runs [a, b) beyond: what is sent then."""
    blocks = [(edge(a), edge(b)) for a, b in sacked]
    peer.sends(ack=edge(number), sack=blocks, window=1 << 20)
    return seqs(peer.gets_all())


# -- windows --------------------------------------------------------------------------------------


@pytest.mark.rfc("6928-01", "5681-03", "5681-01")
@pytest.mark.parametrize(
    ("mss", "first"), [(536, 10), (1000, 10), (1460, 10), (4000, 3), (8960, 2)]
)
def test_initial_window(peer: Peer, mss: int, first: int):
    peer.configure(mtu=9000, snd_buffer=1 << 18).establish(mss=mss, wscale=7)
    peer.sends(window=1 << 20)
    peer.app.send(bytes(200_000))
    assert [len(one.data) for one in peer.gets_all()] == [mss] * first


@pytest.mark.rfc("5681-04")
def test_the_handshake_does_not_grow_cwnd(peer: Peer):
    peer.establish(mss=MSS, passive=True)
    assert peer.app.info.cwnd == 10 * MSS
    assert peer.app.info.ssthresh >= 2**30


@pytest.mark.rfc("5681-05", "6928-02")
@pytest.mark.parametrize(("losses", "cwnd"), [(0, 10), (1, 10), (2, 1), (3, 1)])
def test_lost_syns_shrink_the_initial_window(peer: Peer, losses: int, cwnd: int):
    peer.app.connect()
    peer.gets("SYN")
    for _ in range(losses):
        peer.gets("SYN", within=20)
    peer.sends("SYN,ACK", seq=0, ack=1, mss=MSS)
    peer.gets("ACK")
    assert peer.app.info.cwnd == cwnd * MSS


@pytest.mark.rfc("5681-07", "9293-MUST-19")
def test_slow_start_sends_two_for_one(peer: Peer):
    pump(peer)
    for number in range(1, 6):
        assert ack(peer, number) == [8 + 2 * number, 9 + 2 * number]
    assert peer.app.info.cwnd == 15 * MSS


@pytest.mark.attack(43)
@pytest.mark.rfc("5681-07", "3465-01")
def test_split_acks_gain_nothing(peer: Peer):
    """Attack 43: a hundred ACKs of ten bytes each are worth one segment."""
    pump(peer)
    for at in range(11, 1002, 10):
        peer.sends(ack=at, window=1 << 20)
    assert peer.app.info.cwnd <= 11 * MSS


@pytest.mark.rfc("5681-08", "9293-MUST-19")
def test_congestion_avoidance_adds_a_segment_per_round(peer: Peer):
    pump(peer)
    peer.gets_all(within=1.1)  # RTO: ssthresh = flight / 2
    assert peer.app.info.ssthresh == 5 * MSS
    sent = 10
    cwnds = []
    acked = 10
    for _ in range(8):
        peer.sends(ack=edge(acked), window=1 << 20)
        sent += len([n for n in seqs(peer.gets_all()) if n >= sent])
        acked = sent
        cwnds.append(peer.app.info.cwnd // MSS)
    above = [cwnd for cwnd in cwnds if cwnd >= 5]
    grown = [b - a for a, b in zip(above, above[1:], strict=False)]
    assert grown
    assert max(grown) <= 1


@pytest.mark.rfc("5681-09", "5681-10", "8961-03")
def test_rto_leaves_one_segment(peer: Peer):
    pump(peer)
    assert seqs(peer.gets_all(within=1.1)) == [0]
    info = peer.app.info
    assert (info.cwnd, info.ssthresh) == (MSS, 5 * MSS)
    peer.gets_all(within=2.1)
    assert peer.app.info.ssthresh == 5 * MSS, "not lowered again for the same data"


@pytest.mark.rfc("5681-18")
def test_cwnd_restarts_after_idle(peer: Peer):
    pump(peer)
    sent = acked = 10
    while acked < 200:
        sent = max(sent, 1 + max(ack(peer, acked), default=sent - 1))
        acked = min(sent, acked + 5)
    ack(peer, 200)
    assert peer.app.info.cwnd > 20 * MSS
    peer.advance(30)
    peer.app.send(bytes(100_000))
    assert len(peer.gets_all()) == 10


@pytest.mark.rfc("7661-01")
def test_an_unused_window_does_not_grow(peer: Peer):
    peer.establish(mss=MSS)
    for n in range(50):
        peer.app.send(bytes(100))
        peer.gets(seq=1 + 100 * n)
        peer.sends(ack=101 + 100 * n)
    assert peer.app.info.cwnd == 10 * MSS


# -- fast retransmit ------------------------------------------------------------------------------


@pytest.mark.rfc("5681-13", "5681-14", "5681-16", "3042-01", "3042-02")
@pytest.mark.parametrize("sack", [False, True], ids=["reno", "sack"])
def test_fast_retransmit(peer: Peer, sack: bool):
    pump(peer, sack=sack)
    runs = [(1, 2), (1, 3), (1, 4)] if sack else [()] * 3
    runs = [(run,) if run else () for run in runs]
    assert ack(peer, 0, *runs[0]) == [10], "limited transmit"
    assert ack(peer, 0, *runs[1]) == [11], "limited transmit"
    assert peer.app.info.cwnd == 10 * MSS
    assert ack(peer, 0, *runs[2])[:1] == [0]
    info = peer.app.info
    assert info.in_recovery
    assert info.ssthresh == 5 * MSS
    assert info.fast_recoveries == 1


@pytest.mark.parametrize("sack", [False, True], ids=["reno", "sack"])
def test_two_duplicates_are_reordering(peer: Peer, sack: bool):
    pump(peer, sack=sack)
    ack(peer, 0, *([(1, 2)] if sack else []))
    ack(peer, 0, *([(1, 3)] if sack else []))
    ack(peer, 3)
    assert not peer.app.info.in_recovery
    assert peer.app.info.retransmits == 0


@pytest.mark.rfc("5681-15")
def test_duplicates_without_news_are_nothing_with_sack(peer: Peer):
    pump(peer)
    for _ in range(10):
        assert ack(peer, 0) == []
    assert peer.app.info.retransmits == 0
    assert not peer.app.info.in_recovery


def test_window_updates_and_data_are_no_duplicates(peer: Peer):
    pump(peer, sack=False)
    for window in range(5):
        peer.sends(ack=1, window=(1 << 20) - 128 * window)
        peer.sends(ack=1, data=b"x", window=(1 << 20) - 128 * window)
    peer.gets_all()
    assert peer.app.info.fast_recoveries == 0


@pytest.mark.rfc("5681-17", "6582-01")
def test_recovery_ends_with_ssthresh(peer: Peer):
    pump(peer, sack=False)
    for _ in range(3):
        ack(peer, 0)
    ack(peer, 12)
    info = peer.app.info
    assert not info.in_recovery
    assert MSS <= info.cwnd <= info.ssthresh == 5 * MSS


@pytest.mark.rfc("6582-01")
def test_newreno_partial_acks(peer: Peer):
    """Segments 0, 3 and 6 are lost: each partial ACK brings the next, without a time-out."""
    pump(peer, sack=False)
    resent = []
    for _ in range(9):
        resent += [n for n in ack(peer, 0) if n < 10]
    for hole in (3, 6):
        resent += [n for n in ack(peer, hole) if n < 10]
        assert peer.app.info.in_recovery
    assert resent == [0, 3, 6]
    assert peer.app.info.rto_count == 0


@pytest.mark.rfc("6582-02")
def test_no_second_fast_retransmit_for_the_same_window(peer: Peer):
    pump(peer, sack=False)
    for _ in range(9):
        ack(peer, 0)
    peer.gets_all(within=1.1)
    for _ in range(6):
        ack(peer, 0)
    assert peer.app.info.fast_recoveries == 1


@pytest.mark.rfc("5681-21")
def test_a_second_loss_lowers_cwnd_again(peer: Peer):
    pump(peer)
    for run in ((1, 2), (1, 3), (1, 4)):
        ack(peer, 0, run)
    first = peer.app.info.ssthresh
    nxt = (peer.app.info.snd_nxt - (peer.irs or 0) - 1) % 2**32 // MSS
    sent = ack(peer, nxt)
    for end in range(nxt + 2, nxt + 5):
        ack(peer, nxt, (nxt + 1, end))
    assert sent
    assert peer.app.info.fast_recoveries == 2
    assert peer.app.info.ssthresh < first


# -- SACK -----------------------------------------------------------------------------------------


@pytest.mark.rfc("6675-01", "6675-03", "2018-08", "6675-10")
def test_only_holes_are_sent_again(peer: Peer):
    """0, 2 and 4 are lost of ten."""
    pump(peer)
    resent = ack(peer, 0, (1, 2)) + ack(peer, 0, (3, 4), (1, 2))
    for end in range(6, 11):
        resent += ack(peer, 0, (5, end), (3, 4), (1, 2))
    assert [n for n in resent if n < 10] == [0, 2, 4]
    assert peer.app.info.rto_count == 0


@pytest.mark.rfc("6675-01")
def test_a_run_of_three_segments_says_lost(peer: Peer):
    """IsLost: one ACK that reports more than two segments beyond is as good as three."""
    pump(peer)
    assert ack(peer, 0, (1, 4))[0] == 0


@pytest.mark.rfc("6675-02", "6675-07")
def test_pipe_bounds_what_is_sent_in_recovery(peer: Peer):
    pump(peer)
    for run in ((1, 2), (1, 3), (1, 4)):
        ack(peer, 0, run)
    pipes = [peer.app.info.pipe]
    for end in range(5, 11):
        sent = ack(peer, 0, (1, end))
        info = peer.app.info
        pipes.append(info.pipe)
        assert not sent or info.pipe <= info.cwnd
    assert pipes == sorted(pipes, reverse=True)
    assert pipes[-1] <= 5 * MSS


@pytest.mark.rfc("6675-06")
def test_recovery_lasts_to_its_point(peer: Peer):
    pump(peer)
    for run in ((1, 2), (1, 3), (1, 4)):
        ack(peer, 0, run)
    point = (peer.app.info.recovery_point - (peer.irs or 0) - 1) % 2**32 // MSS
    assert point >= 10
    ack(peer, 5)
    assert peer.app.info.in_recovery
    ack(peer, point)
    assert not peer.app.info.in_recovery


@pytest.mark.rfc("6675-08", "6675-09", "2018-10")
def test_rto_in_recovery(peer: Peer):
    pump(peer)
    for run in ((1, 2), (1, 3), (1, 4)):
        ack(peer, 0, run)
    peer.gets_all()
    again = peer.gets_all(within=1.5)
    assert seqs(again)[0] == 0, "the left edge, whatever was SACKed"
    assert peer.app.info.rto_count == 1
    assert peer.app.info.cwnd == MSS
    ack(peer, 1, (2, 5))
    ack(peer, 1, (2, 6))
    ack(peer, 1, (2, 7))
    assert peer.app.info.fast_recoveries == 1


@pytest.mark.rfc("2018-11")
@pytest.mark.parametrize(
    "blocks",
    [[(2001, 1001)], [(1001, 1001)], [(90_001, 99_001)], [(-5000, -4000)], [(1, 50_001)]],
)
def test_nonsense_blocks_are_ignored(peer: Peer, blocks: list[tuple[int, int]]):
    pump(peer)
    for _ in range(5):
        peer.sends(ack=1, sack=blocks, window=1 << 20)
    assert seqs(peer.gets_all()) == []
    assert not peer.app.info.in_recovery
    peer.sends(ack=edge(10), window=1 << 20)
    assert peer.app.info.snd_una == ((peer.irs or 0) + edge(10)) % 2**32


@pytest.mark.rfc("2018-08", "2018-09")
def test_a_peer_may_take_sacks_back(peer: Peer):
    """Reneging: what was SACKed is still kept, and sent again after a time-out."""
    pump(peer)
    ack(peer, 0, (1, 10))
    peer.gets_all()
    got = b""
    acked = 0
    for _ in range(40):
        for one in peer.gets_all(within=2.0):
            if (one.seq - 1) // MSS == acked:
                acked += 1
                got += one.data
                peer.sends(ack=edge(acked), window=1 << 20)
        if acked >= 12:
            break
    assert acked >= 12


@pytest.mark.rfc("2883-05")
def test_dsack_is_no_loss(peer: Peer):
    pump(peer)
    ack(peer, 5)
    for _ in range(5):
        peer.sends(ack=edge(5), sack=[(edge(1), edge(2))], window=1 << 20)
    peer.gets_all()
    assert not peer.app.info.in_recovery


@pytest.mark.rfc("6675-04")
def test_a_lost_tail_is_rescued(peer: Peer):
    """0 and 9 are lost of ten, and there is no more to send."""
    peer.configure(rto_min=1.0, snd_buffer=1 << 18, use_rack=False)
    peer.establish(mss=MSS, window=1 << 20)
    peer.sends(window=1 << 20)
    peer.app.send(bytes(10 * MSS))
    assert len(peer.gets_all()) == 10
    sent = []
    for end in range(2, 10):
        sent += ack(peer, 0, (1, end))
    sent += ack(peer, 9)
    sent += seqs(peer.gets_all(within=5))
    assert 0 in sent
    assert 9 in sent
    ack(peer, 10)
    assert peer.app.info.flight_size == 0


@pytest.mark.rfc("6675-03", "6675-04")
def test_what_the_rescue_uncovers_is_repaired(peer: Peer):
    """0, 7, 8 and 9 are lost of ten. The rescue brings 9; 7 and 8 follow without a time-out."""
    peer.configure(rto_min=1.0, snd_buffer=1 << 18, use_rack=False)
    peer.establish(mss=MSS, window=1 << 20)
    peer.sends(window=1 << 20)
    peer.app.send(bytes(10 * MSS))
    assert len(peer.gets_all()) == 10
    sent = []
    for end in range(2, 8):
        sent += ack(peer, 0, (1, end))
    assert sent == [0, 9]
    assert ack(peer, 0, (9, 10), (1, 7)) == [7, 8]
    assert peer.app.info.rto_count == 0
