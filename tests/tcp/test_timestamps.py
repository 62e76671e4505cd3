"""RFC 7323: timestamps, PAWS, round-trip measurement by echo."""

import pytest

from usertcp.testing import Peer

DAY = 24 * 3600.0


def opened(peer: Peer, **config: object) -> Peer:
    peer.configure(**config)
    return peer.establish(timestamps=True)


@pytest.mark.rfc("7323-09", "7323-13")
def test_every_segment_has_one(peer: Peer):
    peer.app.connect()
    syn = peer.gets("SYN")
    assert syn.ts is not None
    assert syn.ts[1] == 0
    peer.use_ts = True
    peer.sends("SYN,ACK", seq=0, ack=1, mss=1460, ts=(77, syn.ts[0]))
    assert peer.gets("ACK").ts[1] == 77
    peer.app.send(b"x")
    assert peer.gets(data=b"x").ts[1] == 77
    peer.app.shutdown()
    assert peer.gets("FIN,ACK").ts[1] == 77


def test_a_reset_of_ours_has_one(peer: Peer):
    """RFC 7323 3.2: SHOULD."""
    opened(peer)
    peer.sends(data=b"x", ts=(4321, 0))
    peer.gets_all(within=0.5)
    peer.app.abort()
    reset = peer.gets("RST,ACK")
    assert reset.ts is not None
    assert reset.ts[1] == 4321


@pytest.mark.rfc("7323-14", "7323-21")
def test_the_clock_runs_with_time(peer: Peer):
    opened(peer)
    values = []
    for _ in range(5):
        peer.app.send(b"x")
        values.append(peer.gets().ts[0])
        peer.sends()
        peer.advance(10)
    ticks = [(b - a) % 2**32 / 10 for a, b in zip(values, values[1:], strict=False)]
    assert all(1 <= tick <= 1000 for tick in ticks)
    assert max(ticks) - min(ticks) < 0.2


@pytest.mark.attack(32)
@pytest.mark.rfc("7323-23")
def test_offsets_differ_between_connections(peer: Peer):
    """Attack 32: or they would tell how long the machine has been up."""
    values = set()
    for port in range(41000, 41010):
        other = peer.another(port)
        other.app.port = port
        other.app.connect()
        values.add(other.gets("SYN").ts[0])
    assert len(values) == 10


@pytest.mark.rfc("7323-19", "9293-EV-08")
def test_paws(peer: Peer):
    """An older timestamp: answered with an ACK and dropped, though the sequence is right."""
    opened(peer)
    peer.sends(data=b"a", ts=(2000, 0))
    peer.gets_all(within=0.5)
    peer.sends(data=b"b", ts=(1999, 0))
    peer.gets("ACK", ack=2)
    assert peer.app.receive() == b"a"
    assert peer.engine.drops()["tcp_paws"] == 1
    peer.sends(seq=2, data=b"b", ts=(2000, 0))
    assert peer.app.receive() == b"b"


