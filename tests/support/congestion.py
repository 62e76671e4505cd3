"""One congestion control alone, event by event (csrc/api/whitebox_cc.h). Windows in bytes."""

from typing import Any

from support.whitebox import ffi, lib
from usertcp._congestion import congestion_index

MSS = 1000
SECOND = 1_000_000_000
MS = 1_000_000
INFINITE = 2**32 - 1


class Control:
    """`ack` moves what is in flight on by a window, as a bulk sender's does."""

    def __init__(
        self,
        name: str,
        *,
        cwnd: int = 0,
        ssthresh: int = INFINITE,
        mss: int = MSS,
        hystart: int = 0,
        cubic_ssthresh: int = 0,
    ) -> None:
        self.mss = mss
        self.c: Any = ffi.gc(lib.wb_cc_new(congestion_index(name), MSS), lib.wb_cc_free)
        if hystart or cubic_ssthresh:
            lib.wb_cc_choose(self.c, hystart, cubic_ssthresh)
        self.now = 1000 * SECOND
        self.una = 1
        if cwnd:
            self.set(cwnd, ssthresh)

    @property
    def cwnd(self) -> int:
        return int(lib.wb_cc_cwnd(self.c))

    @property
    def ssthresh(self) -> int:
        return int(lib.wb_cc_ssthresh(self.c))

    def __getitem__(self, name: str) -> int:
        return int(lib.wb_cc_value(self.c, name.encode()))

    def set(self, cwnd: int, ssthresh: int = INFINITE) -> None:
        lib.wb_cc_set(self.c, cwnd, ssthresh)

    def ack(self, acked: int, *, after: int = 0, limited: bool = True, **rtts: int) -> None:
        """`after` ns `acked` bytes are acknowledged. `rtts`: `srtt` and, of this ACK, `rtt`."""
        self.now += after
        self.una += acked
        one = ffi.new("wb_ack *", {"now": self.now, "srtt": 100 * MS, "una": self.una} | rtts)
        one.nxt = self.una + max(self.cwnd - acked, 0)  # what is out before more may go
        one.acked = acked
        one.is_cwnd_limited = limited
        lib.wb_cc_ack(self.c, one)

    def round(self, rtt: int = 100 * MS, **how: Any) -> None:
        """A window is acknowledged, segment by segment, evenly over a round trip."""
        count = max(self.cwnd // self.mss, 1)
        for _ in range(count):
            self.ack(self.mss, after=rtt // count, srtt=rtt, **how)

    def lose(self, flight: int | None = None) -> None:
        """Fast recovery, from its beginning to its end."""
        flight = self.cwnd if flight is None else flight
        lib.wb_cc_recovery(self.c, self.now, flight)
        lib.wb_cc_recovered(self.c, self.now, flight)

    def time_out(self, flight: int | None = None, *, first: bool = True) -> None:
        lib.wb_cc_rto(self.c, self.now, self.cwnd if flight is None else flight, first)

    def mark(self, flight: int | None = None) -> None:
        lib.wb_cc_ecn(self.c, self.now, self.cwnd if flight is None else flight)

    def keep(self) -> None:
        lib.wb_cc_keep(self.c)

    def undo(self) -> None:
        lib.wb_cc_undo(self.c, self.now)
