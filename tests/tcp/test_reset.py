"""Resets and off-path attacks: RFC 5961, RFC 9293 3.5.2 and 3.5.3."""

import pytest

from support.states import reach
from usertcp.testing import Peer
from usertcp.testing.packets import Segment


def challenges(peer: Peer) -> int:
    got = peer.gets_all()
    assert all(one.flags == {"ACK"} for one in got)
    return len(got)


@pytest.mark.attack(19)
@pytest.mark.rfc("5961-01", "5961-02", "5961-03")
@pytest.mark.parametrize("offset", [-100_000, -1, 1, 2, 100, 30_000, 60_000])
def test_only_the_exact_number_resets(peer: Peer, offset: int):
    """Attack 19: a blind attacker has to hit one number out of 2^32."""
    there = reach(peer, "ESTABLISHED")
    window = peer.app.info.rcv_wnd
    peer.sends("RST", seq=there.seq + offset)
    assert peer.app.state == "ESTABLISHED"
    assert challenges(peer) == (1 if 0 < offset < window else 0)
    peer.sends("RST", seq=there.seq)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("5961-02")
def test_a_true_reset_gets_through_by_the_challenge(peer: Peer):
    """The real peer, asked, answers the challenge ACK with an RST of the right number."""
    there = reach(peer, "ESTABLISHED")
    peer.sends("RST", seq=there.seq + 10)
    challenge = peer.gets("ACK")
    peer.sends("RST", seq=challenge.ack)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9293-SHLD-2")
def test_a_reset_may_carry_data(peer: Peer):
    there = reach(peer, "ESTABLISHED")
    peer.sends("RST", seq=there.seq, data=b"go away")
    assert peer.app.state == "CLOSED"
    assert peer.app.outcome() == "RESET"


@pytest.mark.rfc("9293-MUST-12")
def test_received_data_comes_before_the_reset(peer: Peer):
    there = reach(peer, "ESTABLISHED")
    peer.sends(data=b"first this")
    peer.sends("RST", seq=there.seq + 10)
    assert peer.app.receive() == b"first this"
    assert peer.app.outcome() == "RESET"


@pytest.mark.rfc("5961-05")
@pytest.mark.parametrize("offset", [-100_000, -11, -1, 0, 1, 100, 1 << 24])
def test_a_syn_never_resets(peer: Peer, offset: int):
    there = reach(peer, "ESTABLISHED")
    peer.sends("SYN", seq=there.seq + offset, mss=1460)
    got = peer.gets("ACK", seq=there.nxt, ack=there.seq)
    assert not got.data
    assert peer.app.state == "ESTABLISHED"


@pytest.mark.attack(21, 22)
@pytest.mark.rfc("5961-06", "SEC-13")
@pytest.mark.parametrize(("offset", "taken"), [(1, False), (0, True), (-5, True), (-70_000, False)])
def test_data_needs_a_believable_ack(peer: Peer, offset: int, taken: bool):
    """Attack 21, 22: blind injection must guess the ACK number too."""
    peer.establish(wscale=0)
    for n in range(100):
        peer.app.send(bytes(1000))
        peer.gets_all()
        peer.sends(ack=1 + 1000 * (n + 1))
    peer.sends(seq=1, data=b"evil", ack=100_001 + offset)
    assert (peer.app.receive() == b"evil") == taken


@pytest.mark.rfc("5961-06")
def test_an_ack_from_before_the_connection_is_not_believed(peer: Peer):
    """Ghost ACKs: nothing before the first byte was ever sent."""
    peer.establish(wscale=0)
    peer.sends(seq=1, data=b"evil", ack=-10)
    assert peer.app.receive() == b""
    assert peer.engine.drops()["tcp_ack_outside"] == 1


@pytest.mark.rfc("5961-07", "5961-08")
def test_challenges_are_limited_per_second(peer: Peer):
    peer.configure(challenge_ack_limit=10)
    there = reach(peer, "ESTABLISHED")
    first = 0
    for _ in range(200):
        peer.sends("SYN", seq=there.seq)
        first += challenges(peer)
    assert 0 < first <= 20
    assert peer.engine.drops()["tcp_challenge_limited"] == 200 - first
    peer.advance(1.1)
    peer.sends("SYN", seq=there.seq)
    assert challenges(peer) == 1


@pytest.mark.attack(18)
@pytest.mark.rfc("5961-08")
def test_one_connections_limit_is_not_anothers(peer: Peer):
    """Attack 18, CVE-2016-5696: a shared budget tells of other connections."""
    peer.configure(challenge_ack_limit=10)
    reach(peer, "ESTABLISHED")
    other = peer.another(41000)
    other.app.port = 81
    other.establish()
    for _ in range(100):
        peer.sends("SYN", seq=11)
    other.sends("SYN", seq=1)
    assert challenges(other) == 1


