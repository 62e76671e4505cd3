"""Attacks on listeners with TCP Fast Open: RFC 7413 5."""

from ipaddress import ip_address

import pytest

from tcp.fastopen import OFFER, cookie_of, opened, served
from usertcp.testing import EngineHarness, Peer
from usertcp.testing.packets import SYN, Options, Packet, Segment


def flood(peer: Peer, cookie: bytes, count: int) -> int:
    """SYNs with a valid cookie; how many were taken."""
    taken = 0
    for number in range(count):
        one = peer.another(51000 + number)
        one.sends("SYN", seq=0, cookie=cookie, data=b"spoofed", **OFFER)
        taken += one.gets("SYN,ACK").ack == 8
    return taken


@pytest.mark.rfc("7413-05")
def test_flood_with_a_valid_cookie_is_bounded(peer: Peer):
    """RFC 7413 5.1 (MUST): beyond the limit the option means nothing."""
    cookie = served(peer, limit=3)
    assert flood(peer, cookie, 10) == 3
    assert peer.app.listener.info.fast_open_pending == 3
    asking = peer.another(52000)
    asking.sends("SYN", seq=0, cookie=b"", **OFFER)
    assert asking.gets("SYN,ACK", ack=1).segment.options.cookie is None
    one = peer.another(51001)  # its handshake ends, so there is room again
    one.irs = peer.engine.find(51001).iss
    one.sends("ACK", seq=8, ack=1)
    assert peer.app.listener.info.fast_open_pending == 2
    opened(peer.another(53000), cookie)


@pytest.mark.rfc("7413-12")
def test_resets_count_for_a_minute(peer: Peer):
    """RFC 7413 5.1: those of spoofed hosts would else make room for the next."""
    cookie = served(peer, limit=2)
    for port in (51000, 51001):
        one = peer.another(port)
        opened(one, cookie)
        one.sends("RST", seq=6)
    assert peer.app.listener.info.fast_open_pending == 0
    assert flood(peer, cookie, 1) == 0
    peer.advance(121)
    opened(peer.another(53000), cookie)


def test_syn_cookies_exclude_it(peer: Peer):
    """RFC 7413 5.1: where the half-open queue is full."""
    cookie = served(peer, limit=100, max_half_open=2, syn_cookies=1)
    for port in (51000, 51001):
        one = peer.another(port)
        one.sends("SYN", seq=0, **OFFER)
        one.gets("SYN,ACK")
    late = peer.another(51002)
    late.sends("SYN", seq=0, cookie=cookie, data=b"hello", **OFFER)
    assert late.gets("SYN,ACK", ack=1).segment.options.cookie is None
    assert peer.engine.counters()["cookies_sent"] == 1


def test_a_full_accept_queue_excludes_it(peer: Peer):
    peer.app.listen(backlog=2, fast_open=100)
    cookie = cookie_of(peer)
    assert flood(peer, cookie, 4) == 2


def test_a_cookie_is_no_good_at_another_address():
    """It is the client's address that is hashed."""
    engine = EngineHarness("10.0.0.1/24")
    engine.listen(80).set_option("fast_open", 8)

    def syn(source: str, cookie: bytes, port: int = 5000) -> Segment:
        options = Options(mss=1460, cookie=cookie)
        body = Segment(sport=port, dport=80, flags=SYN, payload=b"x", options=options)
        packet = Packet(src=ip_address(source), dst=ip_address("10.0.0.1"), body=body)
        engine.inject(packet.encode())
        (answer,) = engine.take()
        return answer.packet.segment

    cookie = syn("10.0.0.77", b"").options.cookie
    assert cookie
    assert syn("10.0.0.78", cookie).ack == 1
    assert syn("10.0.0.77", cookie, 5001).ack == 2


@pytest.mark.rfc("7413-11")
def test_a_replayed_syn_is_delivered_twice(peer: Peer):
    """RFC 7413 6.1: once the first connection is forgotten nobody can tell; hence the warning."""
    cookie = served(peer)
    opened(peer, cookie)
    peer.app.accept()
    assert peer.app.receive() == b"hello"
    peer.sends("SYN", seq=0, cookie=cookie, data=b"hello", **OFFER)
    peer.gets("SYN,ACK", ack=6)
    assert peer.app.receive() == b"", "while the connection lives it is no new one"
    peer.sends("RST", seq=6)
    again = peer.another(peer.port)
    opened(again, cookie)
    again.app.listener = peer.app.listener
    assert again.app.accept().receive() == b"hello"


def test_guesses_at_a_pending_one(peer: Peer):
    """Neither SYNs nor resets nor ACKs that do not fit end it (RFC 5961)."""
    cookie = served(peer)
    opened(peer, cookie)
    peer.app.accept()
    peer.sends("RST", seq=7)
    peer.gets("ACK", ack=6)
    peer.sends("RST", seq=1 << 30)
    peer.sends("SYN", seq=100)
    peer.gets("ACK", ack=6)
    peer.sends("ACK", seq=6, ack=500)
    peer.gets("RST", seq=500)
    assert peer.app.info.state.name == "SYN_RECEIVED"
    peer.sends("ACK", seq=6, ack=1)
    assert peer.app.info.state.name == "ESTABLISHED"
