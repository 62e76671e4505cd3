"""Urgent data: in line, the pointer tracked, the user told. RFC 9293 3.8.5, RFC 6093."""

import pytest

from usertcp import _events
from usertcp.testing import Peer


def told(peer: Peer) -> bool:
    found = bool(peer.app.events & _events.URGENT)
    assert peer.app.connection is not None
    peer.app.connection.clear_events()
    return found


@pytest.mark.rfc("9293-MUST-30", "9293-MUST-32", "9293-MUST-62")
def test_urgent_data_stays_in_line(peer: Peer):
    peer.establish()
    peer.sends("URG,PSH,ACK", data=b"abcdef", urgent=3)
    assert told(peer)
    info = peer.app.info
    assert (info.rcv_up - peer.iss) % 2**32 == 4, "the octet after the urgent data"
    assert peer.app.receive() == b"abcdef"


@pytest.mark.rfc("9293-MUST-31")
def test_urgent_data_may_be_longer_than_a_window(peer: Peer):
    peer.configure(rcv_buffer=4096).establish(wscale=0)
    peer.sends("URG,ACK", data=b"x" * 1000, urgent=60_000)
    assert told(peer)
    assert (peer.app.info.rcv_up - peer.iss) % 2**32 == 60_001
    peer.sends("URG,ACK", data=b"x" * 1000, urgent=59_000)
    assert not told(peer), "the same place"


@pytest.mark.rfc("9293-MUST-32")
def test_each_advance_is_told(peer: Peer):
    peer.establish()
    peer.sends("URG,ACK", data=b"abc", urgent=10)
    assert told(peer)
    peer.sends("URG,ACK", data=b"abc", urgent=10)
    assert told(peer)
    peer.sends("URG,ACK", data=b"abc", urgent=1)
    assert not told(peer), "not backwards"


@pytest.mark.rfc("9293-MUST-33")
def test_how_much_is_urgent_can_be_learned(peer: Peer):
    peer.establish()
    peer.sends("URG,ACK", data=b"abcdef", urgent=4)
    read = 0
    left = []
    for _ in range(6):
        info = peer.app.info
        at = (info.rcv_nxt - info.rcv_readable) % 2**32
        left.append(max(0, (info.rcv_up - at + 2**31) % 2**32 - 2**31))
        read += len(peer.app.receive(1))
    assert left == [4, 3, 2, 1, 0, 0]


@pytest.mark.attack(2)
@pytest.mark.rfc("SEC-05")
@pytest.mark.parametrize("flags", ["URG,ACK", "URG,SYN", "URG,FIN,ACK", "URG,PSH,ACK"])
@pytest.mark.parametrize("urgent", [0, 1, 2, 0x7FFF, 0x8000, 0xFFFF])
@pytest.mark.parametrize("data", [b"", b"x"])
def test_any_pointer_is_harmless(peer: Peer, flags: str, urgent: int, data: bytes):
    """Attacks 2 and 3, URGENT/11."""
    peer.establish()
    peer.sends(flags, data=data, urgent=urgent, seq=1)
    peer.sends(flags, data=data, urgent=urgent, seq=-5)
    peer.sends(flags, data=data, urgent=urgent, seq=3)
    peer.gets_all(within=1)
    peer.sends(seq=1, data=b"y")
    if "FIN" in flags and not data:
        assert peer.app.outcome() == "END_OF_STREAM"
    else:
        assert peer.app.receive() in (b"y", b"x", b"yx", b"xx")


@pytest.mark.rfc("SEC-05")
@pytest.mark.parametrize("state", ["listen", "syn-sent"])
def test_urgent_before_the_connection(peer: Peer, state: str):
    if state == "listen":
        peer.app.listen()
        peer.sends("URG,SYN", seq=0, urgent=9, mss=1460)
        peer.gets("SYN,ACK")
        return
    peer.app.connect()
    peer.gets("SYN")
    peer.sends("URG,SYN,ACK", seq=0, ack=1, urgent=9, mss=1460)
    peer.gets("ACK", seq=1, ack=1)


@pytest.mark.rfc("9293-SHLD-13")
def test_nothing_urgent_is_ever_sent(peer: Peer):
    peer.establish()
    peer.app.send(bytes(5000))
    assert all("URG" not in got.flags for got in peer.gets_all(within=5))
