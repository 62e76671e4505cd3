"""Drops of segments that found their connection, half-open entry or TIME-WAIT record."""

import pytest

from stack.bench import dropped
from support.states import MSL, There, reach
from usertcp.testing import Peer

SYNCHRONIZED = [
    "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK",
]  # fmt: skip
HEARING = ["SYN-RECEIVED", "SYN-RECEIVED/active", *SYNCHRONIZED]
ANY_STATE = pytest.mark.parametrize("state", SYNCHRONIZED)
ANY_HEARING = pytest.mark.parametrize("state", HEARING)


def answered(peer: Peer, there: There) -> None:
    """One ACK that says where things stand."""
    got = peer.gets("ACK")
    assert (got.data, got.ack) == (b"", there.seq)
    peer.gets_nothing()


@pytest.fixture(params=[False, True], ids=["v4", "v6"])
def both(peer: Peer, request: pytest.FixtureRequest) -> Peer:
    return peer.configure(ipv6=request.param)


# -- sequence numbers, RST, SYN -------------------------------------------------------------------


@pytest.mark.rfc("9293-EV-08")
@ANY_HEARING
@pytest.mark.parametrize("far", [-(1 << 30), 1 << 30])
def test_tcp_seq_outside(both: Peer, state: str, far: int):
    there = reach(both, state)
    for data in (b"", b"x"):
        with dropped(both.engine, tcp_seq_outside=1):
            both.sends(seq=there.seq + far, ack=there.nxt, data=data)
            if data or state != "SYN-RECEIVED":  # a half-open entry has no budget (SEC-13)
                answered(both, there)
            else:
                both.gets_nothing()


@pytest.mark.attack(19)
@pytest.mark.rfc("5961-03")
@ANY_HEARING
def test_tcp_rst_outside(both: Peer, state: str):
    """Attack 19."""
    there = reach(both, state)
    for seq in (there.seq - 1, there.seq + (1 << 24), there.seq - (1 << 30)):
        with dropped(both.engine, tcp_rst_outside=1):
            both.sends("RST", seq=seq)
            both.gets_nothing()


@pytest.mark.rfc("5961-02")
@ANY_HEARING
def test_tcp_rst_challenged(both: Peer, state: str):
    there = reach(both, state)
    if state in ("CLOSE-WAIT", "CLOSING", "LAST-ACK"):
        return  # no window after the peer's FIN but what was offered: the next test
    for off in (1, 1000):
        with dropped(both.engine, tcp_rst_challenged=1):
            both.sends("RST", seq=there.seq + off)
            answered(both, there)


@pytest.mark.attack(20)
@pytest.mark.rfc("5961-05")
@ANY_HEARING
def test_tcp_syn_challenged(both: Peer, state: str):
    """Attack 20."""
    there = reach(both, state)
    for flags in ("SYN", "SYN,ACK"):
        with dropped(both.engine, tcp_syn_challenged=1):
            both.sends(flags, seq=there.seq, ack=there.una)
            answered(both, there)
        both.snd_nxt = there.seq


@pytest.mark.rfc("9293-EV-10")
@ANY_HEARING
def test_tcp_no_ack_bit(both: Peer, state: str):
    there = reach(both, state)
    for flags in (".", "FIN", "PSH,URG", "FIN,PSH,URG"):
        with dropped(both.engine, tcp_no_ack_bit=1):
            both.sends(flags, seq=there.seq, data=b"x")
            both.gets_nothing()


@pytest.mark.attack(21, 22)
@pytest.mark.rfc("5961-06", "9293-EV-12")
@ANY_STATE
@pytest.mark.parametrize("off", [1, 1 << 20, 1 << 30, -(1 << 30)])
def test_tcp_ack_outside(both: Peer, state: str, off: int):
    """Attacks 21, 22."""
    there = reach(both, state)
    with dropped(both.engine, tcp_ack_outside=1):
        both.sends(seq=there.seq, ack=(there.nxt if off > 0 else there.una) + off, data=b"x")
        answered(both, there)


@pytest.mark.attack(22)
@pytest.mark.rfc("5961-09")
def test_tcp_ack_outside_before_the_first_byte(both: Peer):
    """Attack 22: nothing was sent yet, so nothing older can be acknowledged."""
    both.establish()
    with dropped(both.engine, tcp_ack_outside=1):
        both.sends(seq=1, ack=0, data=b"x")
        both.gets("ACK", ack=1)


# -- opening --------------------------------------------------------------------------------------


@pytest.mark.rfc("9293-EV-11")
@pytest.mark.parametrize("state", ["SYN-RECEIVED", "SYN-RECEIVED/active"])
@pytest.mark.parametrize("ack", [0, 2, 1 << 30, -(1 << 30)])
def test_tcp_bad_handshake_ack(both: Peer, state: str, ack: int):
    there = reach(both, state)
    with dropped(both.engine, tcp_bad_handshake_ack=1):
        both.sends(seq=there.seq, ack=ack)
        got = both.gets("RST")
    assert got.seq == ack


