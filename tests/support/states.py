"""Ways into each of TCP's states, through real segments only."""

from collections.abc import Callable
from dataclasses import dataclass

from usertcp.testing import Peer

MSL = 30.0


@dataclass
class There:
    """A connection in a state: what the peer would send next, and what the stack has."""

    peer: Peer
    seq: int  # the peer's next sequence number
    una: int  # an ACK of what was acknowledged already
    nxt: int  # an ACK of everything


def _established(peer: Peer) -> There:
    """Ten bytes have gone each way and were read."""
    peer.establish(wscale=0)
    peer.sends(data=b"0123456789")
    assert peer.app.receive() == b"0123456789"
    peer.app.send(b"abcdefghij")
    peer.gets(seq=1, ack=11, len=10)
    peer.sends()
    peer.gets_nothing()
    return There(peer, 11, 11, 11)


def _closed(peer: Peer) -> There:
    peer.irs = 0
    peer.wire  # noqa: B018 (makes the stack)
    return There(peer, 11, 11, 11)


def _listen(peer: Peer) -> There:
    peer.app.listen()
    peer.irs = 0
    return There(peer, 0, 0, 1)


def _syn_sent(peer: Peer) -> There:
    peer.app.connect()
    peer.gets("SYN")
    return There(peer, 0, 0, 1)


def _syn_received(peer: Peer) -> There:
    peer.app.listen()
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK", ack=1)
    return There(peer, 1, 0, 1)


def _syn_received_active(peer: Peer) -> There:
    there = _syn_sent(peer)
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK", seq=0, ack=1)
    return There(there.peer, 1, 0, 1)


def _fin_wait_1(peer: Peer) -> There:
    _established(peer)
    peer.app.shutdown()
    peer.gets("FIN,ACK", seq=11)
    return There(peer, 11, 11, 12)


def _fin_wait_2(peer: Peer) -> There:
    there = _fin_wait_1(peer)
    peer.sends(ack=12)
    return There(there.peer, 11, 12, 12)


def _close_wait(peer: Peer) -> There:
    _established(peer)
    peer.sends("FIN,ACK")
    peer.gets("ACK", ack=12)
    return There(peer, 12, 11, 11)


def _closing(peer: Peer) -> There:
    _fin_wait_1(peer)
    peer.sends("FIN,ACK", ack=11)
    peer.gets("ACK", seq=12, ack=12)
    return There(peer, 12, 11, 12)


def _last_ack(peer: Peer) -> There:
    _close_wait(peer)
    peer.app.shutdown()
    peer.gets("FIN,ACK", seq=11, ack=12)
    return There(peer, 12, 11, 12)


def _time_wait(peer: Peer) -> There:
    _fin_wait_2(peer)
    peer.sends("FIN,ACK", ack=12)
    peer.gets("ACK", seq=12, ack=12)
    return There(peer, 12, 12, 12)


WAYS: dict[str, Callable[[Peer], There]] = {
    "CLOSED": _closed,
    "LISTEN": _listen,
    "SYN-SENT": _syn_sent,
    "SYN-RECEIVED": _syn_received,
    "SYN-RECEIVED/active": _syn_received_active,
    "ESTABLISHED": _established,
    "FIN-WAIT-1": _fin_wait_1,
    "FIN-WAIT-2": _fin_wait_2,
    "CLOSE-WAIT": _close_wait,
    "CLOSING": _closing,
    "LAST-ACK": _last_ack,
    "TIME-WAIT": _time_wait,
}


def reach(peer: Peer, state: str, **options: object) -> There:
    """Brings the stack of `peer`, with `options`, into `state`; nothing waits to be sent then."""
    peer.configure(msl=MSL, **options)
    there = WAYS[state](peer)
    peer.gets_nothing()
    assert peer.app.state == state.partition("/")[0]
    return there
