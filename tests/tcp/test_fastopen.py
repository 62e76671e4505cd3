"""TCP Fast Open, the server: RFC 7413 4.2."""

from ipaddress import ip_address

import pytest

from tcp.fastopen import OFFER, cookie_of, opened, served
from usertcp.testing import EngineError, EngineHarness, Peer
from usertcp.testing.packets import SYN, Options, Packet, Segment

RTO = 1.0


@pytest.mark.rfc("7413-06")
def test_data_of_the_syn_is_there_before_the_handshake_ends(peer: Peer):
    """RFC 7413 figure in 3: the reply leaves a round trip earlier."""
    cookie = served(peer)
    opened(peer, cookie)
    peer.app.accept()
    assert peer.app.info.state.name == "SYN_RECEIVED"
    assert peer.app.receive() == b"hello"
    peer.app.send(b"world")
    peer.gets("PSH,ACK", seq=1, ack=6, data=b"world")
    peer.sends("ACK", ack=6)
    assert peer.app.info.state.name == "ESTABLISHED"
    assert peer.app.info.syn_data
    assert peer.app.info.bytes_acked == 5
    peer.sends(data=b"more")
    assert peer.app.receive() == b"more"


@pytest.mark.parametrize(
    "offer", [{}, {"sack_permitted": False, "wscale": None}, {"ts": (5, 0)}], ids=str
)
def test_the_answer_has_the_options_of_any(peer: Peer, offer: dict):
    cookie = served(peer)
    agreed = OFFER | offer
    peer.sends("SYN", seq=0, cookie=cookie, data=b"x", **agreed)
    got = peer.gets("SYN,ACK", ack=2, mss=1460).segment.options
    assert got.sack_permitted == agreed["sack_permitted"]
    assert (got.wscale is not None) == (agreed["wscale"] is not None)
    assert (got.timestamps is not None) == ("ts" in agreed)
    assert got.cookie is None


@pytest.mark.rfc("7413-01")
@pytest.mark.parametrize("limit", [0, 1])
def test_off_unless_the_application_asks_for_it(peer: Peer, limit: int):
    peer.app.listen(fast_open=limit)
    peer.sends("SYN", seq=0, cookie=b"", **OFFER)
    cookie = peer.gets("SYN,ACK", ack=1).segment.options.cookie
    assert (cookie is not None) == bool(limit)


@pytest.mark.rfc("7413-02")
@pytest.mark.parametrize("size", range(19))
def test_cookies_of_other_lengths_are_ignored(peer: Peer, size: int):
    """RFC 7413 4.1.1 (MUST): even, 4 to 16; none asks for one."""
    peer.app.listen(fast_open=4)
    option = bytes([34, 2 + size, *bytes(size)])
    peer.sends("SYN", seq=0, data=b"x", mss=1460, options=option)
    got = peer.gets("SYN,ACK", ack=1).segment.options
    valid = size == 0 or (size % 2 == 0 and 4 <= size <= 16)
    assert (got.cookie is not None) == valid


@pytest.mark.rfc("7413-02")
def test_without_syn_it_is_ignored(peer: Peer):
    cookie = served(peer)
    peer.sends("SYN", seq=0, **OFFER)
    peer.gets("SYN,ACK")
    peer.sends(data=b"x", cookie=cookie)
    peer.app.accept()
    assert peer.app.receive() == b"x"


@pytest.mark.rfc("7413-09", "7413-03")
@pytest.mark.parametrize("forged", [bytes(8), bytes(4), bytes(16), b"\xff" * 8])
def test_a_forged_cookie_is_answered_by_a_good_one(peer: Peer, forged: bytes):
    """RFC 7413 4.2.2, step 3: the SYN alone is acknowledged."""
    cookie = served(peer)
    peer.sends("SYN", seq=0, cookie=forged, data=b"hello", **OFFER)
    peer.gets("SYN,ACK", ack=1, cookie=cookie)
    peer.sends("ACK", seq=1)
    peer.app.accept()
    assert peer.app.receive() == b""
    peer.sends(seq=1, data=b"hello")
    assert peer.app.receive() == b"hello"
    assert not peer.app.info.syn_data
    assert peer.engine.counters()["fast_open_cookie_bad"] == 1


@pytest.mark.rfc("7413-03")
def test_cookies_are_of_an_address_and_a_key(peer: Peer):
    """Two clients have two; a new key makes another, and the one before it is still good."""
    cookie = served(peer)
    raw = peer.engine.raw
    raw.set_fast_open_key(b"k" * 16, peer.engine.now)
    assert cookie_of(peer) != cookie
    again = peer.another(50001)
    again.sends("SYN", seq=0, cookie=cookie, data=b"hello", **OFFER)
    fresh = again.gets("SYN,ACK", ack=6).segment.options.cookie
    assert fresh == cookie_of(peer), "a better one comes with the answer"
    raw.set_fast_open_key(b"l" * 16, peer.engine.now)
    late = peer.another(50002)
    late.sends("SYN", seq=0, cookie=cookie, data=b"hello", **OFFER)
    late.gets("SYN,ACK", ack=1)


