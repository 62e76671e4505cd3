"""What each congestion control does at one bottleneck, in virtual time; how much it achieves:
test_goodput.py, test_snapshot.py."""

import pytest

from support.bulk import Bulk, Flow, jain
from support.dumbbell import Dumbbell, Path
from usertcp.testing import Impairment

RATE = 20e6  # bits per second
DELAY = 0.02  # s, each way
BDP = int(RATE * 2 * DELAY / 8)
HEADERS = 1448 / 1500  # what is left of the rate for data
MSS = 1448


def path(queue: int = BDP) -> tuple[Impairment, Impairment]:
    return Impairment(delay=DELAY, rate=RATE, queue=queue), Impairment(delay=DELAY)


def goodputs(bulk: Bulk, flows: list[Flow], warm: float, seconds: float) -> list[float]:
    """Of the link, after `warm` seconds."""
    bulk.run(warm)
    before = [flow.received for flow in flows]
    bulk.run(seconds)
    return [
        (flow.received - had) * 8 / seconds / RATE for flow, had in zip(flows, before, strict=True)
    ]


@pytest.mark.parametrize(("name", "least"), [("cubic", 0.95), ("reno", 0.95), ("bbr", 0.95)])
def test_a_flow_alone_fills_the_link(bulks, name: str, least: float):
    bulk = bulks(*path())
    flow = bulk.start(name)
    (share,) = goodputs(bulk, [flow], 3, 10)
    assert share >= least * HEADERS
    info = bulk.info(flow)
    assert info.congestion_control == name
    assert info.rto_count == 0
    assert info.spurious_recoveries == 0


@pytest.mark.parametrize("name", ["cubic", "reno", "bbr"])
def test_two_flows_share(bulks, name: str):
    bulk = bulks(*path())
    flows = [bulk.start(name), bulk.start(name)]
    shares = goodputs(bulk, flows, 5, 20)
    assert sum(shares) >= 0.9 * HEADERS
    assert jain(shares) >= 0.9


def first_loss(bulk: Bulk, flow: Flow) -> int:
    """Segments sent again because of the first slow start."""
    bulk.run(3)
    return bulk.info(flow).retransmits


def test_hystart_leaves_slow_start_before_a_deep_queue_is_full(bulks):
    """RFC 9406: delay tells, long before eight round trips of queue overflow."""
    lost = {}
    for name in ("cubic", "reno"):
        bulk = bulks(*path(queue=8 * BDP))
        flow = bulk.start(name)
        lost[name] = first_loss(bulk, flow)
        info = bulk.info(flow)
        if name == "cubic":
            assert info.ssthresh < 2**32 - 1
            assert info.congestion["hystart_phase"] == 0
    assert lost["cubic"] == 0
    assert lost["reno"] > 100


def test_slow_start_is_paced(bulks):
    """What leaves at one instant is a quantum, not the window."""
    bulk = bulks(*path(queue=1 << 22))
    flow = bulk.start("cubic")
    left: list[int] = []

    def look() -> None:
        left.append(bulk.info(flow).flight_size)

    bulk.run(0.4, each=look)
    info = bulk.info(flow)
    assert info.cwnd >= 40 * MSS
    steps = [b - a for a, b in zip(left, left[1:], strict=False)]
    assert max(steps[100:]) <= 16 * MSS


def test_the_snapshot_tells_what_the_algorithm_keeps(bulks):
    bulk = bulks(*path())
    flows = {name: bulk.start(name) for name in ("cubic", "reno", "bbr")}
    bulk.run(3)
    told = {name: bulk.info(flow).congestion for name, flow in flows.items()}
    assert {"W_max", "K_ns", "W_est", "hystart_phase"} <= told["cubic"].keys()
    assert told["reno"].keys() == {"bytes_acked"}
    assert told["bbr"]["max_bw"] == pytest.approx(RATE / 8, rel=1)
    assert told["bbr"]["min_rtt_ns"] == pytest.approx(2 * DELAY * 1e9, rel=0.2)
    assert bulk.info(flows["bbr"]).pacing_rate > 0


def test_cubic_is_paced_in_congestion_avoidance():
    """RFC 9002 7.7: a quarter more than a window per round trip."""
    with Dumbbell(Path(rate=RATE, rtt=2 * DELAY, queue=BDP)) as d:
        d.add("cubic")
        d.run(10)
        while d.info(0).in_recovery:
            d.run(0.1)
        d.run(0.1)
        info = d.info(0)
        assert info.cwnd >= info.ssthresh
        assert info.pacing_rate == pytest.approx(1.25 * info.cwnd * 1e9 / info.srtt_ns, rel=0.05)


def test_small_windows_are_not_paced():
    rates = set()
    with Dumbbell(Path(rate=RATE, rtt=2 * DELAY, queue=BDP, loss=0.02)) as d:
        d.add("cubic")
        d.run(5)

        def look() -> None:
            info = d.info(0)
            if info.ssthresh <= info.cwnd < 20 * MSS:
                rates.add(info.pacing_rate)

        d.watch(5, 0.01, look)
    assert rates == {0}
