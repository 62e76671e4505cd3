"""Congestion controls written in Python that come late, fall silent, raise, or decide nonsense."""

import logging
from typing import Any

import pytest

from sim.controls import BDP, DELAY, HEADERS, MSS, RATE, Sole, Told, path, shares
from usertcp import CongestionDecision, CongestionEvent, CongestionReport
from usertcp.testing import Impairment


def test_a_late_control_neither_stalls_nor_melts_the_stream(bulks):
    """Decisions stop coming when the window is ten times the path's, and unpaced losses would not
    end: RFC 5681 takes over from what is in flight."""
    bulk = bulks(*path(queue=BDP))
    control = Sole(CongestionDecision(cwnd=10 * BDP, pacing_rate=2 * RATE / 8))
    flow = bulk.start(control)
    bulk.run(1)
    bulk.is_answering = False
    windows: list[tuple[int, int]] = []

    def note() -> None:
        windows.append(((now := bulk.info(flow)).fast_recoveries, now.cwnd))

    bulk.run(1, each=note)
    info = bulk.info(flow)
    assert info.congestion["overdue"] == 1
    assert info.pacing_rate == 0
    assert info.cwnd <= 3 * BDP
    # Most of FlightSize is SACKed by then: half of it would be more than the window that lost.
    losses = [(a, b) for a, b in zip(windows, windows[1:], strict=False) if b[0] > a[0]]
    assert losses
    assert all(now[1] <= was[1] // 2 + MSS for was, now in losses)
    bulk.run(1)
    before = bulk.info(flow).bytes_retransmitted
    (share,) = shares(bulk, 0, 8)
    assert share >= 0.9 * HEADERS
    assert bulk.info(flow).bytes_retransmitted - before < 0.01 * 8 * RATE / 8
    assert bulk.ends[0].raw.counters()["congestion_overdue"] == 1
    bulk.is_answering = True
    control.answer = CongestionDecision(cwnd=BDP, pacing_rate=0)
    bulk.run(1)
    assert any(events & CongestionEvent.OVERDUE for events in control.events())
    assert bulk.info(flow).congestion["overdue"] == 0
    assert bulk.info(flow).cwnd == BDP


class SomeError(Exception):
    pass


def raises(_report: CongestionReport) -> CongestionDecision:
    raise SomeError("so it is")


NONSENSE: list[tuple[Any, str]] = [
    (raises, "so it is"),
    ("cwnd", "is no CongestionDecision"),
    (CongestionDecision(cwnd=-1), "cwnd: -1 is negative"),
    (CongestionDecision(pacing_rate=float("nan")), "pacing_rate: nan"),
    (CongestionDecision(interval=float("inf")), "interval: inf"),
    (CongestionDecision(ssthresh="much"), "must be real number"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("answer", "words"), NONSENSE, ids=[words for _, words in NONSENSE])
def test_what_raises_is_given_up(bulks, caplog, answer: Any, words: str):
    bulk = bulks(*path())
    control, other = Told(CongestionDecision(cwnd=BDP // 2)), Told()
    flow = bulk.start(control)
    bulk.start(other)
    bulk.run(1)
    control.answer = answer
    with caplog.at_level(logging.ERROR, "usertcp"):
        bulk.run(1)
    (record,) = caplog.records
    assert "goes on without it" in record.getMessage()
    assert words in caplog.text
    count, others = len(control.reports), len(other.reports)
    assert sum(shares(bulk, 1, 5)) >= 0.9 * HEADERS
    assert bulk.info(flow).congestion_control == "cubic"
    assert len(control.reports) == count
    assert len(other.reports) > others + 20  # its neighbour's control goes on
    assert bulk.ends[0].raw.counters()["congestion_failed"] == 1


@pytest.mark.parametrize(
    ("decision", "cwnd"),
    [(CongestionDecision(cwnd=0), MSS), (CongestionDecision(cwnd=2**70), 1 << 30)],
)
def test_windows_are_kept_within_bounds(bulks, decision: CongestionDecision, cwnd: int):
    bulk = bulks(*path(), snd_buffer=1 << 16)
    flow = bulk.start(Sole(decision))
    bulk.run(2)
    assert bulk.info(flow).cwnd == cwnd
    # One segment in flight waits for the delayed ACK, too.
    assert bulk.goodput(flow, 2) >= 0.9 * MSS * 8 / (2 * DELAY + 0.04)


def test_slow_start_after_a_time_out_leads_as_far_as_it_would(bulks):
    """What is in flight after a time-out, a segment, says nothing of the path: ssthresh stays at
    half of what was in flight before (RFC 5681 3.1 (4))."""
    bulk = bulks(*path())
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
