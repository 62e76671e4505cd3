"""Slow start that overruns a queue of hundreds of segments: a hole at every other one."""

import pytest

from support.bulk import Bulk
from usertcp.testing import Impairment

RATE = 100e6  # bits per second
DELAY = 0.02  # s, each way
QUEUE = int(RATE * 2 * DELAY / 8)


@pytest.mark.rfc("2018-06")
@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_hundreds_of_holes_are_filled_once_each(name: str):
    bulk = Bulk(Impairment(delay=DELAY, rate=RATE, queue=QUEUE), Impairment(delay=DELAY))
    try:
        flow = bulk.start(name)
        bulk.run(2)
        info = bulk.info(flow)
        assert 200 < info.retransmits < (1700 if name == "cubic" else 900)
        assert info.spurious_retransmits == 0
        assert info.rto_count == 0
        assert bulk.ends[1].raw.counters()["drop_tcp_reasm_full"] == 0
        assert flow.received * 8 / 2 > 0.82 * RATE
    finally:
        bulk.close()
