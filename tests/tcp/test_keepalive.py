"""Keep-alive: RFC 9293 3.8.4, RFC 1122 4.2.3.6."""

import pytest

from support.states import reach
from usertcp._events import NEVER
from usertcp.testing import Peer

HOUR = 3600.0


def asks(peer: Peer, **options: int) -> None:
    connection = peer.app.connection
    assert connection is not None
    for name, value in {"keepalive": 1, **options}.items():
        connection.set_option(name, value)


@pytest.mark.rfc("9293-MUST-25", "9293-MAY-5")
def test_it_is_off_until_asked_for(peer: Peer):
    peer.establish()
    assert peer.gets_all(within=30 * HOUR) == []
    assert peer.app.state == "ESTABLISHED"


@pytest.mark.rfc("9293-MUST-24", "9293-MUST-28", "9293-SHLD-12")
def test_by_default_it_waits_two_hours(peer: Peer):
    peer.establish()
    asks(peer)
    peer.gets_nothing(within=2 * HOUR - 1)
    got = peer.gets("ACK", seq=0, ack=1, len=0, within=2)
    assert got.at == pytest.approx(2 * HOUR, abs=1)
    peer.app.connection.set_option("keepalive", 0)
    assert peer.gets_all(within=30 * HOUR) == []


@pytest.mark.rfc("9293-MUST-27")
@pytest.mark.parametrize(("idle", "interval"), [(1_000, 500), (60_000, 10_000), (500, 60_000)])
def test_its_times_are_the_users(peer: Peer, idle: int, interval: int):
    peer.establish()
    asks(peer, keepalive_idle=idle, keepalive_interval=interval, keepalive_count=3)
    begun = peer.now
    times = [got.at - begun for got in peer.gets_all(within=(idle + 4 * interval) / 1000)]
    expected = [(idle + n * interval) / 1000 for n in range(3)]
    assert times == pytest.approx(expected, abs=0.01)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


@pytest.mark.rfc("9293-MUST-29")
def test_any_answer_begins_the_silence_anew(peer: Peer):
    """However many probes were lost before it."""
    peer.establish()
    asks(peer, keepalive_idle=10_000, keepalive_interval=1_000, keepalive_count=5)
    for _ in range(20):
        probes = peer.gets_all(within=13.5)
        assert [(set(p.flags), p.seq, len(p.data)) for p in probes] == [({"ACK"}, 0, 0)] * 4
        peer.sends(ack=1)
    assert peer.app.state == "ESTABLISHED"


@pytest.mark.rfc("9293-MUST-26")
def test_not_while_the_line_is_busy(peer: Peer):
    peer.establish()
    asks(peer, keepalive_idle=10_000)
    for _ in range(30):
        peer.sends(data=b"x")
        for got in peer.gets_all(within=5):
            assert got.seq == 1, "an acknowledgement, not a probe"


@pytest.mark.rfc("9293-MUST-26")
def test_not_while_data_is_outstanding(peer: Peer):
    """The retransmission timer finds out, and its time-out is the one that counts."""
    peer.configure(user_timeout=100).establish()
    asks(peer, keepalive_idle=1_000, keepalive_interval=1_000, keepalive_count=2)
    peer.app.send(b"unanswered")
    for got in peer.gets_all(within=50):
        assert (got.seq, len(got.data)) == (1, 10)
    assert peer.app.state == "ESTABLISHED"
    peer.gets_all(within=60)
    assert peer.app.error == "TIMED_OUT"


@pytest.mark.rfc("9293-MUST-26")
def test_not_while_the_window_is_closed(peer: Peer):
    peer.establish(wscale=0)
    asks(peer, keepalive_idle=1_000)
    peer.sends(window=0)
    peer.app.send(b"waits")
    for got in peer.gets_all(within=30):
        assert len(got.data) == 1, "a window probe"
        peer.sends(ack=1, window=0)
    assert peer.app.state == "ESTABLISHED"


def test_the_probe_is_answered_by_us_too(peer: Peer):
    """A number that was acknowledged already is outside the window: ACK (RFC 9293 3.10.7.4)."""
    peer.establish()
    peer.sends(seq=0)
    peer.gets("ACK", seq=1, ack=1)


@pytest.mark.parametrize("state", ["CLOSE-WAIT", "FIN-WAIT-2"])
def test_half_closed_connections_too(peer: Peer, state: str):
    there = reach(peer, state)
    asks(peer, keepalive_idle=1_000, keepalive_interval=1_000, keepalive_count=2)
    probes = peer.gets_all(within=2.5)
    assert [p.seq for p in probes] == [there.nxt - 1] * 2
    peer.advance(2)
    assert peer.app.error == "TIMED_OUT"


def test_asked_for_before_the_handshake(peer: Peer):
    peer.app.connect()
    asks(peer, keepalive_idle=5_000)
    peer.gets("SYN")
    peer.sends("SYN,ACK", seq=0, ack=1, mss=1460)
    peer.gets("ACK", ack=1)
    peer.gets("ACK", seq=0, within=11)


@pytest.mark.parametrize(
    ("name", "value"),
    [("keepalive_idle", 0), ("keepalive_interval", -1), ("keepalive_idle", 1 << 31),
     ("keepalive_count", 0), ("keepalive_count", 256)],
)  # fmt: skip
def test_values_out_of_range(peer: Peer, name: str, value: int):
    peer.establish()
    connection = peer.app.connection
    before = connection.get_option(name)
    with pytest.raises(Exception, match="INVALID"):
        connection.set_option(name, value)
    assert connection.get_option(name) == before


def test_a_connection_that_has_ended_has_no_timer(peer: Peer):
    peer.establish()
    asks(peer)
    connection = peer.app.connection
    assert connection is not None
    assert connection.info.deadline_ns != NEVER
    peer.sends("RST", seq=1)
    assert peer.app.state == "CLOSED"
    asks(peer)
    assert connection.info.deadline_ns == NEVER
    assert connection.get_option("keepalive") == 0