def test_the_same_key_again_changes_nothing(peer: Peer):
    """Who says it on every round does not lose the one before."""
    cookie = served(peer)
    for _ in range(2):
        peer.engine.raw.set_fast_open_key(b"k" * 16, peer.engine.now)
    opened(peer.another(50001), cookie, b"old but good")


@pytest.mark.rfc("7413-03")
def test_a_random_key_changes_daily(peer: Peer):
    first = served(peer)
    peer.advance(25 * 3600)
    second = cookie_of(peer)
    assert second != first
    opened(peer.another(50001), first, b"old but good")
    peer.advance(25 * 3600)
    assert cookie_of(peer) != second
    late = peer.another(50002)
    late.sends("SYN", seq=0, cookie=first, data=b"too old", **OFFER)
    late.gets("SYN,ACK", ack=1)


def test_cookies_are_those_that_linux_makes():
    """Measured: net.ipv4.tcp_fastopen_key of a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4."""
    engine = EngineHarness("192.168.0.1/24", gateway="192.168.0.2")
    key = b"".join(bytes([b]) * 4 for b in (0xA1, 0xB2, 0xC3, 0xD4))
    engine.raw.set_fast_open_key(key, engine.now)
    engine.listen(80).set_option("fast_open", 1)
    syn = Segment(sport=5000, dport=80, flags=SYN, options=Options(mss=1460, cookie=b""))
    engine.inject(
        Packet(src=ip_address("192.0.2.1"), dst=ip_address("192.168.0.1"), body=syn).encode()
    )
    (synack,) = engine.take()
    assert synack.packet.segment.options.cookie == bytes.fromhex("3021b9d889017eeb")


@pytest.mark.rfc("7413-08")
def test_the_answer_again_has_neither_cookie_nor_data(peer: Peer):
    """RFC 7413 4.2.2 (SHOULD), for the case that these do not get through."""
    peer.app.listen(fast_open=4)
    peer.sends("SYN", seq=0, cookie=b"", **OFFER)
    cookie = peer.gets("SYN,ACK", ack=1).segment.options.cookie
    assert peer.gets("SYN,ACK", ack=1, within=RTO).segment.options.cookie is None
    other = peer.another(50001)
    opened(other, cookie)
    other.app.listener = peer.app.listener
    other.app.accept()
    other.app.send(b"reply")
    other.gets("PSH,ACK", data=b"reply")
    got = other.gets("SYN,ACK", seq=0, ack=6, len=0, within=RTO)
    assert got.segment.options.cookie is None


def test_the_syn_again_is_answered_again(peer: Peer):
    """Our SYN,ACK was lost: with its data, and as fallback without."""
    cookie = served(peer)
    opened(peer, cookie)
    peer.sends("SYN", seq=0, cookie=cookie, data=b"hello", **OFFER)
    peer.gets("SYN,ACK", seq=0, ack=6)
    peer.sends("SYN", seq=0, **OFFER)
    peer.gets("SYN,ACK", seq=0, ack=6)
    assert peer.engine.drops() == {"tcp_syn_again": 2}
    peer.sends("ACK", seq=6, ack=1)
    peer.app.accept()
    assert peer.app.receive() == b"hello"
    peer.sends(seq=6, data=b"!")
    assert peer.app.receive() == b"!"


def test_a_reply_that_was_lost_with_the_answer(peer: Peer):
    cookie = served(peer)
    opened(peer, cookie)
    peer.app.accept()
    peer.app.send(b"reply")
    peer.gets("PSH,ACK", seq=1, data=b"reply")
    peer.gets("SYN,ACK", seq=0, ack=6, within=RTO)
    peer.sends("ACK", seq=6, ack=1)
    assert peer.app.info.state.name == "ESTABLISHED"
    assert peer.app.info.dup_acks_in == 0
    peer.gets("PSH,ACK", seq=1, data=b"reply", within=4 * RTO)
    peer.sends("ACK", ack=6)
    assert peer.app.info.bytes_acked == 5


def test_more_than_a_window_goes_early(peer: Peer):
    """RFC 7413 4.2.2, step 6 (MUST): the initial window of RFC 5681, no more."""
    cookie = served(peer)
    peer.sends("SYN", seq=0, cookie=cookie, data=b"GET", window=65535, **OFFER)
    peer.gets("SYN,ACK", ack=4)
    peer.app.accept()
    peer.app.send(bytes(100_000))
    early = peer.gets_all()
    assert sum(len(got.data) for got in early) == 10 * 1460
    peer.sends("ACK", seq=4, ack=1 + 2 * 1460, window=1 << 20)
    assert peer.app.info.state.name == "ESTABLISHED"
    assert peer.gets_all()


def test_a_peer_that_does_not_answer_is_given_up(peer: Peer):
    cookie = served(peer, synack_retries=2)
    opened(peer, cookie)
    connection = peer.app.accept()
    assert connection.receive() == b"hello"
    peer.advance(20)
    assert connection.error == "TIMED_OUT"
    assert peer.app.listener.info.fast_open_pending == 0


