"""tcp/rack, tcp/resent and tcp/sendlog against RFC 8985 6.2 written down octet by octet.

The model keeps the exact time of every octet, the engine marks and runs. Sends are four
milliseconds apart, further than the eighth of the minimum RTT that shares a mark, so both must
agree:
what the engine marks lost is lost, and nothing is overlooked for longer than that eighth.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.whitebox import ffi, lib

MS = 1_000_000
MSS = 4
STEP = 4 * MS  # more than QUANTUM, less than the reordering window of RTT_MIN / 4
SRTT, RTT_MIN = 40 * MS, 24 * MS
QUANTUM = RTT_MIN // 8
SEGMENTS = 12
START = 1000 * MS

isses = st.sampled_from([0, 1000, 2**32 - 5, 2**32 - 20])
waits = st.integers(1, 6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), waits),
        st.tuples(st.just("sack"), waits, st.integers(0, SEGMENTS - 1), st.integers(1, 3)),
        st.tuples(st.just("ack"), waits, st.integers(1, 3)),
        st.tuples(st.just("resend"), waits),
    ),
    min_size=4,
    max_size=30,
)


@dataclass
class Octet:
    sent: int
    again: bool = False
    sacked: bool = False
    lost: bool = False


@dataclass
class Model:
    """RFC 8985 6.2 with one entry per octet."""

    now: int = START
    una: int = 0
    octets: list[Octet] = field(default_factory=list)
    rack: tuple[int, int, bool] | None = None
    rtt: int = 0
    fack: int = 0
    reordering: bool = False

    def send(self):
        self.octets += [Octet(self.now) for _ in range(MSS)]

    def deliver(self, lo, hi):
        # One call is one stretch: reordering is told by segments, in order of sequence.
        taken = None  # when that of which RACK.rtt is was sent: the last of this ACK, or the first
        for n in range(lo, hi):
            one = self.octets[n]
            if one.sacked:
                continue
            end = n + 1
            if end > self.fack:
                self.fack = end
            elif end < self.fack and not one.again:
                self.reordering = True
            one.sacked, one.lost = True, False
            if one.again and self.now - one.sent < RTT_MIN:
                continue
            if taken is None or (one.sent < taken if self.reordering else one.sent > taken):
                taken = one.sent
                self.rtt = self.now - taken
            if self.rack is None or (one.sent, end) > self.rack[:2]:
                self.rack = (one.sent, end, one.again)

    def wait(self, dup_acks):
        segments = runs = 0
        inside = False
        for one in self.octets[self.una :]:
            runs = runs + 1 if one.sacked and inside else int(one.sacked)
            inside = one.sacked
            segments += runs % MSS == 1
        if not self.reordering and max(segments, dup_acks) >= 3:
            return self.rtt
        return self.rtt + min(RTT_MIN // 4, SRTT)

    def lost(self, dup_acks, slack):
        """Octets that are lost by now, had the clock been `slack` earlier."""
        if self.rack is None:
            return set()
        found = set()
        for n in range(self.una, len(self.octets)):
            one = self.octets[n]
            if one.sacked:
                continue
            before = (one.sent, n + 1) < self.rack[:2]
            if one.lost or (before and one.sent + self.wait(dup_acks) <= self.now - slack):
                found.add(n)
        return found


class Sender:
    def __init__(self, iss):
        flight = SEGMENTS * MSS
        self.s = ffi.gc(lib.wb_sender_new(iss, flight, MSS), lib.wb_sender_free)
        lib.wb_sender_use_rack(self.s, SRTT, RTT_MIN)

    def lost(self, end):
        return {n for n in range(end) if lib.wb_sender_is_lost(self.s, n)}


@pytest.mark.rfc("8985-02", "8985-03", "8985-04", "8985-05", "8985-06", "8985-09", "8985-20")
@settings(max_examples=300)
@given(isses, steps)
def test_what_is_lost(iss, program):
    sender, model = Sender(iss), Model()
    for what, wait, *args in program:
        model.now += wait * STEP
        lib.wb_sender_at(sender.s, model.now)
        end = len(model.octets)
        if what == "send" and end < SEGMENTS * MSS:
            model.send()
            lib.wb_sender_send(sender.s, MSS)
            continue
        if what == "sack":
            lo, hi = args[0] * MSS, min((args[0] + args[1]) * MSS, end)
            if not model.una < lo < hi:
                continue
            model.deliver(lo, hi)
            lib.wb_sender_sacked(sender.s, [lo, hi], 1)
        elif what == "ack":
            una = min(model.una + args[0] * MSS, end)
            if una == model.una:
                continue
            model.deliver(model.una, una)
            model.una = una
            lib.wb_sender_advanced(sender.s, una)
        elif what == "resend":
            lost = [n for n in range(model.una, end) if model.octets[n].lost]
            if not lost:
                continue
            lo = lost[0]
            hi = lo
            while hi < end and hi < lo + MSS and model.octets[hi].lost:
                model.octets[hi] = Octet(model.now, again=True)
                hi += 1
            lib.wb_sender_resend(sender.s, lo, hi)
            continue
        else:
            continue
        lib.wb_sender_detect(sender.s)
        found = sender.lost(end)
        assert found <= model.lost(0, 0), "marked before its time"
        assert found >= model.lost(0, QUANTUM), "overlooked"
        for n in found:
            model.octets[n].lost = True
