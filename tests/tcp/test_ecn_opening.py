"""How ECN is negotiated: RFC 3168 6.1.1."""

import pytest

from tcp.ecn import CE, ECT_0, ECT_1, NOT_ECT, OFFER, SETUP
from usertcp.testing import Peer

CHOICES = {"off": 0, "ask": 1, "accept": 2}


@pytest.mark.rfc("3168-01", "3168-02", "3168-04", "9293-SHLD-8")
@pytest.mark.parametrize(
    ("use", "asked", "answer"),
    [
        ("off", "SYN", None), ("ask", SETUP, None), ("accept", "SYN", None),
        ("off", None, "SYN,ACK"), ("ask", None, "SYN,ECE,ACK"), ("accept", None, "SYN,ECE,ACK"),
    ],
)  # fmt: skip
def test_who_asks_and_who_agrees(peer: Peer, use: str, asked: str | None, answer: str | None):
    peer.configure(ecn=CHOICES[use])
    if asked:
        peer.app.connect()
        assert peer.gets(asked).ecn == NOT_ECT
        return
    peer.app.listen()
    peer.sends(SETUP, seq=0, **OFFER)
    assert peer.gets(answer).ecn == NOT_ECT
    peer.sends("ACK")
    assert peer.app.accept().info.ecn_ok == (2 if "ECE" in (answer or "") else 0)


def test_by_default_it_is_agreed_to_but_not_asked_for(peer: Peer):
    peer.app.listen()
    peer.sends(SETUP, seq=0, **OFFER)
    peer.gets("SYN,ECE,ACK")
    other = peer.another(40002)
    other.app.connect()
    other.gets("SYN")


@pytest.mark.rfc("3168-01", "3168-03")
@pytest.mark.parametrize("flags", ["SYN", "SYN,ECE", "SYN,CWR"])
def test_other_syns_are_answered_without_ece(peer: Peer, flags: str):
    peer.configure(ecn=1).app.listen()
    peer.sends(flags, seq=0, **OFFER)
    peer.gets("SYN,ACK")
    peer.sends("ACK")
    assert peer.app.accept().info.ecn_ok == 0


@pytest.mark.rfc("9768-06")
def test_a_syn_that_asks_for_accurate_ecn_gets_this_one(peer: Peer):
    """RFC 9768 3.1.2: AE, CWR and ECE; an answer with ECE alone means what RFC 3168 says."""
    peer.app.listen()
    peer.sends(SETUP, seq=0, reserved=1, **OFFER)
    assert peer.gets("SYN,ECE,ACK").segment.reserved == 0
    peer.sends("ACK")
    assert peer.app.accept().info.ecn_ok == 2


@pytest.mark.rfc("3168-03")
@pytest.mark.parametrize("flags", ["SYN,ACK", "SYN,CWR,ACK", "SYN,ECE,CWR,ACK"])
def test_a_synack_that_reflects_or_refuses_means_no(peer: Peer, flags: str):
    """6.1.1.2: both flags are but an echo of ours."""
    peer.configure(ecn=1).app.connect()
    peer.gets(SETUP)
    peer.sends(flags, seq=0, **OFFER)
    peer.gets("ACK")
    assert peer.app.info.ecn_ok == 0
    peer.app.send(b"x")
    assert peer.gets(data=b"x").ecn == NOT_ECT
    peer.sends("ECE,ACK", ack=2)
    peer.sends(data=b"y", tos=CE)
    peer.gets("ACK", ack=2, within=0.5)
    info = peer.app.info
    assert (info.ce_in, info.ece_in, info.ecn_reductions) == (0, 0, 0)


@pytest.mark.rfc("3168-02")
@pytest.mark.parametrize("field", [ECT_1, ECT_0, CE])
def test_a_syn_with_a_codepoint_is_not_agreed_to(peer: Peer, field: int):
    """On that way the field does not mean what RFC 3168 says."""
    peer.app.listen()
    peer.sends(SETUP, seq=0, tos=field, **OFFER)
    peer.gets("SYN,ACK")


def test_a_syn_sent_again_does_not_ask(peer: Peer):
    """6.1.1.1: a box on the way may drop those that do. What the answer says, none may be marked;
    but marks are answered, for the first SYN promised that."""
    peer.configure(ecn=1).app.connect()
    first = peer.gets(SETUP)
    again = peer.gets("SYN", within=1.1)
    assert again.segment.seq == first.segment.seq
    peer.sends("SYN,ECE,ACK", seq=0, **OFFER)
    peer.gets("ACK")
    assert peer.app.info.ecn_ok == 1
    peer.app.send(b"x")
    assert peer.gets(data=b"x").ecn == NOT_ECT
    peer.sends(data=b"y", ack=2, tos=CE)
    peer.gets("ECE,ACK", ack=2)
    peer.app.connection.set_option("ecn", 1)
    peer.app.send(b"z")
    assert peer.gets(data=b"z").ecn == NOT_ECT


def test_a_peer_that_falls_back_is_followed(peer: Peer):
    """The example of 6.1.1.1: its first SYN asked, the answer was lost, its second does not."""
    peer.app.listen()
    peer.sends(SETUP, seq=0, **OFFER)
    peer.gets("SYN,ECE,ACK")
    peer.sends("SYN", seq=0, **OFFER)
    peer.gets("SYN,ACK")
    peer.sends(SETUP, seq=0, **OFFER)
    peer.gets("SYN,ACK")
    peer.sends("ACK", seq=1)
    assert peer.app.accept().info.ecn_ok == 0


@pytest.mark.parametrize("answer", ["SYN,ECE,ACK", "SYN,ACK"])
def test_simultaneous_open(peer: Peer, answer: str):
    peer.configure(ecn=1).app.connect()
    peer.gets(SETUP)
    peer.sends(SETUP, seq=0, **OFFER)
    peer.gets("SYN,ECE,ACK", ack=1)
    peer.sends(answer, seq=0, ack=1, **OFFER)
    assert peer.app.state == "ESTABLISHED"
    assert peer.app.info.ecn_ok == (2 if "ECE" in answer else 0)


@pytest.mark.attack(27)
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("timestamps", [True, False])
def test_a_cookie_remembers_it_in_the_timestamp(peer: Peer, asks: bool, timestamps: bool):
    peer.configure(syn_cookies=2, ecn=2)
    peer.app.listen()
    peer.use_ts = timestamps
    peer.sends(SETUP if asks else "SYN", seq=0, ts=(1000, 0) if timestamps else False, **OFFER)
    kept = asks and timestamps
    peer.gets("SYN,ECE,ACK" if kept else "SYN,ACK")
    peer.sends("ACK")
    info = peer.app.accept().info
    assert info.ecn_ok == (2 if kept else 0)
    assert info.sack_ok == timestamps
    assert info.snd_wscale == (7 if timestamps else 0)


def test_a_listener_may_refuse(peer: Peer):
    listener = peer.app.listen()
    listener.set_option("ecn", 0)
    peer.sends(SETUP, seq=0, **OFFER)
    peer.gets("SYN,ACK")
    listener.set_option("ecn", 1)
    other = peer.another(40002)
    other.sends(SETUP, seq=0, **OFFER)
    other.gets("SYN,ECE,ACK")
