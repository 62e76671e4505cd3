"""tcp/sent and tcp/rate: what the log of a flight with holes tells of delivery rates."""

import random

import pytest

from support.whitebox import ffi, lib

MSS = 1000
MS = 1_000_000
RTT = 50 * MS


class Flight:
    """A sender of segments, and what draft-ietf-ccwg-bbr-06 4.1.2 keeps of each."""

    def __init__(self) -> None:
        self.s = ffi.gc(lib.wb_sender_new(1, 1 << 19, MSS), lib.wb_sender_free)
        lib.wb_sender_use_rack(self.s, RTT, RTT)
        lib.wb_sender_use_log(self.s)
        self.now = 1000 * MS
        self.delivered = 0
        self.stamps: list[tuple[int, int]] = []  # of each segment: (left at, P.delivered)
        self.there: set[int] = set()

    def wait(self, ns: int) -> None:
        self.now += ns
        lib.wb_sender_at(self.s, self.now)

    def send(self) -> None:
        self.stamps.append((self.now, self.delivered))
        lib.wb_sender_send(self.s, MSS)

    def send_again(self, n: int) -> None:
        self.stamps[n] = (self.now, self.delivered)
        lib.wb_sender_resend(self.s, n * MSS, (n + 1) * MSS)

    def sack(self, lo: int, hi: int) -> tuple[int, tuple[int, int]]:
        """P.delivered as the log has it, and the stamp of the newest as it is."""
        new = set(range(lo, hi)) - self.there
        self.there |= new
        self.delivered += len(new) * MSS
        newest = max(self.stamps[n] for n in new)
        lib.wb_sender_sacked(self.s, [lo * MSS, hi * MSS], 1)
        out = ffi.new("uint64_t[3]")
        assert lib.wb_sender_sample(self.s, len(new) * MSS, out)
        return out[0], newest


def test_a_retransmission_gives_its_time_to_no_other_segment():
    """More segments than the log has runs: a sample may be too long, but none too short."""
    flight = Flight()
    for _ in range(400):
        flight.wait(MS)
        flight.send()
    for lo in range(1, 200, 5):
        flight.sack(lo, lo + 2)
    for n in range(200, 398, 3):
        flight.wait(MS)
        flight.send_again(n)
        for one in (n + 1, n + 2):
            found, newest = flight.sack(one, one + 1)
            assert found <= newest[1]
        found, newest = flight.sack(n, n + 1)
        assert found <= newest[1]


def test_what_is_sacked_takes_no_room():
    """Runs of the log are for what is out: a flight of which most has arrived leaves room."""
    flight = Flight()
    for _ in range(60):
        flight.wait(MS)
        flight.send()
    assert lib.wb_sender_log_runs(flight.s) == 60
    for n in range(1, 60):
        flight.sack(n, n + 1)
        assert lib.wb_sender_log_runs(flight.s) == 61 - n
    flight.wait(MS)
    flight.send()
    assert lib.wb_sender_log_runs(flight.s) == 3


@pytest.mark.parametrize("seed", range(20))
def test_samples_while_there_is_room_are_exact(seed: int):
    """Segments that leave one by one, some lost and sent again: P.delivered to the byte."""
    rng = random.Random(seed)
    flight = Flight()
    lost: list[int] = []
    n = 1
    flight.send()  # never arrives: nothing is acknowledged cumulatively
    for _ in range(150):
        flight.wait(MS)
        flight.send()
        if rng.random() < 0.1:
            lost.append(n)
        else:
            found, newest = flight.sack(n, n + 1)
            assert found == newest[1]
        if lost and rng.random() < 0.1:
            again = lost.pop(0)
            flight.wait(MS)
            flight.send_again(again)
            found, newest = flight.sack(again, again + 1)
            assert found == newest[1]
        n += 1
