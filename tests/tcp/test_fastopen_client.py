"""TCP Fast Open, the client: RFC 7413 4.2."""

import pytest

from tcp.ecn import ECT_0, NOT_ECT
from tcp.fastopen import COOKIE, OFFER, introduced
from usertcp import _events
from usertcp.testing import Peer
from usertcp.testing.packets import Icmp

RTO = 1.0


def connected(peer: Peer, **config: object) -> Peer:
    """A connection to a server whose cookie is known; its SYN waits."""
    peer = introduced(peer, **config)
    peer.app.connect(fast_open=True)
    peer.gets_nothing()
    return peer


def sent(peer: Peer, data: bytes = b"hello", **config: object) -> Peer:
    """The SYN has left with `data`."""
    peer = connected(peer, **config)
    peer.app.send(data)
    peer.gets("SYN", seq=0, data=data, cookie=COOKIE)
    return peer


@pytest.mark.rfc("7413-04", "7413-06")
def test_the_second_connection_carries_data(peer: Peer):
    """RFC 7413 figure in 3. The user is connected at once, and its data goes with the SYN."""
    peer = connected(peer)
    assert peer.app.connection.events & _events.CONNECTED
    peer.gets_nothing(0.1)
    peer.app.send(b"hello")
    peer.gets("SYN", seq=0, data=b"hello", cookie=COOKIE)
    peer.app.send(b" world")
    peer.gets_nothing(0.1)
    peer.sends("SYN,ACK", seq=0, ack=6, **OFFER)
    peer.gets("PSH,ACK", seq=6, ack=1, data=b" world")
    assert peer.app.info.state.name == "ESTABLISHED"
    assert peer.app.info.syn_data
    assert peer.app.info.bytes_acked == 5
    assert peer.engine.counters()["fast_open_data_acked"] == 1


@pytest.mark.rfc("7413-01")
def test_not_unless_asked(peer: Peer):
    peer = introduced(peer)
    peer.app.connect()
    assert peer.gets("SYN", len=0).segment.options.cookie is None


@pytest.mark.rfc("7413-10")
@pytest.mark.parametrize("taken", [0, 1, 4])
def test_what_was_not_taken_goes_with_the_ack(peer: Peer, taken: int):
    """RFC 7413 4.2.2 (SHOULD): in the first ACK."""
    peer = sent(peer)
    peer.sends("SYN,ACK", seq=0, ack=1 + taken, cookie=bytes(8), **OFFER)
    peer.gets("PSH,ACK", seq=1 + taken, ack=1, data=b"hello"[taken:])
    peer.sends("ACK", ack=6)
    info = peer.app.info
    assert info.bytes_acked == 5
    assert (info.retransmits, info.bytes_retransmitted) == (1, 5 - taken)
    assert info.syn_data == bool(taken)


@pytest.mark.rfc("3168-11")
@pytest.mark.parametrize("taken", [0, 4])
def test_what_went_with_the_syn_in_vain_is_not_ecn_capable(peer: Peer, taken: int):
    """It is old data, though numbered as new; found by a world with Fast Open and ECN."""
    peer = introduced(peer)
    peer.app.connection = peer.engine.connect(
        str(peer.host), peer.port, local_port=peer.app.port, ecn=True, fast_open=True
    )
    peer.app.connection.set_option("nodelay", 1)
    peer.app.send(b"hello")
    peer.gets("SYN,ECE,CWR", seq=0, data=b"hello")
    peer.sends("SYN,ECE,ACK", seq=0, ack=1 + taken, **OFFER)
    assert peer.gets("PSH,ACK", data=b"hello"[taken:]).ecn == NOT_ECT
    peer.app.send(b" world")
    assert peer.gets("PSH,ACK", seq=6, data=b" world").ecn == ECT_0


@pytest.mark.parametrize("ack", [0, 7, 1 << 30])
def test_an_acknowledgment_of_more_is_none(peer: Peer, ack: int):
    peer = sent(peer)
    peer.sends("SYN,ACK", seq=0, ack=ack, **OFFER)
    peer.gets("RST", seq=ack)
    assert peer.app.info.state.name == "SYN_SENT"


@pytest.mark.rfc("7413-07", "7413-04")
def test_the_syn_again_is_plain(peer: Peer):
    """RFC 7413 4.2.2 (SHOULD); what it teaches of the path: 4.1.3.1 (MUST)."""
    peer = sent(peer)
    again = peer.gets("SYN", seq=0, len=0, within=RTO)
    assert again.segment.options.cookie is None
    peer.sends("SYN,ACK", seq=0, ack=1, **OFFER)
    peer.gets("PSH,ACK", seq=1, data=b"hello")
    third = peer.another(peer.port, isn=5)
    third.app.port += 10
    third.app.connect(fast_open=True)
    assert third.gets("SYN", len=0).segment.options.cookie is None, "not again for a while"
    peer.advance(61)
    fourth = peer.another(peer.port, isn=5)
    fourth.app.port += 11
    fourth.app.connect(fast_open=True)
    fourth.gets_nothing()