@pytest.mark.rfc("5961-08")
def test_the_limit_is_not_a_known_number(peer: Peer):
    peer.configure(challenge_ack_limit=100)
    there = reach(peer, "ESTABLISHED")
    counts = set()
    for _ in range(8):
        for _ in range(300):
            peer.sends("SYN", seq=there.seq)
        counts.add(challenges(peer))
        peer.advance(1.5)
    assert len(counts) > 3


@pytest.mark.rfc("SEC-14", "9293-EV-02")
def test_no_reset_answers_a_reset(peer: Peer):
    peer.wire.engine.poll()
    for flags in ("RST", "RST,ACK", "RST,PSH", "RST,SYN", "RST,FIN,ACK", "RST,SYN,FIN,PSH,ACK,URG"):
        peer.irs = 0
        peer.sends(flags, seq=1, ack=1)
        peer.gets_nothing()


@pytest.mark.attack(45)
@pytest.mark.rfc("9293-EV-01", "9293-EV-02", "9293-EV-03", "SEC-13")
@pytest.mark.parametrize("state", ["CLOSED", "LISTEN", "ESTABLISHED", "TIME-WAIT"])
def test_flag_soup(peer: Peer, state: str):
    """Attack 45: all 64 flag sets; the oracle sees to what comes out, a reset never answers one."""
    there = reach(peer, state)
    for flags in range(64):
        made = Segment(
            sport=peer.port, dport=peer.app.port, seq=(peer.iss + there.seq + 7) % 2**32,
            ack=((peer.irs or 0) + there.una) % 2**32 if flags & 16 else 0, flags=flags,
        )  # fmt: skip
        peer.sends_together(made)
        got = peer.gets_all()
        assert len(got) <= 1
        if flags & 4:
            assert not any("RST" in one.flags for one in got)
    assert peer.app.state in (state, "SYN-RECEIVED")


@pytest.mark.rfc("SEC-08")
def test_port_zero(peer: Peer):
    peer.app.listen()
    for sport, dport in ((0, 80), (40001, 0), (0, 0)):
        peer.sends_packet(Segment(sport=sport, dport=dport, seq=1, flags=2))
    peer.gets_nothing()
    assert not peer.wire.strays
    assert peer.engine.drops()["tcp_port_zero"] == 3


@pytest.mark.attack(21)
@pytest.mark.rfc("9293-EV-07", "9293-EV-08", "9293-EV-21")
@pytest.mark.parametrize("flags", ["ACK", "FIN,ACK"])
@pytest.mark.parametrize("beyond", [-1, 0, 1, 100, 4000])
def test_half_the_sequence_space_away_is_no_window_crossed(peer: Peer, beyond: int, flags: str):
    """Neither left nor right of the window: not text that begins before it and ends after it."""
    there = reach(peer, "ESTABLISHED")
    peer.app.send(b"in flight")
    peer.gets(len=9)
    peer.sends(flags, seq=there.seq + 2**31 + beyond, ack=there.nxt + 9, data=b"blind guess")
    peer.gets("ACK", ack=there.seq)
    assert peer.app.info.flight_size == 9
    assert peer.app.state == "ESTABLISHED"
    assert peer.engine.drops() == {"tcp_seq_outside": 1}


@pytest.mark.rfc("5961-03")
@pytest.mark.parametrize("state", ["SYN-RECEIVED", "SYN-RECEIVED/active", "ESTABLISHED"])
def test_the_text_of_a_reset_does_not_bring_it_inside(peer: Peer, state: str):
    """Its own number is left of the window, whatever lies within: dropped, and not answered."""
    there = reach(peer, state)
    peer.sends("RST,ACK", seq=there.seq - 1, ack=there.nxt, data=b"ab")
    peer.gets_nothing()
    assert peer.engine.drops() == {"tcp_rst_outside": 1}


@pytest.mark.rfc("9293-EV-10")
def test_without_ack_old_text_is_not_answered(peer: Peer):
    """Nor are the bytes beyond it: dropped as if it had not come."""
    there = reach(peer, "ESTABLISHED")
    peer.sends("PSH", seq=there.seq - 1, data=b"0abcd")
    peer.gets_nothing(within=0.5)
    assert peer.app.receive() == b""


@pytest.mark.rfc("5961-06")
def test_an_ack_of_the_first_byte_is_never_too_old(peer: Peer):
    """Also when our FIN is acknowledged, which is no byte of the stream."""
    there = reach(peer, "FIN-WAIT-2")
    peer.sends(seq=there.seq, ack=1, data=b"late")
    assert peer.app.receive() == b"late"
    peer.gets("ACK", ack=there.seq + 4, within=0.5)
    peer.sends(seq=there.seq + 4, ack=0, data=b"ghost")
    peer.gets("ACK", ack=there.seq + 4)
    assert peer.app.receive() == b""
