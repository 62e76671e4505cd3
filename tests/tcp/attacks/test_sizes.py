"""Attacks that make an end work hard for little: tiny segments, windows, urgent pointers."""

import pytest

from usertcp.testing import Peer

LEAST_MSS = 64
URGENT = [0, 1, 2, 5, 100, 1460, 0x7FFF, 0xFFFF]


@pytest.mark.attack(3)
@pytest.mark.parametrize("urgent", URGENT)
def test_urgent_pointers_beyond_the_segment_move_nothing_but_the_mark(peer: Peer, urgent: int):
    """uIP and NicheStack walked past the segment, or in circles."""
    peer.establish()
    for size in (0, 1, 5):
        peer.sends("URG,ACK", data=b"x" * size, urgent=urgent)
    assert peer.app.receive() == b"x" * 6
    assert peer.app.state == "ESTABLISHED"


@pytest.mark.attack(2, 3)
@pytest.mark.parametrize("urgent", URGENT)
def test_urgent_pointers_while_opening_and_closing(peer: Peer, urgent: int):
    peer.app.listen()
    peer.sends("SYN,URG", seq=0, urgent=urgent, mss=1460)
    peer.gets("SYN,ACK", ack=1)
    peer.sends("ACK,URG", seq=1, ack=1, urgent=urgent)
    assert peer.app.accept()
    peer.sends("FIN,URG,ACK", data=b"end", urgent=urgent)
    assert peer.app.receive() == b"end"
    assert peer.app.state == "CLOSE-WAIT"


@pytest.mark.attack(12, 15)
@pytest.mark.parametrize("mss", [1, 2, 12, 20, 47, 48, 63, 64])
@pytest.mark.parametrize("passive", [False, True])
def test_a_tiny_mss_is_raised(peer: Peer, mss: int, passive: bool):
    """FreeRTOS+TCP divided by it; Linux sent a header per byte."""
    peer.establish(mss=mss, passive=passive)
    assert peer.app.info.snd_mss == LEAST_MSS
    peer.app.send(bytes(640))
    assert len(peer.gets_all()) <= 640 // LEAST_MSS


@pytest.mark.attack(12)
def test_an_mss_of_zero_is_none(peer: Peer):
    peer.establish(mss=0)
    assert peer.app.info.snd_mss == 536  # RFC 9293 3.7.1, MUST-15


@pytest.mark.attack(13, 14)
@pytest.mark.rfc("SEC-09")
@pytest.mark.parametrize("mss", [1, 48, 64])
def test_sacks_of_every_other_segment_at_the_least_mss(peer: Peer, mss: int):
    """SACK Panic: segments by the hundred in one buffer, each block cutting one off."""
    peer.establish(mss=mss, window=65535, wscale=0)
    total = 60_000
    sent = peer.app.send(bytes(total))
    memory = peer.engine.memory
    for n in range(1, 400, 2):
        lo = 1 + n * LEAST_MSS
        peer.sends(ack=1, sack=[(lo, lo + LEAST_MSS)])
        peer.gets_all()
    assert peer.engine.memory <= memory + 16384
    assert peer.app.state == "ESTABLISHED"
    done = 1
    for _ in range(10_000):  # and the connection works: an honest receiver from now on
        for got in peer.gets_all(within=0.3):
            if got.seq <= done < got.end:
                done = got.end
        peer.sends(ack=done)
        if done == 1 + sent:
            break
    assert done == 1 + sent


@pytest.mark.attack(48)
def test_what_a_byte_costs_is_counted_by_real_memory(peer: Peer):
    """One-byte segments fill the window by bytes, and hold no more memory than large ones."""
    peer.configure(rcv_buffer=16384).establish(wscale=0)
    for _ in range(16384):
        peer.sends(data=b"x")
    peer.gets_all()
    info = peer.app.info
    assert info.rcv_wnd == 0
    assert info.rcv_readable > 16000
    assert info.memory < 2 * 16384
    assert len(peer.app.receive()) == info.rcv_readable


@pytest.mark.attack(16, 48)
def test_one_byte_islands_hold_no_more_than_the_ring(peer: Peer):
    """SegmentSmack: bytes at odd offsets; what is kept is bounded, and it is given in the end."""
    peer.configure(rcv_buffer=16384).establish(wscale=0)
    for offset in range(2, 10_000, 2):
        peer.sends(seq=offset, data=b"x")
    peer.gets_all()
    assert peer.app.info.memory < 2 * 16384
    assert peer.app.info.rcv_out_of_order <= 512
    peer.sends(seq=1, data=b"y" * 10_000)
    assert len(peer.app.receive()) == 10_000
