"""Connections that have agreed on ECN (RFC 3168)."""

from tcp.flights import MSS, edge, numbers
from usertcp.testing import Got, Peer

NOT_ECT, ECT_1, ECT_0, CE = range(4)
SETUP = "SYN,ECE,CWR"
OFFER = {"mss": 1460, "wscale": 7, "sack_permitted": True}


def opened(peer: Peer, *, passive: bool = False, **config: object) -> Peer:
    """ECN is agreed."""
    peer.configure(ecn=2 if passive else 1, **config)
    if passive:
        peer.app.listen()
        peer.sends(SETUP, seq=0, **OFFER)
        peer.gets("SYN,ECE,ACK", ack=1)
        peer.sends("ACK")
        peer.app.accept()
    else:
        peer.app.connect()
        peer.gets(SETUP)
        peer.sends("SYN,ECE,ACK", seq=0, **OFFER)
        peer.gets("ACK", seq=1)
    assert peer.app.info.ecn_ok == 2
    return peer


def filled(peer: Peer, count: int = 10, **config: object) -> Peer:
    """`flight` with ECN: segments of MSS bytes, SRTT 100 ms, `count` of them in flight."""
    peer.configure(**{"ecn": 1, "rto_min": 1.0, "snd_buffer": 1 << 18} | config)
    peer.app.connect()
    peer.gets(SETUP)
    peer.advance(0.1)
    peer.sends("SYN,ECE,ACK", seq=0, mss=MSS, wscale=7, sack_permitted=True)
    peer.gets("ACK")
    peer.sends(window=1 << 20)
    peer.app.send(bytes(200 * MSS))
    sent = peer.gets_all()
    assert numbers(sent) == list(range(count))
    assert {got.ecn for got in sent} == {ECT_0}
    return peer


def echo(peer: Peer, number: int, flags: str = "ECE,ACK", **fields: object) -> list[Got]:
    """The peer has all before segment `number`, and says ECE."""
    peer.sends(flags, ack=edge(number), window=1 << 20, **fields)
    return peer.gets_all()
