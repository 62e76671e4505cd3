"""What can be looked at: snapshots of connections, transitions, counters. Plain frozen values.

Names are the RFCs' and those of the engine's `ut_info`, field by field (a test compares them);
times that end in `_ns` are nanoseconds, sequence numbers are the wire's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from usertcp._address import SockAddr


class State(IntEnum):
    """RFC 9293 3.3.2."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10

    def __str__(self) -> str:
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """A connection or listener as it was at one moment, like a row of `ss -tni`."""

    handle: int
    state: State
    error: str | None
    """Why it ended (`RESET`, `TIMED_OUT`, ...); None while it lives."""
    local: SockAddr
    remote: SockAddr
    iss: int
    snd_una: int
    snd_nxt: int
    snd_wnd: int
    snd_wl1: int
    snd_wl2: int
    max_snd_wnd: int
    irs: int
    rcv_nxt: int
    rcv_wnd: int
    rcv_up: int
    snd_up: int
    snd_mss: int
    rcv_mss: int
    snd_wscale: int
    rcv_wscale: int
    wscale_ok: bool
    timestamps_ok: bool
    sack_ok: bool
    nodelay: bool
    in_recovery: bool
    orphan: bool
    cwnd: int
    ssthresh: int
    flight_size: int
    pipe: int
    recovery_point: int
    backoff: int
    srtt_ns: int
    rttvar_ns: int
    rto_ns: int
    rtt_min_ns: int
    deadline_ns: int
    snd_queued: int
    snd_free: int
    rcv_readable: int
    rcv_out_of_order: int
    bytes_sent: int
    bytes_acked: int
    bytes_received: int
    bytes_retransmitted: int
    segs_out: int
    segs_in: int
    data_segs_out: int
    data_segs_in: int
    retransmits: int
    rto_count: int
    fast_recoveries: int
    dup_acks_in: int
    challenge_acks: int
    reo_wnd_ns: int
    reo_wnd_mult: int
    reordering_seen: bool
    sacked: int
    lost: int
    tlp_probes: int
    spurious_retransmits: int
    spurious_recoveries: int
    dsacks_out: int
    half_open: int
    accept_queue: int
    backlog: int
    memory: int
    congestion_control: str
    pacing_rate: int
    """Bytes per second; 0: not paced."""
    congestion: Mapping[str, int | None]
    """What the congestion control keeps, by the RFC's names; None: infinite. See
    docs/design/congestion.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, with the segment or call that caused it in figure notation."""

    at_ns: int
    handle: int
    local: SockAddr
    remote: SockAddr
    from_state: State
    to_state: State
    received: bool
    """True: a segment caused it; False: a call or a timer."""
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkInfo:
    """The link under a stack and its counters."""

    name: str
    caps: int
    mtu: int
    gso_max: int
    ethernet: bool
    fd: int
    mac: str
    rx_frames: int
    rx_bytes: int
    tx_frames: int
    tx_bytes: int
    tx_full: int
    tx_errors: int
    rx_errors: int
    recv_calls: int
    flush_calls: int
    rx_missed: int
    tap_missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatistics:
    """Counters of a stack, like `nstat`. `counters` has the engine's names, drops included."""

    counters: Mapping[str, int]
    link: LinkInfo
    unfinished: int
    """Connections with unsent or unacknowledged data, or an unacknowledged FIN."""
    memory_in_use: int
    """Bytes held in C."""
    polls: int
    """Turns of the engine that Python asked for."""
    bypasses: Mapping[str, int]
    """Kernel TCP sockets that libraries brought along, by call and by what was done with them."""
