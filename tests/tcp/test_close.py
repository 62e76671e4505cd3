"""Closing: half-close, unread data, orphans, linger, TIME-WAIT. RFC 9293 3.6."""

import pytest

from support.states import WAYS, reach
from usertcp import _events
from usertcp.testing import EngineError, Peer


@pytest.mark.rfc("9293-MUST-12", "9293-MAY-1")
def test_half_close_here_still_receives(peer: Peer):
    peer.establish()
    peer.app.shutdown()
    peer.gets("FIN,ACK", seq=1)
    peer.sends(ack=2)
    peer.sends(data=b"late")
    assert peer.app.receive() == b"late"
    assert peer.app.state == "FIN-WAIT-2"
    peer.advance(3600)
    peer.gets_all()
    peer.sends(data=b" words")
    assert peer.app.receive() == b" words"
    with pytest.raises(EngineError, match="CLOSING"):
        peer.app.send(b"x")


@pytest.mark.rfc("9293-MUST-12")
def test_half_close_there_still_sends(peer: Peer):
    peer.establish()
    peer.sends("FIN,ACK", data=b"last")
    peer.gets("ACK", ack=6)
    assert peer.app.receive() == b"last"
    assert peer.app.outcome() == "END_OF_STREAM"
    assert peer.app.outcome() == "END_OF_STREAM"
    peer.app.send(b"answer")
    peer.gets(data=b"answer")
    peer.advance(0.1)
    peer.sends()
    peer.app.shutdown()
    peer.gets("FIN,ACK", seq=7)
    assert peer.app.state == "LAST-ACK"
    peer.sends()
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9293-EV-19")
def test_fin_follows_all_data(peer: Peer):
    peer.establish(mss=1000, wscale=0, window=2000)
    peer.app.send(bytes(5000))
    peer.app.shutdown()
    assert [len(got.data) for got in peer.gets_all()] == [1000, 1000]
    peer.sends(ack=2001, window=2500)
    peer.gets(len=1000)
    peer.gets(len=1000)
    peer.sends(ack=4001, window=2500)
    got = peer.gets(len=1000)
    assert got.flags == {"FIN", "PSH", "ACK"}
    peer.sends(ack=5002)
    assert peer.app.state == "FIN-WAIT-2"


@pytest.mark.rfc("9293-EV-19")
def test_fin_waits_for_a_closed_window(peer: Peer):
    peer.configure(rto_min=1.0).establish(wscale=0)
    peer.sends(window=0)
    peer.app.send(b"abc")
    peer.app.shutdown()
    peer.gets_nothing()
    probe = peer.gets(seq=1, len=1, within=2)
    assert "FIN" not in probe.flags
    peer.sends(ack=2, window=1000)
    got = peer.gets_all()
    assert b"".join(one.data for one in got) == b"bc"
    assert "FIN" in got[-1].flags


def test_all_sent_is_told(peer: Peer):
    peer.establish()
    peer.app.send(b"abc")
    peer.app.shutdown()
    peer.gets_all()
    assert not peer.app.events & _events.ALL_SENT
    assert peer.engine.unfinished == 1
    peer.sends(ack=5)
    assert peer.app.events & _events.ALL_SENT
    assert peer.engine.unfinished == 0


def test_shutdown_twice_is_once(peer: Peer):
    peer.establish()
    peer.app.shutdown()
    peer.gets("FIN,ACK", seq=1)
    peer.app.shutdown()
    peer.gets_nothing()


@pytest.mark.rfc("9293-EV-18")
def test_a_lost_fin_is_sent_again(peer: Peer):
    peer.configure(rto_min=1.0).establish()
    peer.app.send(b"abc")
    peer.app.shutdown()
    peer.gets_all()
    peer.gets("FIN,ACK", seq=4, len=0, within=0.5)  # RFC 8985 7.3: the segment sent last
    got = peer.gets(seq=1, within=1.5)
    assert got.end == 5
    assert "FIN" in got.flags
    peer.sends(ack=4)
    assert peer.app.state == "FIN-WAIT-1"
    got = peer.gets("FIN,ACK", seq=4, len=0, within=10)
    peer.sends(ack=5)
    assert peer.app.state == "FIN-WAIT-2"


