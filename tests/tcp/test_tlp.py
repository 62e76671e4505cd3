"""Tail loss probes: RFC 8985 section 7."""

import pytest

from tcp.flights import MSS, RTT, ack, edge, flight, numbers
from usertcp.testing import Peer

PTO = 2 * RTT + 0.002


def opened(peer: Peer, **config: object) -> Peer:
    peer.configure(**{"rto_min": 1.0} | config).establish(mss=MSS, window=1 << 20, rtt=RTT)
    peer.sends(window=1 << 20)
    return peer


@pytest.mark.rfc("8985-12", "8985-15", "8985-16", "8985-14")
def test_the_last_segment_is_the_probe(peer: Peer):
    opened(peer).app.send(bytes(3 * MSS))
    first = peer.gets_all()
    probe = peer.gets(seq=edge(2), within=0.5)
    assert probe.at - first[0].at == pytest.approx(PTO, rel=1e-6)
    again = peer.gets(seq=1, within=5)
    rto = peer.app.info.rto_ns / 1e9
    assert again.at - probe.at == pytest.approx(rto, rel=1e-6), "the RTO, from the probe on"
    info = peer.app.info
    assert (info.tlp_probes, info.rto_count) == (1, 1)


@pytest.mark.rfc("8985-12")
def test_one_segment_alone_allows_for_a_delayed_ack(peer: Peer):
    opened(peer).app.send(bytes(MSS))
    sent = peer.gets()
    assert peer.gets(seq=1, within=2).at - sent.at == pytest.approx(PTO + 0.2, rel=1e-6)


@pytest.mark.rfc("8985-12")
def test_the_rto_bounds_the_pto(peer: Peer):
    opened(peer, rto_min=0.2).app.send(bytes(MSS))
    sent = peer.gets()
    assert peer.gets(seq=1, within=2).at - sent.at == pytest.approx(0.3, rel=1e-6)
    assert (peer.app.info.tlp_probes, peer.app.info.rto_count) == (1, 0)


@pytest.mark.rfc("8985-12")
def test_without_a_sample_it_is_a_second(peer: Peer):
    peer.configure(rto_initial=1.0).app.connect()
    peer.gets("SYN")
    peer.gets("SYN", within=1.5)
    peer.sends("SYN,ACK", seq=0, ack=1, mss=1460, sack_permitted=True)
    peer.gets("ACK")
    peer.app.send(b"x")
    sent = peer.gets(data=b"x")
    assert peer.gets(data=b"x", within=5).at - sent.at == pytest.approx(1, rel=0.001)
    assert peer.app.info.tlp_probes == 1


@pytest.mark.rfc("8985-15")
def test_new_data_is_the_better_probe(peer: Peer):
    flight(peer)
    (probe,) = peer.gets_all(within=PTO + 0.001)
    assert numbers([probe]) == [10]
    info = peer.app.info
    assert (info.retransmits, info.tlp_probes) == (0, 1)
    assert info.flight_size == info.cwnd + MSS, "one segment more than cwnd, for a while"


@pytest.mark.rfc("8985-13")
def test_each_ack_and_each_segment_puts_it_off(peer: Peer):
    opened(peer).app.send(bytes(4 * MSS))
    peer.gets_all()
    for n in range(1, 3):
        peer.gets_nothing(within=0.19)
        ack(peer, n)
    peer.gets_nothing(within=0.19)
    peer.app.send(bytes(MSS))
    assert numbers(peer.gets_all()) == [4]
    peer.gets_nothing(within=0.19)


@pytest.mark.rfc("8985-13")
def test_none_while_something_is_sacked(peer: Peer):
    flight(peer)
    peer.advance(RTT)
    ack(peer, 0, (1, 2))
    assert peer.app.info.sacked == MSS
    peer.advance(0.5)
    assert peer.app.info.tlp_probes == 0


@pytest.mark.rfc("8985-14")
def test_none_without_a_new_sample(peer: Peer):
    """A probe's own ACK measures nothing: the next tail waits for the RTO, not for another."""
    opened(peer).app.send(bytes(2 * MSS))
    peer.gets_all()
    peer.gets(seq=edge(1), within=0.5)
    peer.sends(ack=edge(2))
    peer.advance(0.01)
    peer.app.send(bytes(2 * MSS))
    peer.gets_all()
    assert numbers(peer.gets_all(within=0.9)) == []
    assert peer.app.info.tlp_probes == 1


def after_probe(peer: Peer) -> int:
    opened(peer).app.send(bytes(4 * MSS))
    peer.gets_all()
    peer.gets(seq=edge(3), within=0.5)
    return peer.app.info.cwnd


@pytest.mark.rfc("8985-17")
def test_a_repaired_loss_counts(peer: Peer):
    """The probe's ACK tells of no duplicate: the last segment had been lost."""
    cwnd = after_probe(peer)
    ack(peer, 4)
    assert peer.app.info.cwnd >= cwnd
    peer.app.send(bytes(MSS))
    peer.gets_all()
    ack(peer, 5)
    info = peer.app.info
    assert info.cwnd == info.ssthresh < cwnd


@pytest.mark.rfc("8985-17", "2883-05")
def test_a_needless_probe_costs_nothing(peer: Peer):
    cwnd = after_probe(peer)
    ack(peer, 4, (3, 4))
    peer.app.send(bytes(MSS))
    peer.gets_all()
    ack(peer, 5)
    info = peer.app.info
    assert info.cwnd >= cwnd
    assert info.spurious_retransmits == 1


def test_a_probe_shows_what_is_lost(peer: Peer):
    """RFC 8985 3.4: 3 to 5 of six are lost. SACK of the probe, fast recovery, no time-out."""
    opened(peer).app.send(bytes(6 * MSS))
    peer.gets_all()
    peer.advance(RTT)
    ack(peer, 3)
    assert numbers(peer.gets_all(within=0.5)) == [5]
    peer.advance(RTT - 0.05)
    sent = ack(peer, 3, (5, 6)) + numbers(peer.gets_all(within=0.1))
    assert sent == [3]
    assert ack(peer, 4, (5, 6)) == [4]
    assert peer.app.info.rto_count == 0
    assert peer.app.info.fast_recoveries == 1


def test_a_closed_window_is_probed_by_persist_instead(peer: Peer):
    opened(peer).app.send(bytes(3 * MSS))
    peer.gets_all()
    peer.sends(ack=edge(1), window=0)
    peer.advance(0.5)
    assert peer.app.info.tlp_probes == 0
