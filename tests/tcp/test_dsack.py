"""Duplicates reported: RFC 2883, its examples with segments of 500 bytes."""

import pytest

from usertcp.testing import Peer


def opened(peer: Peer, **options: bool) -> Peer:
    peer.configure(quick_acks=16).establish(**options)
    return peer


def sends(peer: Peer, first: int, end: int) -> None:
    peer.sends(seq=1 + first, data=bytes(end - first))


def blocks(*pairs: tuple[int, int]) -> list[tuple[int, int]]:
    return [(1 + a, 1 + b) for a, b in pairs]


@pytest.mark.rfc("2883-01", "2883-02", "2018-06")
def test_example_1_a_duplicate_below_the_ack(peer: Peer):
    """RFC 2883 4.1.1."""
    opened(peer)
    for first in (0, 500):
        sends(peer, first, first + 500)
        peer.gets(ack=1 + first + 500, sack=[])
    sends(peer, 0, 500)
    peer.gets(ack=1001, sack=blocks((0, 500)))
    sends(peer, 1000, 1500)
    peer.gets(ack=1501, sack=[])
    assert peer.app.info.dsacks_out == 1


@pytest.mark.rfc("2883-01", "2883-03")
def test_example_2_a_duplicate_beside_a_hole(peer: Peer):
    """RFC 2883 4.1.2: the D-SACK first, then what waits beyond the hole."""
    opened(peer)
    sends(peer, 0, 500)
    peer.gets(ack=501)
    sends(peer, 1000, 1500)
    peer.gets(ack=501, sack=blocks((1000, 1500)))
    sends(peer, 0, 500)
    peer.gets(ack=501, sack=blocks((0, 500), (1000, 1500)))


@pytest.mark.rfc("2883-01", "2883-03", "2018-04")
def test_example_3_a_duplicate_above_the_ack(peer: Peer):
    """RFC 2883 4.1.3: the run it is part of comes second."""
    opened(peer)
    for first in (500, 1000):
        sends(peer, first, first + 500)
        peer.gets(ack=1)
    sends(peer, 500, 1000)
    peer.gets(ack=1, sack=blocks((500, 1000), (500, 1500)))
    sends(peer, 2000, 2500)
    peer.gets(ack=1, sack=blocks((2000, 2500), (500, 1500)))


@pytest.mark.rfc("2883-01")
def test_a_partial_duplicate(peer: Peer):
    """RFC 2883 4.2: only the part that came twice."""
    opened(peer)
    sends(peer, 0, 500)
    peer.gets(ack=501)
    sends(peer, 250, 750)
    peer.gets(ack=751, sack=blocks((250, 500)))
    sends(peer, 1000, 1500)
    peer.gets(ack=751, sack=blocks((1000, 1500)))
    sends(peer, 1250, 1750)
    peer.gets(ack=751, sack=blocks((1250, 1500), (1000, 1750)))


@pytest.mark.rfc("2018-02")
def test_none_without_sack(peer: Peer):
    opened(peer, sack=False)
    sends(peer, 0, 500)
    peer.gets(ack=501)
    sends(peer, 0, 500)
    peer.gets(ack=501, sack=[])
    assert peer.app.info.dsacks_out == 0


@pytest.mark.rfc("2883-04", "2883-05")
@pytest.mark.parametrize("left", [-5000, 1 - 2**31 + 10, 2**31 - 100])
def test_a_block_of_bytes_never_sent_is_no_duplicate(peer: Peer, left: int):
    opened(peer).app.send(bytes(1000))
    peer.gets_all(within=0.5)
    peer.sends(ack=1, sack=[(left, left + 10)])
    assert peer.app.info.spurious_retransmits == 0
    assert peer.app.info.retransmits > 0


@pytest.mark.rfc("2883-05")
def test_more_reports_than_retransmissions_are_not_believed(peer: Peer):
    opened(peer).app.send(bytes(1000))
    peer.gets(seq=1)
    peer.sends(ack=1001)
    for _ in range(10):
        peer.sends(ack=1001, sack=[(1, 1001)])
    info = peer.app.info
    assert info.spurious_retransmits == 0
    assert info.reo_wnd_mult == 1
