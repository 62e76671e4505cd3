"""Routers that report a packet as too big, and connections for them to report about."""

from usertcp.testing import Got, Peer
from usertcp.testing.packets import Icmp

WINDOW = 1 << 20


def headers(peer: Peer) -> int:
    """Of IP and TCP, without options."""
    return 60 if peer.host.version == 6 else 40


def size(got: Got) -> int:
    """Of the IP packet."""
    return len(got.packet.encode())


def sizes(got: list[Got]) -> list[int]:
    return [size(one) for one in got]


def too_big(peer: Peer, mtu: int, about: Got, *, quoted: int | None = None) -> None:
    """A router's answer to that packet; `quoted`: how many bytes of it are quoted."""
    packet = about.packet.encode()
    if peer.host.version == 6:
        kind, code, most = 2, 0, 1232  # RFC 4443 3.2: as much as fits in 1280
    else:
        kind, code, most = 3, 4, 28  # RFC 792: header and eight bytes
    body = packet[: most if quoted is None else quoted]
    peer.sends_packet(Icmp(type=kind, code=code, rest=mtu, body=body))


def connected(peer: Peer, **options: object) -> Peer:
    """A full-sized link; SRTT 100 ms, so that no timer interferes soon."""
    offer = {k: options.pop(k) for k in ("sack", "timestamps", "mss", "passive") if k in options}
    peer.configure(**{"rto_min": 1.0, "snd_buffer": 1 << 18} | options)
    offer.setdefault("mss", 1500 - (60 if options.get("ipv6") else 40))
    peer.establish(window=WINDOW, rtt=0.1, **offer)
    peer.sends(window=WINDOW)
    return peer


def sends(peer: Peer, count: int) -> list[Got]:
    """So many bytes are sent: what leaves at once."""
    peer.app.send(bytes(i % 251 for i in range(count)))
    return peer.gets_all()


def acks(peer: Peer, number: int | None = None) -> list[Got]:
    """Everything so far, or what is below `number`, is acknowledged: what leaves then."""
    peer.sends(ack=number, window=WINDOW)
    return peer.gets_all()


def moved(peer: Peer, count: int) -> None:
    """So many bytes arrive at the peer, and the ACKs at the stack."""
    peer.app.send(bytes(count))
    for _ in range(count // 100 + 10):
        peer.gets_all(within=0.1)
        peer.sends(ack=peer.rcv_nxt, window=WINDOW)
        if peer.app.info.snd_queued == 0:
            return
    peer.fail("the stack does not send what it was given")
