"""Congestion control written in Python: what a user subclasses, what it is told, what it answers.

The engine gathers what happens and tells it in reports, one per connection and round trip; Python
is never called for a segment. `_guide` carries reports and decisions.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntFlag
from typing import ClassVar, NamedTuple


class CongestionEvent(IntFlag):
    """What happened since the report before; any of them makes a report at once, but IDLE."""

    RECOVERY = 1
    """Segments were lost: fast recovery has begun (RFC 6675, RFC 8985)."""
    RECOVERED = 2
    """Fast recovery is over."""
    RTO = 4
    """The retransmission time-out fired; cwnd is one segment (RFC 5681 3.1)."""
    UNDO = 8
    """What was taken for congestion was none; cwnd and ssthresh are back (RFC 4015)."""
    ECN = 16
    """A router marked packets: ECE, for the first time in a window (RFC 3168)."""
    IDLE = 32
    """Sending began again after a pause with nothing in flight (RFC 5681 4.1)."""
    OVERDUE = 64
    """No decision came for too long, so that the engine has taken over until one does."""


class CongestionReport(NamedTuple):
    """One connection, from the report before (or from the attachment) until now."""

    at_ns: int
    """When, on the stack's clock."""
    interval_ns: int
    """The time since the report before."""
    acked: int
    """Bytes newly acknowledged, cumulatively, but for those that SACK had told of."""
    delivered: int
    """Bytes the peer newly has, acknowledged cumulatively or by SACK."""
    lost: int
    """Bytes newly taken for lost."""
    delivery_rate: int
    """Bytes per second: the latest sample (draft-ietf-ccwg-bbr-06 4.1); 0: there was none yet."""
    delivery_rate_max: int
    """The greatest of the interval; 0: it had no sample."""
    rtt_min_ns: int
    """The shortest round trip of the interval, of data sent once; 0: it had no sample."""
    rtt_last_ns: int
    """The latest one; 0: there was none yet."""
    srtt_ns: int
    """SRTT (RFC 6298); 0: there is none yet."""
    pacing_rate: int
    """Bytes per second now; 0: not paced."""
    cwnd: int
    """The congestion window now, bytes."""
    ssthresh: int
    """The slow start threshold now, bytes."""
    pipe: int
    """Bytes in the network after the last ACK (RFC 6675)."""
    mss: int
    """Payload of a full segment, bytes."""
    acks: int
    """ACKs that brought news."""
    marks: int
    """Windows in which a router has marked packets."""
    events: CongestionEvent
    """What happened."""
    is_app_limited: bool
    """The application left the network unfilled: rates are what it sent, not what was possible."""
    is_cwnd_limited: bool
    """cwnd was what stopped the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionDecision:
    """What is to hold from now on; None leaves a thing as it is. Fractions are cut off.

    cwnd is one segment at least and 1 GiB at most, ssthresh two segments at least.
    """

    cwnd: float | None = None
    """The congestion window, bytes. The first one ends the engine's own growth of cwnd."""
    ssthresh: float | None = None
    """Up to where the engine grows cwnd again after a time-out, bytes."""
    pacing_rate: float | None = None
    """Bytes per second; 0: not paced."""
    interval: float | None = None
    """Seconds between reports from now on; 0: a round trip (at least a millisecond), the default.
    """


class CongestionControl(ABC):
    """Congestion control of one connection, in Python: subclass it and give an instance away.

        stream.set_congestion(Vegas())
        await stack.connect_tcp(host, port, congestion=Vegas())
        await stack.create_tcp_listener(local_port=80, congestion=Vegas)   # one per connection

    `on_report` is called from a turn of the stack, in the event loop's thread, with a report that
    is due: once per round trip or `interval`, with an ACK; at once at a loss, a time-out, a mark,
    an undo. It must be quick, must not block, and leaves the stack and its streams alone.

    Until the first decision on cwnd the engine goes by RFC 5681. It keeps the connection safe in
    between: a decision that does not come for 100 ms or four round trips although one is due, and
    RFC 5681 takes over, beginning with what is in flight, until one comes. When `on_report` raises,
    the connection goes on with the stack's own algorithm; that is logged as an error of the logger
    `usertcp` and counted as `congestion_failed`.
    """

    decides_on_loss: ClassVar[bool] = False
    """False: fast recovery halves the window, as RFC 5681 and RFC 9937 say, and so does a mark; a
    decision on cwnd holds when the episode is over. True: a loss changes nothing but by decision.
    A time-out takes cwnd to one segment in both cases."""

    interval: ClassVar[float] = 0.0
    """Seconds between reports; 0: a round trip, at least a millisecond."""

    @abstractmethod
    def on_report(self, report: CongestionReport) -> CongestionDecision | None:
        """What happened, and what is to hold now; None: all stays as it is."""
