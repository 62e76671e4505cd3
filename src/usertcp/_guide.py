"""Guide: reports of the engine to congestion controls in Python, and their decisions back.

One per stack that has such controls. A turn of the stack is followed by `turn`: all reports that
are due in a few calls of at most `BATCH`, all decisions in as many.
"""

import logging
from math import isfinite
from struct import Struct
from typing import Final

from usertcp._binding import RawStack, ffi, lib
from usertcp._congestion_control import (
    CongestionControl,
    CongestionDecision,
    CongestionEvent,
    CongestionReport,
)

logger = logging.getLogger("usertcp")

BATCH: Final = 64
"""Reports of one call."""
MOST = 2**32 - 1
_REPORT: Final = Struct("=12Q8I")
_DECISION: Final = Struct("=3Q4I")
_CWND, _SSTHRESH, _PACING_RATE, _INTERVAL = 1, 2, 4, 8
_APP_LIMITED, _CWND_LIMITED = 1, 2
_SECOND = 1_000_000_000
_NOTHING = CongestionEvent(0)

Row = tuple[int, int, int, int, int, int]


def _check_layout() -> None:
    """As `_binding` does for events."""
    assert len(ffi.buffer(ffi.new("ut_cc_report *"))) == _REPORT.size
    assert len(ffi.buffer(ffi.new("ut_cc_decision *"))) == _DECISION.size
    for name in ("CWND", "SSTHRESH", "PACING_RATE", "INTERVAL", "APP_LIMITED", "CWND_LIMITED"):
        assert getattr(lib, f"UT_CC_{name}") == globals()[f"_{name}"], name
    for event in CongestionEvent:
        assert getattr(lib, f"UT_CC_{event.name}") == event, event


_check_layout()


def _whole(name: str, value: float, most: int) -> int:
    if not isfinite(value) or value < 0:
        raise ValueError(f"{name}: {value!r} is negative or not finite")
    return min(int(value), most)


def _row(decision: CongestionDecision | None) -> Row:
    """pacing_rate, interval_ns, cwnd, ssthresh, fields, reserved."""
    if decision is None:
        return (0, 0, 0, 0, 0, 0)
    if not isinstance(decision, CongestionDecision):
        raise TypeError(f"on_report returned {decision!r}, which is no CongestionDecision")
    fields = rate = interval = cwnd = ssthresh = 0
    if decision.cwnd is not None:
        cwnd, fields = _whole("cwnd", decision.cwnd, MOST), fields | _CWND
    if decision.ssthresh is not None:
        ssthresh, fields = _whole("ssthresh", decision.ssthresh, MOST), fields | _SSTHRESH
    if decision.pacing_rate is not None:
        rate, fields = _whole("pacing_rate", decision.pacing_rate, 2**40), fields | _PACING_RATE
    if decision.interval is not None:
        interval = _whole("interval", decision.interval * _SECOND, 3600 * _SECOND)
        fields |= _INTERVAL
    return (rate, interval, cwnd, ssthresh, fields, 0)


def _report(row: tuple[int, ...]) -> CongestionReport:
    events, flags = row[18:]
    told = CongestionEvent(events) if events else _NOTHING
    limits = bool(flags & _APP_LIMITED), bool(flags & _CWND_LIMITED)
    return CongestionReport._make((*row[1:18], told, *limits))


class Guide:
    """The controls of a stack, by handle of their connections."""

    __slots__ = (
        "_controls", "_decision_bytes", "_decisions", "_raw", "_report_bytes", "_reports", "turns",
    )  # fmt: skip

    def __init__(self, raw: RawStack) -> None:
        self._raw = raw
        self._controls: dict[int, CongestionControl] = {}
        self._reports = ffi.new("ut_cc_report[]", BATCH)
        self._report_bytes = memoryview(ffi.buffer(self._reports))
        self._decisions = ffi.new("ut_cc_decision[]", BATCH)
        self._decision_bytes = memoryview(ffi.buffer(self._decisions))
        self.turns: int = 0
        """Calls into C for reports."""

    def attach(self, handle: int, control: CongestionControl, now: int) -> int:
        """0, or a negated code. `ValueError` for an interval that is none."""
        interval = _whole("interval", control.interval * _SECOND, 3600 * _SECOND)
        flags = lib.UT_CC_SOLE if control.decides_on_loss else 0
        code = lib.ut_cc_attach(self._raw._stack, handle, flags, interval, now)  # noqa: SLF001
        if code >= 0:
            self._controls[handle] = control
        return code

    def detach(self, handle: int, now: int) -> None:
        """The connection goes on with the stack's own algorithm, if there was a control."""
        if self._controls.pop(handle, None) is not None:
            lib.ut_cc_detach(self._raw._stack, handle, 0, now)  # noqa: SLF001

    def turn(self, now: int) -> None:
        """Every report that is due, to its control; the decisions, back."""
        controls, pack = self._controls, _DECISION.pack_into
        count = BATCH
        while count == BATCH:
            count = lib.ut_cc_reports(self._raw._stack, self._reports, BATCH)  # noqa: SLF001
            self.turns += 1
            answered = 0
            rows = list(_REPORT.iter_unpack(self._report_bytes[: count * _REPORT.size]))
            for row in rows:
                control = controls.get(row[0])
                if control is None:
                    continue
                handle, report = row[0], _report(row)
                try:
                    answer = _row(control.on_report(report))
                except Exception:
                    logger.exception(
                        "usertcp: %r raised; its connection goes on without it", control
                    )
                    if controls.pop(handle, None) is not None:
                        lib.ut_cc_detach(self._raw._stack, handle, 1, now)  # noqa: SLF001
                    continue
                at = answered * _DECISION.size
                pack(self._decision_bytes, at, handle, *answer)
                answered += 1
            if answered:
                lib.ut_cc_decide(self._raw._stack, self._decisions, answered, now)  # noqa: SLF001