def test_the_first_syn_was_late_only(peer: Peer):
    """The answer to it acknowledges data that the second SYN did not have."""
    peer = sent(peer)
    peer.gets("SYN", seq=0, len=0, within=RTO)
    peer.sends("SYN,ACK", seq=0, ack=6, **OFFER)
    peer.gets("ACK", seq=6, ack=1)
    assert peer.app.info.bytes_acked == 5


@pytest.mark.rfc("7413-04")
@pytest.mark.parametrize("why", ["no answer", "no cookie", "icmp"])
def test_refusals_are_remembered(peer: Peer, why: str):
    """RFC 7413 4.1.3.1 (MUST); of a request 4.2.1."""
    peer.configure(connect_timeout=3)
    peer.app.connect(fast_open=True)
    syn = peer.gets("SYN", cookie=b"")
    if why == "no cookie":
        peer.sends("SYN,ACK", seq=0, **OFFER)
        peer.gets("ACK")
    elif why == "icmp":
        quoted = syn.packet.encode()[:28]
        peer.sends_packet(Icmp(type=3, code=1, body=quoted))
    peer.advance(10)
    peer.gets_all()
    second = peer.another(peer.port, isn=5)
    second.app.port += 10
    second.app.connect(fast_open=True)
    assert second.gets("SYN").segment.options.cookie is None
    other = peer.another(peer.port + 1, isn=5)
    other.app.port += 10
    other.app.connect(fast_open=True)
    other.gets("SYN", cookie=b"")  # it is of the port: RFC 7413 4.1.3.1


def test_refusals_last_longer_each_time(peer: Peer):
    first = peer.configure()
    for number, seconds in enumerate((60, 120, 240)):
        peer = first.another(first.port, isn=5 + number)
        peer.app.port = 100 + number
        peer.app.connect(fast_open=True)
        peer.gets("SYN", cookie=b"")
        peer.sends("SYN,ACK", seq=0, **OFFER)
        peer.gets("ACK")
        peer.advance(seconds - 1)
        early = first.another(first.port, isn=50 + number)
        early.app.port = 200 + number
        early.app.connect(fast_open=True)
        assert early.gets("SYN").segment.options.cookie is None
        early.app.connection.abort()
        peer.advance(2)


@pytest.mark.rfc("7413-04")
@pytest.mark.parametrize(("mss", "most"), [(500, 500), (1460, 1460), (1400, 1400)])
def test_as_much_as_the_server_takes(peer: Peer, mss: int, most: int):
    """RFC 7413 4.1.3: the MSS is kept beside the cookie; RFC 6691: options come off it."""
    peer = connected(peer, mss=mss)
    peer.app.send(bytes(3000))
    syn = peer.gets("SYN", seq=0)
    assert len(syn.data) == most - 40
    peer.sends("SYN,ACK", seq=0, ack=1 + len(syn.data), **OFFER | {"mss": mss})
    assert sum(len(got.data) for got in peer.gets_all()) == 3000 - len(syn.data)


def test_no_more_than_an_ordinary_packet(peer: Peer):
    """RFC 7413 4.1.3 (MAY): an MSS of 8960 counts as 1460."""
    peer = connected(peer, mss=8960, mtu=9000)
    peer.app.send(bytes(9000))
    assert len(peer.gets("SYN").data) == 1460 - 40


def test_over_ipv6(peer: Peer):
    peer = connected(peer, ipv6=True)
    peer.app.send(bytes(3000))
    assert len(peer.gets("SYN", cookie=COOKIE).data) == 1440 - 40


@pytest.mark.parametrize("size", [4, 6, 16])
def test_cookies_of_any_length(peer: Peer, size: int):
    cookie = bytes(range(size))
    peer = introduced(peer, cookie)
    peer.app.connect(fast_open=True)
    peer.app.send(b"hello")
    peer.gets("SYN", data=b"hello", cookie=cookie)


def test_a_new_cookie_takes_the_place_of_the_old(peer: Peer):
    peer = sent(peer)
    peer.sends("SYN,ACK", seq=0, ack=1, cookie=b"new cook", **OFFER)
    peer.gets("PSH,ACK", data=b"hello")
    third = peer.another(peer.port, isn=5)
    third.app.port += 10
    third.app.connect(fast_open=True)
    third.app.send(b"hello")
    third.gets("SYN", data=b"hello", cookie=b"new cook")


def test_a_cookie_nobody_asked_for_is_left(peer: Peer):
    peer.app.connect()
    peer.gets("SYN")
    peer.sends("SYN,ACK", seq=0, cookie=COOKIE, **OFFER)
    peer.gets("ACK")
    second = peer.another(peer.port, isn=5)
    second.app.port += 10
    second.app.connect(fast_open=True)
    second.gets("SYN", cookie=b"")


