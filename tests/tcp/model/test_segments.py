"""(state x segment): every state, every kind of segment, SEQ and ACK at each edge -1, 0, +1.

What is expected comes from `support.rfc9293`, which is RFC 9293 3.10 in plain Python. Beyond the
eleven states there are those within ESTABLISHED and FIN-WAIT-1 that segments tell apart: something
in flight, something held beyond a gap, a window nearly or wholly closed. `tests/tcp/test_events.py`
has the same by hand, for readers, with the reason of each drop.
"""

from collections.abc import Iterator

import pytest

from support.rfc9293 import Reference
from support.segments import ACK, FIN, PSH, RST, SYN, URG, Seg
from support.ways import WAYS, survey, twin_in

HALF = 2**31
KINDS: dict[str, tuple[int, bytes]] = {
    "null": (0, b""),
    "null data": (PSH, b"vwxyz"),
    "SYN": (SYN, b""),
    "SYN data": (SYN, b"vwxyz"),
    "SYN,ACK": (SYN | ACK, b""),
    "SYN,ACK data": (SYN | ACK, b"vwxyz"),
    "SYN,FIN": (SYN | FIN, b""),
    "SYN,FIN,ACK": (SYN | FIN | ACK, b""),
    "SYN,RST": (SYN | RST, b""),
    "ACK": (ACK, b""),
    "data 1": (ACK, b"x"),
    "data 5": (PSH | ACK, b"vwxyz"),
    "data 11": (PSH | ACK, b"ABCDEFGHIJK"),  # longer than the squeezed window and a byte each way
    "URG": (PSH | URG | ACK, b"vwxyz"),
    "FIN": (FIN, b""),
    "FIN,ACK": (FIN | ACK, b""),
    "data 5 FIN": (FIN | ACK, b"vwxyz"),
    "data 9 FIN": (FIN | ACK, b"ABCDEFGHI"),
    "RST": (RST, b""),
    "RST,ACK": (RST | ACK, b""),
    "RST,ACK data": (RST | ACK, b"vw"),
    "FIN,RST,ACK": (FIN | RST | ACK, b""),
}


def around(*numbers: int) -> set[int]:
    return {number + step for number in numbers for step in (-1, 0, 1)}


def sequence_numbers(own: Reference, length: int) -> set[int]:
    """About both edges of the window, for its begin and its end; and half the space away."""
    far = {own.rcv_nxt - HALF, own.rcv_nxt + HALF - 1}
    ends = around(own.rcv_nxt - length, own.edge - length)
    return {own.irs, *around(own.rcv_nxt, own.edge), *ends, *far}


def ack_numbers(own: Reference) -> set[int]:
    """About SND.UNA, SND.NXT and the oldest that RFC 5961 5.2 believes."""
    oldest = max(own.una - own.max_wnd, 1)
    return {*around(own.una, own.nxt, oldest), own.una - HALF, own.una + HALF - 1}


def segments(own: Reference, flags: int, data: bytes) -> Iterator[Seg]:
    acks = sorted(ack_numbers(own)) if flags & ACK else [0]
    for seq in sorted(sequence_numbers(own, Seg(flags, 0, data=data).length)):
        for ack in acks:
            yield Seg(flags, seq, ack, data, urgent=3 if flags & URG else 0)


@pytest.mark.rfc(
    "9293-EV-01", "9293-EV-02", "9293-EV-03", "9293-EV-04", "9293-EV-05", "9293-EV-06",
    "9293-EV-07", "9293-EV-08", "9293-EV-09", "9293-EV-10", "9293-EV-11", "9293-EV-12",
    "9293-EV-13", "9293-EV-14", "9293-EV-20", "9293-EV-21", "9293-EV-23", "9293-EV-24",
    "9293-MUST-10", "9293-MUST-11", "9293-MUST-66", "9293-SHLD-2", "5961-01", "5961-02", "5961-03",
    "5961-04", "5961-05", "5961-06", "1337-01", "SEC-14",
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_each_state(kind: str, ipv6: bool):
    flags, data = KINDS[kind]
    count = 0
    for way in WAYS:
        twin = twin_in(way, ipv6=ipv6)
        twin.close()
        count += survey(way, segments(twin.reference, flags, data), ipv6=ipv6)
    assert count >= 7 * len(WAYS)