@pytest.mark.parametrize("accepted", [False, True])
def test_reset_in_syn_received(peer: Peer, accepted: bool):
    """RFC 9293 MUST-11: whoever has it already is told; what came with the SYN can be read."""
    cookie = served(peer)
    opened(peer, cookie)
    if accepted:
        peer.app.accept()
    peer.sends("RST", seq=6)
    if not accepted:
        peer.app.accept()
    assert peer.app.receive() == b"hello"
    assert peer.app.outcome() == "RESET"
    assert peer.app.listener.info.fast_open_pending == 0
    assert peer.engine.counters()["fast_open_reset"] == 1


def test_close_waits_for_the_handshake(peer: Peer):
    cookie = served(peer)
    opened(peer, cookie)
    connection = peer.app.accept()
    connection.receive()
    connection.send(b"bye")
    connection.close()
    peer.gets("PSH,ACK", data=b"bye")
    peer.gets_nothing(0.1)
    peer.sends("ACK", seq=6, ack=4)
    peer.gets("FIN,ACK", seq=4, ack=6)


def test_close_with_unread_data_resets(peer: Peer):
    """RFC 9293 SHLD-3."""
    cookie = served(peer)
    opened(peer, cookie)
    peer.app.accept().close()
    peer.gets("RST,ACK", seq=1, ack=6)


def test_the_listener_goes_first(peer: Peer):
    cookie = served(peer)
    opened(peer, cookie)
    connection = peer.app.accept()
    other = peer.another(50009)
    opened(other, cookie)
    peer.app.listener.close()
    other.gets("RST,ACK")
    peer.sends("ACK", seq=6, ack=1)
    assert connection.info.state.name == "ESTABLISHED"


def test_data_beyond_the_window_is_left(peer: Peer):
    """A ring of 4096 offers 2048 with the first answer."""
    cookie = served(peer, rcv_buffer=4096, mtu=9000)
    peer.sends("SYN", seq=0, cookie=cookie, data=bytes(5000), **OFFER)
    peer.gets("SYN,ACK", ack=1 + 2048)
    peer.app.accept()
    assert len(peer.app.receive()) == 2048


def test_nothing_in_the_syn(peer: Peer):
    """A cookie alone opens too: the server may speak first."""
    cookie = served(peer)
    peer.sends("SYN", seq=0, cookie=cookie, **OFFER)
    peer.gets("SYN,ACK", ack=1)
    peer.app.accept().send(b"220 ready")
    peer.gets("PSH,ACK", seq=1, data=b"220 ready")
    assert not peer.app.info.syn_data


def test_data_in_a_syn_without_the_option(peer: Peer):
    """As ever: RFC 9293 3.10.7.2 lets it be dropped."""
    served(peer)
    peer.sends("SYN", seq=0, data=b"hello", **OFFER)
    peer.gets("SYN,ACK", ack=1)


def test_reuse_of_a_name_in_time_wait(peer: Peer):
    """RFC 9293 3.6.1 (MAY-2): the new ISN lies beyond the old numbers."""
    cookie = served(peer)
    opened(peer, cookie)
    connection = peer.app.accept()
    connection.receive()
    peer.sends("ACK", seq=6, ack=1)
    connection.close()
    peer.gets("FIN,ACK", seq=1)
    peer.sends("FIN,ACK", seq=6, ack=2)
    peer.gets("ACK", ack=7)
    end = peer.irs + 2
    assert peer.engine.state_of(peer.port) == "TIME-WAIT"
    peer.iss += 100_000
    peer.irs = None
    peer.sends("SYN", seq=0, cookie=cookie, data=b"again", **OFFER)
    got = peer.gets("SYN,ACK", ack=6)
    assert 0 < (got.segment.seq - end) % 2**32 < 2**31
    assert peer.app.accept().receive() == b"again"


def test_in_the_listeners_snapshot(peer: Peer):
    cookie = served(peer, limit=7)
    assert peer.app.listener.get_option("fast_open") == 7
    opened(peer, cookie)
    info = peer.app.listener.info
    assert (info.fast_open, info.fast_open_pending, info.accept_queue) == (7, 1, 1)
    for value in (-1, 1 << 31):
        with pytest.raises(EngineError, match="INVALID"):
            peer.app.listener.set_option("fast_open", value)


@pytest.mark.parametrize("again", ["SYN,ECE,CWR", "SYN"])
def test_ecn_is_agreed_to_as_ever(peer: Peer, again: str):
    """RFC 3168 6.1.1: a SYN that does not ask any more is believed."""
    cookie = served(peer)
    peer.sends("SYN,ECE,CWR", seq=0, cookie=cookie, data=b"hello", **OFFER)
    peer.gets("SYN,ECE,ACK", ack=6)
    peer.app.accept().send(b"early")
    assert peer.gets("PSH,ACK").ecn == 2
    peer.sends(again, seq=0, **OFFER)
    peer.gets("SYN,ECE,ACK" if again != "SYN" else "SYN,ACK", ack=6)
    assert peer.app.info.ecn_ok == (2 if again != "SYN" else 0)
