"""Congestion controls in Python that keep what they are told, and a bottleneck for them."""

from typing import Any

from support.bulk import Bulk
from usertcp import CongestionControl, CongestionDecision, CongestionEvent, CongestionReport
from usertcp.testing import Impairment

RATE, DELAY = 20e6, 0.02
BDP = int(RATE * 2 * DELAY / 8)
HEADERS = 1448 / 1500
MSS = 1448


class Told(CongestionControl):
    """Keeps its reports, and answers what it is told to."""

    def __init__(self, answer: CongestionDecision | None = None) -> None:
        self.answer: Any = answer
        self.reports: list[CongestionReport] = []

    def on_report(self, report: CongestionReport) -> CongestionDecision | None:
        self.reports.append(report)
        return self.answer(report) if callable(self.answer) else self.answer

    def events(self) -> list[CongestionEvent]:
        return [report.events for report in self.reports if report.events]


class Sole(Told):
    decides_on_loss = True


class Halving(Told):
    """Reno's growth, a segment per round trip; the engine halves."""

    def on_report(self, report: CongestionReport) -> CongestionDecision | None:
        super().on_report(report)
        if report.cwnd < report.ssthresh:
            return None if report.ssthresh == 2**32 - 1 else CongestionDecision(cwnd=report.cwnd)
        return CongestionDecision(cwnd=report.cwnd + report.mss * report.is_cwnd_limited)


def path(loss: float = 0.0, queue: int = BDP, **more: Any) -> tuple[Impairment, Impairment]:
    forth = Impairment(delay=DELAY, rate=RATE, queue=queue, loss=loss, **more)
    return forth, Impairment(delay=DELAY)


def shares(bulk: Bulk, warm: float, seconds: float) -> list[float]:
    bulk.run(warm)
    before = [flow.received for flow in bulk.flows]
    bulk.run(seconds)
    return [
        (flow.received - had) * 8 / seconds / RATE
        for flow, had in zip(bulk.flows, before, strict=True)
    ]
