"""Accurate ECN where SYNs or SYN,ACKs differ, cross, or are cookies: RFC 9768 3.1.4, 3.1.5, 5.1."""

import pytest

from tcp.accecn import (
    ACCURATE,
    ASKS,
    CE,
    CLASSIC,
    CODES,
    ECT_0,
    ECT_1,
    FIELDS,
    NEITHER,
    NOT_ECT,
    OFFER,
    SETUP,
    ack,
    asked,
    field,
    flags,
    mode,
    new_data,
)
from usertcp.testing import Peer

# -- SYNs and SYN,ACKs of several kinds -----------------------------------------------------------


@pytest.mark.rfc("9768-09", "9768-12")
@pytest.mark.parametrize("code", [CODES[NOT_ECT], 1, 0])
def test_the_second_syn_asks_and_the_third_does_not(peer: Peer, code: int):
    """3.1.5: a client that hears of agreement may send ECN-capable data; RFC 3168's may not."""
    peer.configure(ecn=3).app.connect()
    sent = [peer.gets(ASKS), peer.gets(ASKS, within=1.1), peer.gets("SYN", within=2.1)]
    assert {got.segment.seq for got in sent} == {sent[0].segment.seq}
    peer.sends(flags(code, "SYN", "ACK"), seq=0, **OFFER)
    peer.gets(seq=1)
    assert mode(peer) == {1: CLASSIC, 0: NEITHER}.get(code, ACCURATE)
    assert new_data(peer) == (ECT_0 if code == CODES[NOT_ECT] else NOT_ECT)


@pytest.mark.rfc("9768-10", "9768-12")
def test_a_second_syn_without_flags_bars_ect(peer: Peer):
    asked(peer).gets(ack=1)
    peer.sends("SYN", seq=0, tos=ECT_1, **OFFER)
    assert field(peer.gets(ack=1)) == CODES[ECT_1]  # it still agrees
    peer.sends(flags(CODES[NOT_ECT], "ACK"), seq=1)
    peer.app.accept()
    assert (mode(peer), new_data(peer)) == (ACCURATE, NOT_ECT)
    peer.sends(ack(0), ack=2, data=b"y", tos=CE)
    assert field(peer.gets(ack=2)) == 6


@pytest.mark.rfc("9768-10", "9768-02")
def test_the_latest_syn_is_told_of(peer: Peer):
    asked(peer, tos=CE).gets(ack=1)
    for tos in FIELDS:
        peer.sends(ASKS, seq=0, tos=tos, **OFFER)
        assert field(peer.gets(ack=1)) == CODES[tos]


@pytest.mark.rfc("9768-10")
@pytest.mark.parametrize("second", [SETUP, ASKS])
def test_who_did_not_ask_first_gets_nothing_later(peer: Peer, second: str):
    asked(peer, 0).gets("SYN,ACK")
    peer.sends(second, seq=0, **OFFER)
    peer.gets("SYN,ACK")
    peer.sends("ACK", seq=1)
    peer.app.accept()
    assert mode(peer) == NEITHER


@pytest.mark.rfc("9768-10", "9768-12")
def test_a_classic_peer_that_falls_back(peer: Peer):
    """With RFC 9768 the mode stays; without ECT it does no harm."""
    asked(peer, 3).gets("SYN,ECE,ACK")
    peer.sends("SYN", seq=0, **OFFER)
    peer.gets("SYN,ECE,ACK")
    peer.sends("ACK", seq=1)
    peer.app.accept()
    assert (mode(peer), new_data(peer)) == (CLASSIC, NOT_ECT)


@pytest.mark.rfc("9768-11")
@pytest.mark.parametrize(("first", "second"), [(SETUP, ASKS), (ASKS, SETUP)])
def test_two_modes_in_one_handshake_reset_it(peer: Peer, first: str, second: str):
    peer.configure(ecn=5).app.listen()
    peer.sends(first, seq=0, **OFFER)
    peer.gets(ack=1)
    peer.sends(second, seq=0, **OFFER)
    peer.gets("RST,ACK", ack=1)
    assert peer.engine.drops()["tcp_ecn_mixed"] == 1
    peer.sends("ACK", seq=1, ack=1)  # there is nothing left to complete
    peer.gets("RST")
    assert peer.app.listener.accept() is None


@pytest.mark.rfc("9768-26", "9768-12")
def test_a_synack_sent_for_the_third_time_has_no_flags(peer: Peer):
    """3.2.3.2.2: and the server stays in its mode, without ECT."""
    asked(peer)
    sent = [peer.gets(ack=1), peer.gets(ack=1, within=1.1), peer.gets(ack=1, within=2.1)]
    assert [field(got) for got in sent] == [CODES[NOT_ECT], CODES[NOT_ECT], 0]
    peer.sends(ack(0))
    peer.app.accept()
    assert (mode(peer), new_data(peer)) == (ACCURATE, NOT_ECT)