@pytest.mark.rfc("9293-EV-04", "SEC-14")
@pytest.mark.parametrize("ack", [0, 2, 1 << 30, -(1 << 30)])
@pytest.mark.parametrize("flags", ["ACK", "SYN,ACK", "FIN,ACK", "RST,ACK"])
def test_tcp_bad_handshake_ack_in_syn_sent(both: Peer, flags: str, ack: int):
    reach(both, "SYN-SENT")
    with dropped(both.engine, tcp_bad_handshake_ack=1):
        both.sends(flags, seq=0, ack=ack)
        if flags == "RST,ACK":
            both.gets_nothing()
        else:
            assert both.gets("RST").seq == ack


@pytest.mark.rfc("9293-EV-05", "5961-04")
def test_tcp_rst_no_ack(both: Peer):
    reach(both, "SYN-SENT")
    with dropped(both.engine, tcp_rst_no_ack=1):
        both.sends("RST", seq=0)
        both.gets_nothing()


def test_tcp_listen_not_syn_in_syn_sent(both: Peer):
    """A right ACK without SYN, or nothing at all: neither opens nor ends it."""
    reach(both, "SYN-SENT")
    with dropped(both.engine, tcp_listen_not_syn=3):
        both.sends(seq=0, ack=1)
        both.sends(".", seq=0, data=b"x")
        both.sends("FIN", seq=0)
        both.gets_nothing()


def test_tcp_syn_again(both: Peer):
    """The SYN again, since our answer was lost: answered again, the same."""
    reach(both, "SYN-RECEIVED")
    for _ in range(3):
        with dropped(both.engine, tcp_syn_again=1):
            both.sends("SYN", seq=0, mss=1460)
            both.gets("SYN,ACK", seq=0, ack=1)


# -- timestamps -----------------------------------------------------------------------------------


@pytest.mark.attack(31)
@pytest.mark.rfc("7323-15")
@pytest.mark.parametrize("passive", [False, True])
def test_tcp_paws(both: Peer, passive: bool):
    """Attack 31's other side: an old timestamp, whatever the numbers; RST is spared."""
    both.establish(passive=passive, timestamps=True)
    for age in (1, 1000, 1 << 30):
        with dropped(both.engine, tcp_paws=1):
            both.sends(seq=1, data=b"old", ts=((1000 - age) % 2**32, both.ts_recent))
            both.gets("ACK", ack=1)
        both.snd_nxt = 1


def test_tcp_paws_of_a_half_open_entry(both: Peer):
    both.app.listen()
    both.sends("SYN", seq=0, ts=(1000, 0), mss=1460)
    both.gets("SYN,ACK")
    with dropped(both.engine, tcp_paws=1):
        both.sends(seq=1, ack=1, ts=(999, both.ts_recent))
        both.gets_nothing()  # a half-open entry has no budget (SEC-13)
    with dropped(both.engine, tcp_paws=1):
        both.sends(seq=1, ack=1, data=b"x", ts=(999, both.ts_recent))
        both.gets("ACK", ack=1)


@pytest.mark.rfc("7323-12")
def test_tcp_no_timestamp(both: Peer):
    both.establish(timestamps=True)
    with dropped(both.engine, tcp_no_timestamp=2):
        both.sends(seq=1, data=b"x", ts=False)
        both.sends("FIN,ACK", seq=1, ts=False)
        both.gets_nothing()


def test_tcp_no_timestamp_at_a_half_open_entry(both: Peer):
    both.app.listen()
    both.sends("SYN", seq=0, ts=(1000, 0))
    both.gets("SYN,ACK")
    with dropped(both.engine, tcp_no_timestamp=3):
        both.sends(seq=1, ack=1, ts=False)
        both.sends("ACK", seq=1, ack=77, ts=False)
        both.sends("SYN", seq=5, ts=False)
        both.gets_nothing()


# -- data -----------------------------------------------------------------------------------------


