"""`struct tcp_info`, as programs read it by getsockopt, of connections with and without trouble."""

import struct
from dataclasses import replace

from tcp.flights import MSS, ack, flight
from usertcp._tcp_info import pack_tcp_info
from usertcp.testing import Peer

NAMES = (
    "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent "
    "last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss "
    "reordering rcv_rtt rcv_space total_retrans"
).split()  # after eight bytes, the first of them the state, the second tcpi_ca_state


def unpack(raw: bytes) -> dict[str, int]:
    assert len(raw) == 240
    return dict(zip(NAMES, struct.unpack_from("=24I", raw, 8), strict=True))


def test_windows_are_segments(peer: Peer):
    flight(peer)
    raw = pack_tcp_info(peer.app.info)
    found = unpack(raw)
    assert (raw[0], raw[1]) == (1, 0)  # ESTABLISHED, TCP_CA_Open
    assert found["snd_mss"] == MSS
    assert (found["unacked"], found["sacked"], found["lost"]) == (10, 0, 0)
    assert found["snd_cwnd"] == 10
    assert found["snd_ssthresh"] == 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH
    assert found["reordering"] == 3


def test_what_is_missing_is_told(peer: Peer):
    flight(peer)
    peer.advance(0.1)
    ack(peer, 0, (4, 10))
    raw, info = pack_tcp_info(peer.app.info), peer.app.info
    found = unpack(raw)
    assert raw[1] == 3  # TCP_CA_Recovery
    assert found["sacked"] == 6
    assert found["lost"] == info.lost // MSS
    assert found["snd_ssthresh"] == info.ssthresh // MSS
    assert found["total_retrans"] == info.retransmits > 0


def test_values_that_do_not_fit_are_the_largest(peer: Peer):
    flight(peer)
    info = replace(peer.app.info, retransmits=2**40, rto_ns=2**60, backoff=300, snd_queued=0)
    raw = pack_tcp_info(info)
    assert (raw[1], raw[2]) == (4, 255)  # TCP_CA_Loss, tcpi_retransmits
    assert unpack(raw)["total_retrans"] == unpack(raw)["rto"] == 2**32 - 1
    assert struct.unpack_from("=I", raw, 144) == (0,)  # tcpi_notsent_bytes
