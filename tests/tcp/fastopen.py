"""TCP Fast Open (RFC 7413) with a scripted peer on either side."""

from usertcp.testing import Peer

OFFER = {"mss": 1460, "wscale": 7, "sack_permitted": True}
COOKIE = bytes.fromhex("0123456789abcdef")


def cookie_of(peer: Peer, **offer: object) -> bytes:
    """Asks the stack's listener for one, in a connection of its own."""
    asking = peer.another(50000)
    asking.sends("SYN", seq=0, cookie=b"", **OFFER | offer)
    cookie = asking.gets("SYN,ACK", ack=1).segment.options.cookie
    asking.sends("RST", seq=1)
    assert cookie
    return cookie


def served(peer: Peer, limit: int = 8, **config: object) -> bytes:
    """The stack listens; the cookie it gave this peer."""
    peer.configure(**config).app.listen(fast_open=limit)
    return cookie_of(peer)


def opened(peer: Peer, cookie: bytes, data: bytes = b"hello", **offer: object) -> None:
    """The peer's SYN with cookie and data, which are taken."""
    peer.sends("SYN", seq=0, cookie=cookie, data=data, **OFFER | offer)
    peer.gets("SYN,ACK", seq=0, ack=1 + len(data))


def introduced(peer: Peer, cookie: bytes = COOKIE, mss: int = 1460, **config: object) -> Peer:
    """The stack as client has asked this peer for a cookie; the next connection is to be made."""
    peer.configure(**config)
    peer.app.connect(fast_open=True)
    peer.gets("SYN", cookie=b"", len=0)
    peer.sends("SYN,ACK", seq=0, cookie=cookie, **OFFER | {"mss": mss})
    peer.gets("ACK", ack=1)
    peer.app.connection.abort()
    peer.gets("RST,ACK")
    after = peer.another(peer.port, isn=77_000_000)
    after.app.port = peer.app.port + 1
    return after