@pytest.mark.parametrize("how", ["receive", "receive, shutdown", "shutdown", "time"])
def test_a_syn_that_waits_in_vain(peer: Peer, how: str):
    """The server speaks first, or nobody does: it leaves without data."""
    peer = connected(peer)
    if "receive" in how:
        assert peer.app.receive() == b""
    if "shutdown" in how:
        peer.app.connection.shutdown()
    peer.gets("SYN", seq=0, len=0, cookie=COOKIE, within=0.2 if how == "time" else 0)
    peer.sends("SYN,ACK", seq=0, ack=1, data=b"220", **OFFER)
    assert peer.app.receive() == b"220"
    peer.gets("FIN,ACK" if "shutdown" in how else "ACK", seq=1)


def test_close_without_a_word(peer: Peer):
    """RFC 9293 3.10.4, SYN-SENT: nobody has heard of it."""
    peer = connected(peer)
    peer.app.connection.close()
    peer.gets_nothing(10)
    assert peer.engine.counters().get("connections") is None


@pytest.mark.parametrize("early", [False, True])
def test_close_after_data_delivers_it(peer: Peer, early: bool):
    peer = connected(peer)
    peer.app.send(b"hello")
    connection = peer.app.connection
    connection.close()
    peer.gets("SYN", seq=0, data=b"hello")
    peer.sends("SYN,ACK", seq=0, ack=6 if early else 1, cookie=COOKIE, **OFFER)
    if early:
        peer.gets("FIN,ACK", seq=6, len=0)
    else:
        peer.gets("FIN,PSH,ACK", seq=1, data=b"hello")
    peer.sends("FIN,ACK", seq=1, ack=7)
    peer.gets("ACK", ack=2)


def test_refused(peer: Peer):
    peer = sent(peer)
    peer.sends("RST,ACK", seq=0, ack=6)
    assert peer.app.outcome() == "REFUSED"
    peer = sent_again(peer)
    peer.sends("RST,ACK", seq=0, ack=1)
    assert peer.app.outcome() == "REFUSED"


def sent_again(peer: Peer) -> Peer:
    again = peer.another(peer.port, isn=6)
    again.app.port += 20
    again.app.connect(fast_open=True)
    again.app.send(b"hello")
    again.gets("SYN", data=b"hello")
    return again


def test_the_answer_has_data(peer: Peer):
    peer = sent(peer)
    peer.sends("SYN,ACK", seq=0, ack=6, data=b"reply", **OFFER)
    peer.gets("ACK", seq=6, ack=6)
    assert peer.app.receive() == b"reply"


def test_a_window_of_nothing(peer: Peer):
    """What the SYN's data has to be sent again for waits for it."""
    peer = sent(peer)
    peer.sends("SYN,ACK", seq=0, ack=1, window=0, **OFFER)
    peer.gets("ACK", seq=1, len=0)
    peer.sends("ACK", ack=1, window=1000)
    peer.gets("PSH,ACK", seq=1, data=b"hello")


@pytest.mark.parametrize("taken", [0, 5])
def test_simultaneous_open(peer: Peer, taken: int):
    """RFC 9293 3.5, figure 7; RFC 7413 4.2.2 leaves it as it is."""
    peer = sent(peer)
    peer.sends("SYN", seq=0, cookie=b"", **OFFER)
    peer.gets("SYN,ACK", seq=0, ack=1, len=0)
    peer.sends("SYN,ACK", seq=0, ack=1 + taken, **OFFER)
    if not taken:
        peer.gets("PSH,ACK", seq=1, data=b"hello")
    peer.gets_nothing()
    assert peer.app.info.state.name == "ESTABLISHED"


def test_a_syn_crosses_one_that_waits(peer: Peer):
    peer = connected(peer)
    peer.sends("SYN", seq=0, **OFFER)
    peer.gets("SYN,ACK", seq=0, ack=1, len=0)
    peer.app.send(b"hello")
    peer.sends("ACK", seq=1, ack=1)
    peer.gets("PSH,ACK", seq=1, data=b"hello")


def test_a_thousand_servers_at_most(peer: Peer):
    """What is kept is bounded."""
    peer.configure()
    for number in range(1100):
        one = peer.another(1000 + number)
        one.app.port = 100
        one.app.connect(fast_open=True)
        one.gets("SYN", cookie=b"")
        one.sends("SYN,ACK", seq=0, **OFFER)
        one.app.connection.abort()
        one.gets_all()
    full = peer.engine.counters()["memory"]
    for number in range(200):
        one = peer.another(3000 + number)
        one.app.port = 100
        one.app.connect(fast_open=True)
        one.gets("SYN", cookie=b"")
        one.sends("SYN,ACK", seq=0, **OFFER)
        one.app.connection.abort()
        one.gets_all()
    assert peer.engine.counters()["memory"] == full
