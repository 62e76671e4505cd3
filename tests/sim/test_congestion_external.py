"""Congestion controls written in Python, over one bottleneck in virtual time: those of the recipe,
what they are told, and what holds when they say nothing; when they come late, raise or decide
nonsense: test_congestion_overdue.py."""

from collections.abc import Callable
from typing import Any

import pytest

from sim.controls import BDP, DELAY, HEADERS, MSS, RATE, Halving, Sole, Told, path, shares
from sim.runs import on_trio
from sim.test_network_programs import on_asyncio
from support import pages
from support.bulk import jain
from support.csource import ROOT
from usertcp import CongestionDecision, CongestionEvent
from usertcp.testing import Impairment, Network

BLOCKS = pages.blocks((ROOT / "docs/recipes/congestion.md").read_text(), "python")
RECIPE: dict[str, Any] = {}
exec(BLOCKS[0], RECIPE)
Vegas, ConstantRate = RECIPE["Vegas"], RECIPE["ConstantRate"]


def test_vegas_fills_the_link_with_hardly_a_queue(bulks):
    bulk = bulks(*path(queue=4 * BDP))
    flow = bulk.start(Vegas())
    (share,) = shares(bulk, 3, 10)
    assert share >= 0.98 * HEADERS
    info = bulk.info(flow)
    assert info.congestion_control == "external"
    assert info.congestion["guided"] == 1
    assert info.rto_count == 0
    assert 2 * DELAY * 1e9 < info.srtt_ns < 2.4 * DELAY * 1e9  # four segments at most


def test_a_constant_rate_is_kept_whatever_is_lost(bulks):
    bulk = bulks(*path(loss=0.01))
    flow = bulk.start(ConstantRate(1_250_000))
    (share,) = shares(bulk, 2, 10)
    assert share == pytest.approx(0.5 * 0.99, rel=0.03)
    assert bulk.info(flow).pacing_rate == 1_250_000


def test_two_flows_share(bulks):
    bulk = bulks(*path())
    for _ in range(2):
        bulk.start(Halving())
    got = shares(bulk, 10, 30)
    assert sum(got) >= 0.9 * HEADERS
    assert jain(got) >= 0.9


def test_who_decides_nothing_is_reno(bulks):
    got = {}
    for control in ("reno", Told()):
        bulk = bulks(*path())
        flow = bulk.start(control)
        got[type(control)] = *shares(bulk, 3, 10), bulk.info(flow).fast_recoveries
    assert got[Told][0] == pytest.approx(got[str][0], rel=0.02)
    assert got[Told][1] == pytest.approx(got[str][1], abs=1)


def test_reports_add_up(bulks):
    """What the peer has is told once; nothing is told twice, nothing between two reports lost."""
    bulk = bulks(*path(loss=0.005))
    control = Told()
    flow = bulk.start(control)
    bulk.run(5)
    info, reports = bulk.info(flow), control.reports
    delivered = sum(report.delivered for report in reports)
    assert abs(info.bytes_acked - delivered) <= 2 * BDP  # since the last, and SACKed now
    assert info.bytes_acked > 20 * BDP
    assert all(report.acked <= report.delivered for report in reports)
    assert sum(report.lost for report in reports) == pytest.approx(
        info.bytes_retransmitted, abs=20 * MSS
    )
    times = [report.at_ns for report in reports]
    assert [b - a for a, b in zip(times, times[1:], strict=False)] == [
        report.interval_ns for report in reports[1:]
    ]
    quiet = [report for report in reports if report.rtt_min_ns and not report.events]
    assert all(report.rtt_min_ns >= 2 * DELAY * 1e9 for report in quiet)
    assert max(report.delivery_rate for report in reports) <= RATE / 8 * 1.01
    assert max(report.delivery_rate for report in reports) >= RATE / 8 * 0.9
    assert {report.mss for report in reports} == {MSS}