@pytest.mark.rfc("9293-EV-21")
@pytest.mark.parametrize("state", ["CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_tcp_after_fin(both: Peer, state: str):
    """Text where there can be none: beyond the FIN's number, inside the window of before."""
    there = reach(both, state)
    with dropped(both.engine, tcp_after_fin=1):
        both.sends(seq=there.seq, ack=there.una, data=b"more")
        both.gets_all()


def test_tcp_after_fin_that_waits(both: Peer):
    """A FIN came before the bytes it follows; what lies beyond it is nobody's."""
    both.establish()
    both.sends("FIN,ACK", seq=11)
    both.gets("ACK", ack=1)
    with dropped(both.engine, tcp_after_fin=1):
        both.sends(seq=12, data=b"beyond")
        both.gets_all()


def test_tcp_window_overrun(both: Peer):
    """As much as was offered is taken, the rest cut off."""
    both.configure(rcv_buffer=4096, use_window_scale=False)
    both.establish(wscale=None)
    window = both.app.info.rcv_wnd
    before = both.engine.drops()
    both.sends_together(
        *(both.segment(seq=1 + at, data=bytes(1000)) for at in range(0, window + 1000, 1000))
    )
    assert both.app.info.rcv_readable == window
    found = both.engine.drops()
    assert found.get("tcp_window_overrun", 0) - before.get("tcp_window_overrun", 0) == 1


@pytest.mark.attack(14, 16)
@pytest.mark.rfc("SEC-10", "SEC-02")
def test_tcp_reasm_full(both: Peer):
    """Attacks 14, 16: 512 holes are kept; one run more is dropped and answered; a hole less, a
    run more."""
    both.establish()
    for n in range(512):
        both.sends(seq=3 + 2 * n, data=b"x")
        both.gets("ACK", ack=1)
    with dropped(both.engine, tcp_reasm_full=1):
        both.sends(seq=3 + 2 * 512, data=b"x")
        both.gets("ACK", ack=1)
    both.sends(seq=4, data=b"y")
    both.sends(seq=3 + 2 * 512, data=b"x")
    assert both.engine.drops() == {"tcp_reasm_full": 1}
    assert both.app.info.rcv_out_of_order == 514


@pytest.mark.rfc("SEC-17", "SEC-02")
def test_tcp_no_buffer(both: Peer):
    """No ring for the first byte: dropped and answered; taken when there is memory again."""
    both.configure(rcv_buffer=1 << 18, snd_buffer=4096, memory_limit=400_000)
    both.establish()
    other = both.another(41000)
    other.app.port = 81
    other.establish()
    both.sends(data=b"first")
    other.sends()
    with dropped(both.engine, tcp_no_buffer=1):
        other.sends(seq=1, data=b"x")
        other.gets("ACK", ack=1)
    assert both.app.receive() == b"first"
    other.sends(seq=1, data=b"x")
    assert other.app.receive() == b"x"


@pytest.mark.rfc("9293-EV-20")
@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-2"])
def test_tcp_after_close(both: Peer, state: str):
    """Nobody will read it: RST, and the connection is gone."""
    there = reach(both, "ESTABLISHED")
    both.app.close()
    both.gets("FIN,ACK", seq=11)
    if state == "FIN-WAIT-2":
        both.sends(seq=there.seq, ack=12)
    before = both.engine.drops()
    both.sends(seq=there.seq, ack=12, data=b"x")
    assert "RST" in both.gets().flags
    both.gets_nothing()
    assert both.engine.drops() == before | {"tcp_after_close": 1}
    assert both.app.state == "CLOSED"


# -- limits and TIME-WAIT -------------------------------------------------------------------------


@pytest.mark.attack(18)
@pytest.mark.rfc("5961-07", "5961-08", "SEC-13")
def test_tcp_challenge_limited(both: Peer):
    """Attack 18: per connection and second, the number of challenges varies."""
    budgets = set()
    both.configure(challenge_ack_limit=10)
    there = reach(both, "ESTABLISHED")
    for _ in range(12):
        before = both.engine.drops().get("tcp_challenge_limited", 0)
        for _ in range(50):
            both.sends("RST", seq=there.seq + 5)
        answers = len(both.gets_all())
        limited = both.engine.drops()["tcp_challenge_limited"] - before
        assert answers + limited == 50
        budgets.add(answers)
        both.advance(1.1)
    assert all(5 <= n <= 15 for n in budgets)
    assert len(budgets) > 2


@pytest.mark.attack(44)
@pytest.mark.rfc("SEC-13")
def test_tcp_ack_limited(both: Peer):
    """Attack 44."""
    there = reach(both, "ESTABLISHED")
    for _ in range(100):
        both.sends(seq=there.seq - 1, ack=there.nxt)
    answers = len(both.gets_all())
    drops = both.engine.drops()
    assert drops["tcp_seq_outside"] == 100
    assert answers + drops["tcp_ack_limited"] == 100
    assert answers <= 15


@pytest.mark.attack(29)
@pytest.mark.rfc("1337-01", "1337-02", "9293-EV-15")
def test_tcp_time_wait(both: Peer):
    """Attack 29: RST is ignored, strays are answered, bare ACKs are not."""
    there = reach(both, "TIME-WAIT")
    for flags, seq, answers in (
        ("RST", there.seq, 0), ("RST,ACK", there.seq + 3, 0), ("ACK", there.seq, 0),
        ("SYN", there.seq - 100, 1), ("SYN,ACK", there.seq + 5, 1), ("ACK", there.seq - 50, 0),
        ("PSH,ACK", there.seq, 1),
    ):  # fmt: skip
        with dropped(both.engine, tcp_time_wait=1):
            both.sends(flags, seq=seq, ack=there.nxt, data=b"x" if "PSH" in flags else b"")
            got = both.gets_all()
        assert [set(one.flags) for one in got] == [{"ACK"}] * answers
    both.advance(2 * MSL)
    assert both.app.state == "CLOSED"
