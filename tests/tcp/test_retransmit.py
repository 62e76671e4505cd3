"""The retransmission timer: RFC 6298, and when to give up (RFC 9293 3.8.3)."""

import pytest

from usertcp.testing import Peer

MS = 1_000_000


def timed(peer: Peer, seconds: float, data: bytes = b"x") -> None:
    """One segment goes out and is acknowledged after that time."""
    peer.app.send(data)
    got = peer.gets(data=data)
    peer.advance(seconds)
    peer.sends(ack=got.end)


@pytest.mark.rfc("6298-02", "9293-MUST-18", "1122-10")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
@pytest.mark.parametrize(("rtt", "rto"), [(0.1, 300), (0.2, 600), (1.0, 3000)])
def test_first_sample(peer: Peer, rtt: float, rto: float, passive: bool):
    peer.configure(rto_min=0.001, rto_max=60, rto_initial=5).establish(rtt=rtt, passive=passive)
    info = peer.app.info
    assert info.srtt_ns == rtt * 1e9
    assert info.rttvar_ns == rtt * 1e9 / 2
    assert info.rto_ns == rto * MS


@pytest.mark.rfc("6298-03", "9293-MUST-18")
def test_next_samples(peer: Peer):
    """RTTVAR before SRTT, with beta 1/4 and alpha 1/8."""
    peer.configure(rto_min=0.001, rto_max=60).establish(rtt=0.1)
    srtt, rttvar = 100.0, 50.0
    for sample in (200, 200, 100, 50, 250, 100, 100):
        timed(peer, sample / 1000)
        rttvar = 0.75 * rttvar + 0.25 * abs(srtt - sample)
        srtt = 0.875 * srtt + 0.125 * sample
        info = peer.app.info
        assert info.srtt_ns / MS == pytest.approx(srtt, rel=1e-3)
        assert info.rttvar_ns / MS == pytest.approx(rttvar, rel=1e-3)
        assert info.rto_ns / MS == pytest.approx(srtt + max(1, 4 * rttvar), rel=1e-3)


@pytest.mark.rfc("6298-04")
@pytest.mark.parametrize(("profile", "rto"), [("rfc", 1000), ("linux", 1010)])
def test_floor_and_ceiling(peer: Peer, profile: str, rto: int):
    """Linux keeps the floor of what is added to SRTT, which is never less."""
    peer.configure(profile=profile, rto_min=1.0, rto_max=2.0).establish(rtt=0.01)
    assert peer.app.info.rto_ns == rto * MS
    timed(peer, 0.9)
    timed(peer, 0.9)
    assert peer.app.info.rto_ns <= 2000 * MS


@pytest.mark.rfc("6298-08")
def test_rto_of_a_steady_path_shrinks(peer: Peer):
    peer.configure(rto_min=0.001).establish(rtt=0.1)
    for _ in range(60):
        timed(peer, 0.1)
    assert peer.app.info.rto_ns / MS == pytest.approx(101, abs=2)


@pytest.mark.rfc("9293-EV-18", "6298-05", "8961-04", "9293-MUST-19")
def test_backoff(peer: Peer):
    peer.configure(use_rack=False, rto_min=1.0, rto_max=20, user_timeout=1000).establish()
    peer.app.send(b"hello")
    first = peer.gets(data=b"hello")
    times = [0.0] + [got.at - first.at for got in peer.gets_all(within=100)]
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert gaps == pytest.approx([1, 2, 4, 8, 16, 20, 20, 20], rel=0.01)


@pytest.mark.rfc("9293-EV-18")
def test_only_the_earliest_is_sent_again(peer: Peer):
    peer.configure(use_rack=False, rto_min=1.0).establish(mss=1000)
    peer.app.send(bytes(5000))
    assert len(peer.gets_all()) == 5
    again = peer.gets_all(within=1.5)
    assert [(got.seq, len(got.data)) for got in again] == [(1, 1000)]


@pytest.mark.rfc("9293-MUST-18", "6298-06", "8961-02")
def test_karn_takes_no_ambiguous_sample(peer: Peer):
    peer.configure(rto_min=1.0).establish(rtt=0.1)
    before = peer.app.info
    peer.app.send(b"x")
    peer.gets()
    peer.gets(seq=1, within=1.5)
    peer.advance(0.7)
    peer.sends(ack=2)
    after = peer.app.info
    assert (after.srtt_ns, after.rttvar_ns) == (before.srtt_ns, before.rttvar_ns)