# -- simultaneous open ----------------------------------------------------------------------------


@pytest.mark.rfc("9768-07")
@pytest.mark.parametrize("tos", FIELDS)
@pytest.mark.parametrize("code", [0, 3, 7])
def test_simultaneous_open(peer: Peer, code: int, tos: int):
    """Who is asked while it asks does as who is asked."""
    peer.configure(ecn=3).app.connect()
    peer.gets(ASKS)
    peer.sends(flags(code, "SYN"), seq=0, tos=tos, **OFFER)
    assert field(peer.gets(ack=1)) == {0: 0, 3: 1}.get(code, CODES[tos])
    peer.sends(flags({0: 0, 3: 1}.get(code, CODES[NOT_ECT]), "SYN", "ACK"), seq=0, ack=1, **OFFER)
    assert peer.app.state == "ESTABLISHED"
    assert mode(peer) == {0: NEITHER, 3: CLASSIC}.get(code, ACCURATE)
    if code == 7:
        peer.sends(flags(CODES[NOT_ECT], "ACK"), ack=1)
        assert peer.app.info.ece_in == 0
    assert new_data(peer) == (ECT_0 if code else NOT_ECT)


@pytest.mark.rfc("9768-11")
@pytest.mark.parametrize(("syn", "synack"), [(7, 1), (3, 2)])
def test_two_modes_in_a_simultaneous_open(peer: Peer, syn: int, synack: int):
    peer.configure(ecn=3).app.connect()
    peer.gets(ASKS)
    peer.sends(flags(syn, "SYN"), seq=0, **OFFER)
    peer.gets(ack=1)
    peer.sends(flags(synack, "SYN", "ACK"), seq=0, ack=1, **OFFER)
    peer.gets("RST", seq=1)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9768-12", "9768-07")
def test_a_simultaneous_open_without_flags_on_the_synack(peer: Peer):
    peer.configure(ecn=3).app.connect()
    peer.gets(ASKS)
    peer.sends(ASKS, seq=0, **OFFER)
    peer.gets(ack=1)
    peer.sends("SYN,ACK", seq=0, ack=1, **OFFER)
    assert (mode(peer), new_data(peer)) == (ACCURATE, NOT_ECT)


# -- cookies, listeners, the end ------------------------------------------------------------------


@pytest.mark.rfc("9768-17")
@pytest.mark.attack(27)
@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize(
    ("asks", "answer", "expected"),
    [
        (7, 2, ACCURATE), (7, 3, ACCURATE), (7, 4, ACCURATE), (7, 5, ACCURATE), (7, 6, ACCURATE),
        (7, 7, ACCURATE), (7, 0, NEITHER), (7, 1, NEITHER), (3, 0, CLASSIC), (0, 0, NEITHER),
    ],
)  # fmt: skip
def test_a_cookie(peer: Peer, asks: int, answer: int, expected: str, timestamps: bool):
    """5.1: the ACK itself tells that it was agreed; RFC 3168's is kept in the timestamp."""
    peer.configure(ecn=5, syn_cookies=2).app.listen()
    ts = (1000, 0) if timestamps else False
    peer.sends(flags(asks, "SYN"), seq=0, ts=ts, **OFFER)
    peer.gets(ack=1)
    peer.sends(flags(answer, "ACK"))
    peer.app.accept()
    if expected == CLASSIC and not timestamps:
        expected = NEITHER
    assert mode(peer) == expected


def test_a_listener_may_refuse(peer: Peer):
    listener = peer.configure(ecn=5).app.listen()
    listener.set_option("ecn", 0)
    peer.sends(ASKS, seq=0, **OFFER)
    peer.gets("SYN,ACK")


@pytest.mark.rfc("9768-15")
def test_acks_of_half_open_and_time_wait_records(peer: Peer):
    """What stands for a connection before and after it has the counter too."""
    asked(peer).gets(ack=1)
    peer.sends(flags(CODES[NOT_ECT], "ACK"), seq=1 << 20, data=b"x")
    assert field(peer.gets(seq=1, ack=1)) == 5
    peer.sends(flags(CODES[NOT_ECT], "ACK"), seq=1)
    connection = peer.app.accept()
    peer.sends(ack(0), seq=1, data=b"x", tos=CE)
    assert field(peer.gets(ack=2)) == 6
    assert connection.receive() == b"x"
    connection.shutdown()
    peer.gets("FIN,ACK,AE,CWR")
    peer.sends(ack(0), seq=2, ack=2)
    fin = flags(5, "FIN", "ACK")
    peer.sends(fin, seq=2, ack=2)
    assert field(peer.gets(ack=3)) == 6
    connection.close()
    peer.sends(fin, ack=2, seq=2, tos=CE)
    assert field(peer.gets(ack=3)) == 6