@pytest.mark.rfc("9293-SHLD-3")
def test_close_with_unread_data_resets(peer: Peer):
    peer.establish()
    peer.sends(seq=1, data=b"unread")
    peer.gets_all(within=0.5)
    peer.app.close()
    got = peer.gets(seq=1)
    assert "RST" in got.flags
    assert peer.app.state == "CLOSED"
    peer.gets_nothing(within=100)


def test_close_with_data_above_a_gap_delivers_what_was_accepted(peer: Peer):
    """Nobody acknowledged it, so nothing is owed for it; what the user sent is."""
    peer.establish()
    peer.sends(seq=3, data=b"early")
    peer.gets_all(within=0.5)
    peer.app.send(b"ours")
    peer.app.close()
    peer.gets(seq=1, data=b"ours")
    peer.gets("FIN,ACK", seq=5)
    peer.sends(seq=1, data=b"ab", ack=6)  # the gap is filled when nobody will read any more
    assert "RST" in peer.gets().flags


def test_close_delivers_what_was_accepted(peer: Peer):
    peer.establish(mss=1000, window=3000, wscale=0)
    peer.app.send(bytes(10_000))
    peer.app.close()
    total, acked = 0, 1
    for _ in range(20):
        for got in peer.gets_all():
            total += len(got.data)
            acked = got.end
            fin = "FIN" in got.flags
        peer.sends(ack=acked, window=3000)
        if fin:
            break
    assert total == 10_000
    assert peer.app.state == "FIN-WAIT-2"


@pytest.mark.rfc("9293-EV-16", "9293-MAY-1")
def test_data_for_a_closed_connection_is_reset(peer: Peer):
    peer.establish()
    peer.app.close()
    peer.gets("FIN,ACK", seq=1)
    peer.sends(ack=2)
    peer.sends(data=b"too late")
    got = peer.gets()
    assert "RST" in got.flags
    assert peer.app.state == "CLOSED"
    assert peer.engine.drops()["tcp_after_close"] == 1


@pytest.mark.rfc("SEC-15")
def test_an_orphan_in_fin_wait_2_ends(peer: Peer):
    peer.configure(orphan_timeout=60).establish()
    peer.app.close()
    peer.gets("FIN,ACK", seq=1)
    peer.sends(ack=2)
    assert peer.app.state == "FIN-WAIT-2"
    peer.advance(59)
    assert peer.app.state == "FIN-WAIT-2"
    peer.advance(2)
    assert peer.app.state == "CLOSED"


@pytest.mark.attack(24)
@pytest.mark.rfc("SEC-16")
@pytest.mark.parametrize("state", ["FIN-WAIT-1", "LAST-ACK"])
def test_an_orphan_with_a_closed_window_ends(peer: Peer, state: str):
    """Attack 24: the peer answers every probe and never opens its window."""
    peer.configure(orphan_timeout=60, user_timeout=10_000, rto_min=1.0).establish(wscale=0)
    if state == "LAST-ACK":
        peer.sends("FIN,ACK")
        peer.gets("ACK")
    peer.sends(window=0)
    peer.app.send(b"stuck")
    peer.app.close()
    for _ in range(100):
        if peer.app.state == "CLOSED":
            break
        for got in peer.gets_all(within=5):
            if not got.flags & {"RST"}:
                peer.sends(ack=1, window=0)
    assert peer.app.state == "CLOSED"
    assert peer.now < 200


def test_linger_0_resets(peer: Peer):
    peer.establish()
    assert peer.app.connection is not None
    peer.app.connection.set_option("linger", 0)
    peer.app.send(b"never mind")
    peer.gets()
    peer.app.close()
    got = peer.gets()
    assert "RST" in got.flags
    assert peer.app.state == "CLOSED"


@pytest.mark.parametrize(
    ("state", "resets"),
    [
        ("SYN-SENT", False), ("SYN-RECEIVED/active", True), ("ESTABLISHED", True),
        ("FIN-WAIT-1", True), ("FIN-WAIT-2", True), ("CLOSE-WAIT", True), ("CLOSING", False),
        ("LAST-ACK", False),
    ],
)  # fmt: skip
def test_abort(peer: Peer, state: str, resets: bool):
    there = reach(peer, state)
    peer.app.abort()
    assert peer.app.state == "CLOSED"
    if resets:
        got = peer.gets(seq=there.nxt)
        assert "RST" in got.flags
    peer.gets_nothing(within=100)


