"""ECN over one bottleneck whose router marks instead of dropping (RFC 3168 5), in virtual time."""

import random

import pytest

from support.bulk import jain
from usertcp.testing import Impairment
from usertcp.testing.simulator import SECOND, Simulator

RATE = 20e6
DELAY = 0.02
BDP = int(RATE * 2 * DELAY / 8)
HEADERS = 1448 / 1500
NAMES = ["cubic", "reno", "bbr"]


def router(**faults: float) -> Impairment:
    return Impairment(**{"delay": DELAY, "rate": RATE, "queue": 4 * BDP} | faults)


@pytest.mark.rfc("3168-06", "3168-15")
@pytest.mark.parametrize("ecn", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_flow_fills_the_link_and_loses_nothing(bulks, name: str, ecn: int):
    bulk = bulks(router(mark_above=BDP // 2), ecn=ecn)
    flow = bulk.start(name)
    bulk.run(3)
    assert bulk.goodput(flow, 10) / RATE >= 0.9 * HEADERS
    info = bulk.info(flow)
    pipe = bulk.pipes[0].statistics
    assert (info.retransmits, pipe.lost, pipe.queue_full) == (0, 0, 0)
    assert 0 < info.ecn_reductions <= info.ece_in
    assert pipe.marked > 0
    assert info.accecn == (ecn == 3)
    if info.accecn:  # but for those on their way
        assert pipe.marked - 50 <= info.ece_in <= pipe.marked


@pytest.mark.parametrize("name", NAMES)
def test_the_same_router_drops_what_it_may_not_mark(bulks, name: str):
    bulk = bulks(router(mark_above=BDP // 2), ecn=0)
    flow = bulk.start(name)
    bulk.run(13)
    info = bulk.info(flow)
    assert info.retransmits > 0
    assert (info.ecn_ok, info.ecn_reductions, bulk.pipes[0].statistics.marked) == (0, 0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_two_flows_share(bulks, name: str):
    bulk = bulks(router(mark_above=BDP // 2), ecn=1)
    flows = [bulk.start(name), bulk.start(name)]
    bulk.run(5)
    before = [flow.received for flow in flows]
    bulk.run(20)
    rates = [flow.received - had for flow, had in zip(flows, before, strict=True)]
    assert jain(rates) >= 0.9
    assert sum(rates) * 8 / 20 / RATE >= 0.9 * HEADERS


@pytest.mark.rfc("3168-15")
@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_mark_costs_what_a_loss_does(bulks, name: str):
    goodputs = []
    for fault in ("mark", "loss"):
        bulk = bulks(router(**{fault: 0.005}), ecn=1)
        flow = bulk.start(name)
        bulk.run(5)
        goodputs.append(bulk.goodput(flow, 30))
    marked, lost = goodputs
    assert marked == pytest.approx(lost, rel=0.25)


def test_marking_everything_stops_nothing(bulks):
    """RFC 9438 4.6: down to a segment, and below that the timer."""
    bulk = bulks(router(mark=1.0), ecn=1)
    flow = bulk.start("cubic")
    bulk.run(5)
    assert 0 < bulk.goodput(flow, 30) < 1448 * 8 / DELAY
    info = bulk.info(flow)
    assert info.retransmits == 0
    assert info.cwnd < 2 * 1448


@pytest.mark.rfc("9768-05", "9768-06", "9768-15")
@pytest.mark.parametrize("seed", [*range(40), 360, 393])  # the last two: (3, 5), and all arrives
def test_every_packet_obeys(seed: int):
    """With loss, reordering and duplicates too: the oracles look at each codepoint and flag."""
    rng = random.Random(seed)
    forth, back = (
        Impairment(
            delay=0.01, rate=rng.choice((None, 1e7)), queue=60_000,
            mark=rng.choice((0.0, 0.02, 0.3)), loss=rng.choice((0.0, 0.02, 0.1)),
            reorder=rng.choice((0.0, 0.05)), duplicate=rng.choice((0.0, 0.02)),
        )
        for _ in range(2)
    )  # fmt: skip
    data = [rng.randbytes(400_000) for _ in range(2)]
    with Simulator(seed) as sim:
        settings = rng.choice(((1, 2), (3, 5), (3, 5), (3, 2), (4, 5)))
        a, b = (
            sim.host(f"10.0.0.{i}/24", ecn=ecn, use_sack=rng.random() < 0.8)
            for i, ecn in enumerate(settings, 1)
        )
        sim.join(a, b, forth, back)
        listener = b.engine.listen(7)
        ends = [a.engine.connect(b.address, 7)]
        sent, received = [0, 0], [b"", b""]

        def pump(_host: object = None) -> None:
            if len(ends) == 1 and (accepted := listener.accept()) is not None:
                ends.append(accepted)
            for i, end in enumerate(ends):
                if str(end.info.state) != "ESTABLISHED":
                    continue
                sent[i] += end.send(data[i][sent[i] : sent[i] + 65536]) if sent[i] < 400_000 else 0
                received[1 - i] += end.receive()

        sim.after_event = pump
        done = sim.run(sim.now + 600 * SECOND, stop=lambda: received == data)
        assert done, [len(part) for part in received]
        asked = len(ends) == 2 and ends[0].info.ecn_ok
        accurate = len(ends) == 2 and ends[0].info.accecn and ends[1].info.accecn
        assert not accurate or settings == (3, 5)
        if accurate and not (forth.loss or back.loss or forth.reorder or back.reorder):
            sim.run(sim.now + 2 * SECOND)
            for end, other in (ends, reversed(ends)):
                assert 0 <= other.info.ce_in - end.info.ece_in <= 3  # of the last ACKs
        if asked == 2 and forth.mark == 0.3:
            assert ends[0].info.ecn_reductions > 0
            assert ends[1].info.ce_in > 0
