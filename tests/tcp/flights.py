"""A connection with a measured RTT and a full send queue, its segments told by number."""

from usertcp.testing import Got, Peer

MSS = 1000
RTT = 0.1
RTO = RTT + 1.0  # of `flight`: SRTT and the floor of the variance


def edge(number: int) -> int:
    return 1 + MSS * number


def numbers(got: list[Got]) -> list[int]:
    """Segments by number: 0 is the first of the connection."""
    return [(one.seq - 1) // MSS for one in got]


def flight(peer: Peer, count: int = 10, data: int = 200, **options: object) -> list[int]:
    """`data` segments are queued; the first `count` leave. SRTT is 100 ms."""
    offer = {key: options.pop(key) for key in ("sack", "timestamps") if key in options}
    mss = MSS + 12 * bool(offer.get("timestamps"))  # MSS bytes of payload
    config = {"rto_min": 1.0, "snd_buffer": 1 << 18} | options
    peer.configure(**config).establish(mss=mss, window=1 << 20, rtt=RTT, **offer)
    peer.sends(window=1 << 20)
    peer.app.send(bytes(data * MSS))
    sent = numbers(peer.gets_all())
    assert sent == list(range(count))
    return sent


def ack(peer: Peer, number: int, *sacked: tuple[int, int], **fields: object) -> list[int]:
    """The peer has all before segment `number`, and runs [a, b) beyond: what is sent then."""
    blocks = [(edge(a), edge(b)) for a, b in sacked]
    peer.sends(ack=edge(number), sack=blocks, window=1 << 20, **fields)
    return numbers(peer.gets_all())