@pytest.mark.rfc("9293-MUST-18")
def test_backoff_stays_until_a_sample(peer: Peer):
    peer.configure(profile="rfc", use_rack=False).establish(rtt=0.1)
    peer.app.send(b"x")
    peer.gets()
    peer.gets(within=1.5)
    peer.gets(within=2.5)
    peer.sends(ack=2)
    peer.app.send(b"y")
    sent = peer.gets(data=b"y")
    again = peer.gets(data=b"y", within=10)
    assert again.at - sent.at == pytest.approx(4, rel=0.01)
    peer.sends(ack=3)
    timed(peer, 0.1, b"z")
    peer.app.send(b"w")
    sent = peer.gets(data=b"w")
    assert peer.gets(data=b"w", within=10).at - sent.at == pytest.approx(1, rel=0.01)


@pytest.mark.rfc("6298-05", "6298-10", "6928-03")
def test_the_timer_restarts_with_each_ack_of_new_data(peer: Peer):
    peer.configure(use_rack=False, rto_min=1.0).establish(mss=1000)
    peer.app.send(bytes(3000))
    peer.gets_all()
    for end in (1001, 2001):
        peer.gets_nothing(within=0.9)
        peer.sends(ack=end)
    at, rto = peer.now, peer.app.info.rto_ns / 1e9
    assert rto >= 1
    assert peer.gets(seq=2001, within=2).at - at == pytest.approx(rto, rel=0.001)


@pytest.mark.rfc("6298-05", "6298-10")
def test_the_timer_stops_when_all_is_acked(peer: Peer):
    peer.establish()
    peer.app.send(b"x")
    peer.gets()
    peer.sends(ack=2)
    peer.gets_nothing(within=1000)
    assert peer.engine.deadline is None or peer.engine.deadline > peer.engine.now


def test_an_old_ack_does_not_restart_the_timer(peer: Peer):
    peer.configure(rto_min=1.0).establish()
    peer.app.send(b"x")
    peer.gets()
    peer.advance(0.9)
    peer.sends(ack=1)
    peer.gets(seq=1, within=0.2)


@pytest.mark.rfc("9293-MUST-20", "9293-EV-17", "9293-SHLD-10")
def test_r2_ends_the_connection(peer: Peer):
    peer.configure(rto_min=1.0, user_timeout=30).establish()
    peer.app.send(b"x")
    again = peer.gets_all(within=29.9)
    assert len(again) >= 4
    assert peer.app.state == "ESTABLISHED"
    peer.advance(0.2)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")
    assert peer.app.outcome() == "TIMED_OUT"


@pytest.mark.rfc("9293-SHLD-11")
def test_default_r2(peer: Peer):
    peer.establish()
    peer.app.send(b"x")
    peer.advance(99)
    assert peer.app.state == "ESTABLISHED"
    peer.advance(3600)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9293-MUST-21")
@pytest.mark.parametrize("seconds", [1, 60, 100_000])
def test_r2_is_set_per_connection(peer: Peer, seconds: int):
    peer.configure(user_timeout=10).establish()
    assert peer.app.connection is not None
    peer.app.connection.set_option("user_timeout", seconds * 1000 * MS)
    peer.app.send(b"x")
    peer.advance(seconds * 0.99)
    assert peer.app.state == "ESTABLISHED"
    peer.advance(seconds * 0.02)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


def test_progress_puts_r2_off(peer: Peer):
    peer.configure(rto_min=1.0, user_timeout=10).establish(mss=1000)
    peer.app.send(bytes(5000))
    for end in range(1001, 5001, 1000):
        peer.advance(8)
        peer.sends(ack=end)
    peer.advance(8)
    assert peer.app.state == "ESTABLISHED"


@pytest.mark.rfc("6298-12")
def test_a_lost_syn_makes_the_first_rto_longer(peer: Peer):
    """RFC 6298 5.7: 3 seconds at least, when the SYN was sent again."""
    peer.configure(rto_initial=1.0, rto_min=0.2).app.connect()
    peer.gets("SYN")
    peer.gets("SYN", within=1.5)
    peer.sends("SYN,ACK", seq=0, ack=1, mss=1460)
    peer.gets("ACK")
    peer.app.send(b"x")
    sent = peer.gets(data=b"x")
    assert peer.gets(data=b"x", within=5).at - sent.at == pytest.approx(3, rel=0.01)


def test_a_retransmission_merges_small_segments(peer: Peer):
    """What is sent again is a full segment of what waits, not the pieces as they were written."""
    peer.configure(rto_min=1.0).establish(mss=1000)
    for _ in range(4):
        peer.app.send(bytes(100))
    assert len(peer.gets_all()) == 4
    got = peer.gets(seq=1, within=1.5)
    assert len(got.data) in (100, 400)


def test_retransmitted_bytes_are_counted(peer: Peer):
    peer.configure(use_rack=False, rto_min=1.0).establish(mss=1000)
    peer.app.send(bytes(500))
    peer.gets_all(within=3.5)
    info = peer.app.info
    assert (info.retransmits, info.bytes_retransmitted, info.rto_count) == (2, 1000, 2)