def test_a_loss_is_told_at_once_and_the_window_halved(bulks):
    bulk = bulks(*path(queue=BDP // 2))
    control = Told(CongestionDecision(cwnd=2 * BDP))  # too much for link and queue
    flow = bulk.start(control)
    bulk.run(3)
    first = next(r for r in control.reports if r.events & CongestionEvent.RECOVERY)
    assert first.lost > 0
    assert first.ssthresh == pytest.approx(BDP, rel=0.3)  # half of what was in flight
    assert first.interval_ns < 2 * DELAY * 1e9  # not when the round trip is over
    told = control.events()
    assert CongestionEvent.RECOVERED in told
    after = control.reports[control.reports.index(first) + 1]
    assert after.cwnd < 1.5 * BDP  # PRR's: the decision waits for the end of the episode
    assert bulk.info(flow).fast_recoveries > 3  # and then it holds, each time


def test_a_loss_left_to_the_control_changes_nothing(bulks):
    bulk = bulks(*path(loss=0.01, queue=4 * BDP))
    control = Sole(CongestionDecision(cwnd=BDP))
    bulk.start(control)
    (share,) = shares(bulk, 1, 5)
    decided = [r.cwnd for r in control.reports[1:] if not r.events & CongestionEvent.RTO]
    assert set(decided) == {BDP}
    assert any(report.events & CongestionEvent.RECOVERY for report in control.reports)
    assert share > 0.85 * HEADERS


@pytest.mark.parametrize("kind", [Told, Sole])
def test_a_time_out_leaves_one_segment(bulks, kind: type[Told]):
    bulk = bulks(*path())
    control = kind(CongestionDecision(cwnd=BDP))
    flow = bulk.start(control)
    bulk.run(1)
    pipe = bulk.pipes[0]
    before, pipe.impairment = pipe.impairment, Impairment(loss=1.0)
    windows: list[int] = []
    bulk.run(2, each=lambda: windows.append(bulk.info(flow).cwnd))
    pipe.impairment = before
    first = next(r for r in control.reports if r.events & CongestionEvent.RTO)
    assert first.cwnd <= MSS + 12
    if kind is Told:
        assert windows[-1] <= MSS + 12  # decisions wait until slow start is through
    (share,) = shares(bulk, 3, 5)
    assert share >= 0.9 * HEADERS
    assert bulk.info(flow).cwnd == BDP


def test_an_undo_is_told_and_the_window_is_back(bulks):
    """A delay that jumps makes the time-out fire though nothing was lost (RFC 5682)."""
    bulk = bulks(*path())
    control = Told(CongestionDecision(cwnd=BDP))
    flow = bulk.start(control)
    bulk.run(1)
    pipe = bulk.pipes[0]
    pipe.impairment = Impairment(delay=0.6, rate=RATE, queue=BDP)
    bulk.run(3)
    assert any(events & CongestionEvent.RTO for events in control.events())
    assert any(events & CongestionEvent.UNDO for events in control.events())
    assert bulk.info(flow).cwnd == BDP


def test_marks_are_told(bulks):
    bulk = bulks(*path(mark_above=BDP // 2), ecn=1)
    control = Halving()
    flow = bulk.start(control)
    (share,) = shares(bulk, 5, 10)
    info = bulk.info(flow)
    assert sum(report.marks for report in control.reports) == info.ecn_reductions > 1
    assert any(events & CongestionEvent.ECN for events in control.events())
    assert share >= 0.9 * HEADERS


def test_a_pause_is_told(bulks):
    """After it the window is the initial one, RFC 5681 4.1, until the next decision."""
    bulk = bulks(*path())
    control = Told(CongestionDecision(cwnd=BDP))
    flow = bulk.start(control)
    bulk.run(1)
    bulk.is_filling = False
    bulk.run(3)
    count = len(control.reports)
    bulk.is_filling = True
    bulk.fill(flow)
    assert bulk.info(flow).cwnd == 10 * MSS
    bulk.run(0.1)
    assert control.reports[count].events & CongestionEvent.IDLE
    assert bulk.info(flow).cwnd == BDP


# ---- what it costs -------------------------------------------------------------------------------


def count_of(run: Callable[[], None]) -> dict[str, int]:
    """How often functions written in Python are entered in the package, by name."""
    import sys

    calls: dict[str, int] = {}

    def look(frame: Any, what: str, _arg: object) -> None:
        code = frame.f_code
        if what == "call" and "_guide" in code.co_filename:
            calls[code.co_name] = calls.get(code.co_name, 0) + 1

    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


def test_no_call_per_segment(bulks):
    """One report per round trip: of the path's 67 segments in flight here, and of a window four
    times as large on a deeper queue."""
    per_thousand = {}
    for factor in (1, 4):
        bulk = bulks(*path(queue=8 * BDP))
        control = Told(CongestionDecision(cwnd=factor * BDP))
        flow = bulk.start(control)
        bulk.run(1)
        had, segments = len(control.reports), bulk.info(flow).data_segs_out
        turns = bulk.guide.turns
        calls = count_of(lambda bulk=bulk: bulk.run(5))
        sent = bulk.info(flow).data_segs_out - segments
        reports = len(control.reports) - had
        assert calls["turn"] == bulk.guide.turns - turns == reports
        assert reports <= 5 / (factor * 2 * DELAY) * 1.1
        per_thousand[factor] = 1000 * reports / sent
    assert per_thousand[1] < 16
    assert per_thousand[4] < 4.5


def test_many_connections_are_told_in_one_call(bulks):
    bulk = bulks(*path(queue=8 * BDP))
    controls = [Told(CongestionDecision(cwnd=4 * MSS, interval=0.5)) for _ in range(100)]
    for control in controls:
        bulk.start(control)
    bulk.run(3)
    bulk.is_answering = False
    bulk.run(1)
    waiting, turns = bulk.ends[0].raw.shared[3], bulk.guide.turns
    assert waiting == 100
    bulk.guide.turn(bulk.now)
    assert bulk.ends[0].raw.shared[3] == 0
    assert bulk.guide.turns - turns == 2  # of 64 at most


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_recipes_network(backend: str):
    space: dict[str, Any] = dict(RECIPE)
    exec(BLOCKS[2], space)

    async def main() -> float:
        async with Network(1) as net:
            return await space["rate_of_vegas"](net)

    run = {"asyncio": on_asyncio, "trio": on_trio}[backend]
    first, second = (run(main) for _ in range(2))
    assert first == second
    assert 0.7 * RATE < first < RATE
