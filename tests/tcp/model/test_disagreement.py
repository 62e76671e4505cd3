"""Every state against every other: two ends of one name that agree on nothing come to rest.

Each end was brought to its state by a peer of its own; then they are joined, and a stray ACK is put
into both. What one says is unacceptable to the other and asks for an ACK: it must not go on for
ever (SEC-13, attack 44; RFC 5961 7).
"""

import pytest

from support.segments import ACK, Seg
from support.twin import ISN, Twin
from support.ways import WAYS, twin_in

MS = 1_000_000
ROUNDS = 150  # of 1 ms: below any retransmission time-out
# How far the second end's numbers are from what the first end's were: its ISS, and its IRS.
OFFSETS = [(1000, 0), (0, 1000), (1 << 29, 1 << 28)]


def stray(twin: Twin) -> None:
    """An ACK from somewhere else."""
    own = twin.reference
    twin.engine.inject(twin.packet(Seg(ACK, own.rcv_nxt + (1 << 27), own.nxt)))


def packets_between(a: Twin, b: Twin) -> int:
    """How many leave before there is silence, or in all the rounds."""
    count = 0
    for _ in range(ROUNDS):
        from_a, from_b = a.engine.take(), b.engine.take()
        if not from_a and not from_b:
            break
        count += len(from_a) + len(from_b)
        for twin, packets in ((b, from_a), (a, from_b)):
            twin.engine.advance(MS)
            for packet in packets:
                twin.engine.inject(packet.data)
    return count


@pytest.mark.attack(44)
@pytest.mark.rfc("SEC-13", "SEC-14", "5961-07", "9293-EV-22")
@pytest.mark.parametrize("timestamps", [False, True], ids=["-", "ts"])
@pytest.mark.parametrize("way", WAYS)
def test_two_ends_come_to_rest(way: str, timestamps: bool):
    worst: list[tuple[int, str, tuple[int, int]]] = []
    for other in WAYS:
        for offset in OFFSETS:
            isns = (ISN + offset[0]) % 2**32, (ISN + offset[1]) % 2**32
            options = {"compared": False, "timestamps": timestamps, "challenge_ack_limit": 10}
            a = twin_in(way, **options)
            b = twin_in(other, mirrored=True, isns=isns, **options)
            stray(a)
            stray(b)
            worst.append((packets_between(a, b), other, offset))
            a.close()
            b.close()
    assert max(worst)[0] < 80, sorted(worst)[-5:]
