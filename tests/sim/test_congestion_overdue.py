"""A congestion control written in Python falls silent, and then a time-out comes."""

from sim.test_congestion_external import BDP, HEADERS, RATE, Told, path
from support.bulk import Bulk
from usertcp import CongestionDecision
from usertcp.testing import Impairment


def test_slow_start_after_a_time_out_leads_as_far_as_it_would():
    """What is in flight after a time-out, a segment, says nothing of the path: ssthresh stays at
    half of what was in flight before (RFC 5681 3.1 (4))."""
    bulk = Bulk(*path())
    try:
        flow = bulk.start(Told(CongestionDecision(cwnd=BDP)))
        bulk.run(1)
        bulk.is_answering = False
        pipe = bulk.pipes[0]
        before, pipe.impairment = pipe.impairment, Impairment(loss=1.0)
        bulk.run(0.3)
        pipe.impairment = before
        bulk.run(1)
        info = bulk.info(flow)
        assert info.rto_count >= 1
        assert info.congestion["overdue"] == 1
        assert BDP // 2 - 2 * info.snd_mss <= info.ssthresh <= BDP // 2
        assert bulk.goodput(flow, 3) >= 0.9 * RATE * HEADERS
    finally:
        bulk.close()