@pytest.mark.rfc("7323-18")
def test_a_reset_is_not_subject_to_paws(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", ts=(2000, 0))
    peer.sends("RST", seq=2, ts=(1, 0))
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("7323-10", "7323-11")
def test_a_missing_timestamp(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", ts=False)
    peer.gets_nothing(within=0.5)
    assert peer.app.receive() == b""
    assert peer.app.state == "ESTABLISHED"
    assert peer.engine.drops()["tcp_no_timestamp"] == 1
    peer.sends("RST", seq=1, ts=False)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("7323-12")
def test_an_unnegotiated_timestamp_is_ignored(peer: Peer):
    peer.establish()
    peer.sends(data=b"a", ts=(2000, 0))
    peer.sends(data=b"b", ts=(5, 0))
    assert peer.app.receive() == b"ab"
    assert peer.gets(within=0.5).ts is None


@pytest.mark.rfc("7323-15", "7323-16")
def test_the_echo_is_of_the_earliest_unacked_segment(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", ts=(2000, 0))
    peer.sends(data=b"b", ts=(2010, 0))
    got = peer.gets("ACK", ack=3, within=0.5)
    assert got.ts[1] == 2000


@pytest.mark.rfc("7323-15")
def test_the_echo_when_a_segment_is_missing(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", ts=(2000, 0))
    peer.gets("ACK", within=0.5)
    peer.sends(seq=3, data=b"c", ts=(2020, 0))
    assert peer.gets("ACK", ack=2).ts[1] == 2000
    peer.sends(seq=2, data=b"b", ts=(2010, 0))
    assert peer.gets("ACK", ack=4).ts[1] == 2010


@pytest.mark.attack(31)
@pytest.mark.rfc("7323-15", "SEC-13")
@pytest.mark.parametrize("seq", [100_000_000, -100])
def test_outsiders_cannot_poison_it(peer: Peer, seq: int):
    """Attack 31: an unacceptable segment with a far future timestamp changes nothing."""
    opened(peer)
    peer.sends(data=b"a", ts=(2000, 0))
    peer.gets_all(within=0.5)
    peer.sends(seq=seq, data=b"x", ts=(2**31 - 1, 0))
    assert peer.gets("ACK", ack=2).ts[1] == 2000
    peer.sends(seq=2, data=b"b", ts=(2001, 0))
    assert peer.app.receive() == b"ab"


@pytest.mark.rfc("7323-15")
def test_an_unacceptable_ack_does_not_change_it(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", ts=(2000, 0))
    peer.gets_all(within=0.5)
    peer.sends(seq=2, ack=5000, ts=(2**31 - 1, 0))
    peer.gets_all(within=0.5)
    peer.sends(seq=2, data=b"b", ts=(2001, 0))
    assert peer.app.receive() == b"ab"


@pytest.mark.rfc("7323-19", "9293-EV-21")
def test_timestamps_wrap(peer: Peer):
    peer.ts_val = 2**32 - 3
    opened(peer)
    peer.sends(data=b"a", ts=(2**32 - 1, 0))
    peer.gets("ACK", within=0.5)
    peer.sends(data=b"b", ts=(1, 0))
    peer.gets("ACK", within=0.5)
    peer.sends(data=b"c", ts=(2**32 - 1, 0))
    assert peer.app.receive() == b"ab"


@pytest.mark.rfc("7323-22")
def test_an_idle_connection_forgets_after_24_days(peer: Peer):
    opened(peer)
    peer.sends(data=b"a", ts=(2**31, 0))
    peer.gets_all(within=0.5)
    peer.advance(25 * DAY)
    peer.sends(data=b"b", ts=(5, 0))
    assert peer.app.receive() == b"ab"


@pytest.mark.rfc("7323-25", "9293-MUST-18")
def test_echoes_give_samples_where_karn_forbids_them(peer: Peer):
    opened(peer, rto_min=1.0)
    peer.app.send(b"x")
    peer.gets()
    again = peer.gets(seq=1, within=1.5)
    peer.advance(0.3)
    peer.sends(ack=2, ts=(2000, again.ts[0]))
    assert peer.app.info.backoff == 0
    assert peer.app.info.srtt_ns > 0


@pytest.mark.parametrize("echo", [0, 1, 2**31, 2**32 - 1])
def test_lying_echoes_do_no_harm(peer: Peer, echo: int):
    opened(peer, rto_min=1.0, rto_max=60)
    peer.app.send(b"x")
    peer.gets()
    peer.gets(seq=1, within=1.5)
    peer.sends(ack=2, ts=(2000, echo))
    assert 0 <= peer.app.info.rto_ns <= 60_000_000_000


@pytest.mark.rfc("7323-26")
def test_old_duplicates_of_an_earlier_connection_are_rejected(peer: Peer):
    opened(peer)
    peer.sends(data=b"new", ts=(50_000, 0))
    peer.sends(seq=4, data=b"old", ts=(40_000, 0))
    peer.sends(seq=4, data=b"far", ts=(45_000, 0))
    assert peer.app.receive() == b"new"


@pytest.mark.rfc("7323-20")
def test_a_timestamp_is_looked_at_once_on_arrival(peer: Peer):
    """What waits beyond a gap was good when it came, and needs no other look when it is filled."""
    peer.establish(timestamps=True)
    peer.sends(seq=4, data=b"def", ts=(1001, 0))
    peer.gets("ACK", ack=1)
    peer.sends(seq=1, data=b"a", ts=(2000, 0))
    peer.gets("ACK", ack=2)
    peer.sends(seq=2, data=b"bc", ts=(3000, 0))
    peer.gets("ACK", ack=7)
    assert peer.app.receive() == b"abcdef"


@pytest.mark.rfc("7323-20")
def test_an_old_timestamp_is_not_queued(peer: Peer):
    """Beyond a gap no more than in order."""
    peer.establish(timestamps=True)
    peer.sends(seq=1, data=b"a", ts=(2000, 0))
    peer.gets("ACK", ack=2, within=0.5)
    peer.sends(seq=4, data=b"OLD", ts=(1500, 0))
    peer.gets("ACK", ack=2, sack=[])
    peer.sends(seq=2, data=b"bc", ts=(2000, 0))
    peer.gets("ACK", ack=4, within=0.5)
    assert peer.app.receive() == b"abc"
    assert peer.engine.drops() == {"tcp_paws": 1}
