"""Connections that have agreed on more accurate ECN feedback (RFC 9768)."""

import struct

from tcp.ecn import CE, ECT_0, ECT_1, NOT_ECT, OFFER, SETUP
from tcp.flights import MSS, edge, numbers
from usertcp.testing import Got, Peer

ASKS = "SYN,AE,CWR,ECE"
CODES = {NOT_ECT: 0b010, ECT_1: 0b011, ECT_0: 0b100, CE: 0b110}  # 3.1.2: of a SYN or SYN,ACK
NAMES = {4: "AE", 2: "CWR", 1: "ECE"}


def field(got: Got) -> int:
    """AE, CWR and ECE as a number."""
    return got.segment.flags >> 6 & 7


def flags(value: int, *others: str) -> str:
    """The same as flags, with others."""
    return ",".join([*others, *(name for bit, name in NAMES.items() if value & bit)])


def ack(marks: int) -> str:
    """The flags of a segment of a peer that has received so many marked packets."""
    return flags((5 + marks) % 8, "ACK")


def options(got: Got) -> dict[str, int] | None:
    """The counters of its AccECN option (3.2.3), or None."""
    extra = got.segment.options.extra
    if not extra:
        return None
    kind, length = extra[0], extra[1]
    assert kind in {172, 174}
    assert len(extra) == length
    names = ["e0b", "ceb", "e1b"] if kind == 172 else ["e1b", "ceb", "e0b"]
    values = [int.from_bytes(extra[at : at + 3]) for at in range(2, length, 3)]
    return dict(zip(names, values, strict=False))


def option(e0b: int = 1, ceb: int = 0, e1b: int = 1, *, kind: int = 172, length: int = 11) -> bytes:
    """The option of a peer with these counters, cut to `length`."""
    order = (e0b, ceb, e1b) if kind == 172 else (e1b, ceb, e0b)
    body = b"".join(struct.pack("!I", value % 2**24)[1:] for value in order)
    return bytes([kind, length]) + body[: length - 2]


def opened(
    peer: Peer, *, passive: bool = False, offer: dict[str, object] = OFFER, **config: object
) -> Peer:
    """It is agreed; neither side's options are known to pass."""
    peer.configure(**{"ecn": 3, "quick_acks": 0} | config)
    if passive:
        peer.app.listen()
        peer.sends(ASKS, seq=0, **offer)
        assert field(peer.gets(ack=1)) == CODES[NOT_ECT]
        peer.sends(flags(CODES[NOT_ECT], "ACK"))
        peer.app.accept()
    else:
        peer.app.connect()
        peer.gets(ASKS)
        peer.sends(flags(CODES[NOT_ECT], "SYN", "ACK"), seq=0, **offer)
        assert field(peer.gets(seq=1)) == CODES[NOT_ECT]
    assert peer.app.info.accecn
    assert peer.app.info.ecn_ok == 2
    return peer


def filled(peer: Peer, count: int = 10, **config: object) -> Peer:
    """Segments of MSS bytes, SRTT 100 ms, `count` of them in flight; the stack's options, which
    would make the first of them shorter, are held to be lost."""
    peer.configure(**{"ecn": 3, "rto_min": 1.0, "snd_buffer": 1 << 18, "quick_acks": 0} | config)
    peer.app.connect()
    peer.gets(ASKS)
    peer.advance(0.1)
    offer = {"mss": MSS, "wscale": 7, "sack_permitted": True}
    for _ in range(2):
        peer.sends(flags(CODES[NOT_ECT], "SYN", "ACK"), seq=0, ack=1, **offer)
        peer.gets(seq=1)
    peer.sends(ack(0), seq=1, ack=1, window=1 << 20)
    peer.app.send(bytes(200 * MSS))
    sent = peer.gets_all()
    assert numbers(sent) == list(range(count))
    assert {got.ecn for got in sent} == {ECT_0}
    return peer


def tells(peer: Peer, number: int, marks: int, **fields: object) -> list[Got]:
    """The peer has all before segment `number`, and `marks` packets came marked, all told."""
    peer.sends(ack(marks), ack=edge(number), window=1 << 20, **fields)
    return peer.gets_all()


# -- the opening ----------------------------------------------------------------------------------

FIELDS = [NOT_ECT, ECT_1, ECT_0, CE]
NEITHER, CLASSIC, ACCURATE = "neither", "classic", "accurate"


def mode(peer: Peer) -> str:
    info = peer.app.info
    return ACCURATE if info.accecn else CLASSIC if info.ecn_ok else NEITHER


def answered(peer: Peer, code: int, tos: int = NOT_ECT, **config: object) -> Peer:
    """Our SYN asks, and the SYN,ACK has these flags."""
    peer.configure(**{"ecn": 3} | config).app.connect()
    peer.gets(ASKS)
    peer.sends(flags(code, "SYN", "ACK"), seq=0, tos=tos, **OFFER)
    return peer


def asked(peer: Peer, code: int = 7, tos: int = NOT_ECT, **config: object) -> Peer:
    """A SYN with these flags has come."""
    peer.configure(**{"ecn": 5} | config).app.listen()
    peer.sends(flags(code, "SYN"), seq=0, tos=tos, **OFFER)
    return peer


def new_data(peer: Peer, data: bytes = b"x") -> int:
    """The codepoint of what is sent now."""
    peer.app.send(data)
    return peer.gets(data=data, within=3).ecn


__all__ = [
    "ACCURATE",
    "ASKS",
    "CE",
    "CLASSIC",
    "CODES",
    "ECT_0",
    "ECT_1",
    "FIELDS",
    "MSS",
    "NEITHER",
    "NOT_ECT",
    "OFFER",
    "SETUP",
    "ack",
    "answered",
    "asked",
    "edge",
    "field",
    "filled",
    "flags",
    "mode",
    "new_data",
    "numbers",
    "opened",
    "option",
    "options",
    "tells",
]  # fmt: skip