@pytest.mark.parametrize(
    "state",
    ["SYN-SENT", "SYN-RECEIVED/active", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
     "CLOSING", "LAST-ACK", "TIME-WAIT"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["close", "abort"])
def test_handles_become_stale(peer: Peer, state: str, how: str):
    reach(peer, state)
    connection = peer.app.connection
    assert connection is not None
    getattr(connection, how)()
    for call in (connection.close, connection.abort, connection.shutdown, connection.receive):
        with pytest.raises(EngineError, match="STALE_HANDLE"):
            call()
    with pytest.raises(EngineError, match="STALE_HANDLE"):
        connection.send(b"x")


@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT", "TIME-WAIT"])
def test_memory_is_back_after_the_end(peer: Peer, state: str):
    """A second life costs nothing more than the first, which filled the pools."""
    memory = []
    for _ in range(2):
        WAYS[state](peer)
        peer.app.close()
        peer.gets_all(within=1000)
        assert peer.app.state == "CLOSED"
        assert not peer.engine.raw.list_info()
        assert peer.engine.deadline is None
        memory.append(peer.engine.memory)
        peer.reset()
    assert memory[0] == memory[1]


@pytest.mark.rfc("9293-MUST-13")
def test_time_wait_keeps_the_port_pair(peer: Peer):
    reach(peer, "TIME-WAIT")
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        peer.app.connect()
    peer.advance(61)
    peer.app.connect()


@pytest.mark.rfc("6191-01", "6191-02", "6191-04", "9293-SHLD-4")
@pytest.mark.parametrize(
    ("ts", "seq", "accepted"),
    [(1001, -100, True), (1000, 100, True), (1000, -100, False), (999, 100, False)],
)
def test_timestamps_decide_who_follows_time_wait(peer: Peer, ts: int, seq: int, accepted: bool):
    peer.establish(passive=True, timestamps=True)
    peer.app.close()
    peer.gets("FIN,ACK")
    peer.sends("FIN,ACK", ack=2)
    peer.gets("ACK", ack=2)
    peer.sends("SYN", seq=2 + seq, ts=(ts, 0), mss=1460)
    got = peer.gets()
    assert ("SYN" in got.flags) == accepted


@pytest.mark.attack(45)
@pytest.mark.rfc("1337-02")
def test_a_syn_with_fin_does_not_end_time_wait(peer: Peer):
    """It opens nothing where somebody listens, so nothing may give way to it."""
    there = reach(peer, "TIME-WAIT")
    peer.app.close()
    peer.app.listen()
    peer.sends("SYN,FIN", seq=there.seq + 1000, mss=1460)
    peer.gets("ACK", seq=there.nxt, ack=there.seq)
    assert peer.app.state == "TIME-WAIT"
    peer.sends("SYN", seq=there.seq + 1000, mss=1460)
    peer.gets("SYN,ACK", ack=there.seq + 1001)


@pytest.mark.rfc("9293-EV-08", "1337-02")
@pytest.mark.parametrize("data", [b"", b"x"])
def test_in_time_wait_whatever_takes_sequence_space_is_answered(peer: Peer, data: bytes):
    """A second FIN beyond the first as well as text; a bare ACK of what we know is not."""
    there = reach(peer, "TIME-WAIT")
    peer.sends("FIN,ACK", seq=there.seq, ack=there.nxt, data=data)
    peer.gets("ACK", seq=there.nxt, ack=there.seq)
    peer.sends("ACK", seq=there.seq, ack=there.nxt)
    peer.gets_nothing()
    assert peer.app.state == "TIME-WAIT"


@pytest.mark.rfc("9293-EV-13")
@pytest.mark.parametrize("fin", [0, 1, 2, 3, 4])
def test_a_fin_before_text_that_came_is_not_believed(peer: Peer, fin: int):
    """The text would carry RCV.NXT past it, and the end would never come."""
    there = reach(peer, "ESTABLISHED")
    peer.sends(seq=there.seq + 2, data=b"cde")
    peer.gets("ACK", ack=there.seq)
    peer.sends("FIN,ACK", seq=there.seq + fin)
    peer.gets_all()
    assert peer.app.state == "ESTABLISHED"
    peer.sends(seq=there.seq, data=b"ab")
    assert peer.app.receive() == b"abcde"
    peer.sends("FIN,ACK", seq=there.seq + 5)
    assert peer.app.state == "CLOSE-WAIT"
    assert peer.app.outcome() == "END_OF_STREAM"
