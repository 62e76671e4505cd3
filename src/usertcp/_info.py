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
    """The engine's name for it."""
    state: State
    """RFC 9293 3.3.2."""
    error: str | None
    """Why it ended (`RESET`, `TIMED_OUT`, ...); None while it lives."""
    soft_error: str | None
    """What an ICMP message last said of data in flight (RFC 9293 3.9.1.8); None after progress.
    Should no answer come any more, the connection ends with it rather than with `TIMED_OUT`."""
    local: SockAddr
    """(address, port)."""
    remote: SockAddr
    """(address, port); without meaning of a listener."""
    iss: int
    """ISS: the initial send sequence number. All of them are the wire's, modulo 2**32."""
    snd_una: int
    """SND.UNA: the oldest one not acknowledged."""
    snd_nxt: int
    """SND.NXT: the next to be sent."""
    snd_wnd: int
    """SND.WND: the peer's window in bytes, scaled."""
    snd_wl1: int
    """SND.WL1: sequence number of the segment that last set SND.WND."""
    snd_wl2: int
    """SND.WL2: its acknowledgement number."""
    max_snd_wnd: int
    """The largest SND.WND so far, bytes (RFC 9293 3.8.6.2.1)."""
    irs: int
    """IRS: the initial receive sequence number."""
    rcv_nxt: int
    """RCV.NXT: the next expected."""
    rcv_wnd: int
    """RCV.WND: the window offered, bytes."""
    rcv_up: int
    """RCV.UP: the peer's urgent pointer."""
    snd_up: int
    """SND.UP: our urgent pointer."""
    snd_mss: int
    """The most data of one segment sent, bytes, options not counted (RFC 6691)."""
    rcv_mss: int
    """The MSS that was offered to the peer, bytes."""
    pmtu: int
    """Path MTU: bytes of an IP packet that the path carries, as far as is known (RFC 8201)."""
    snd_wscale: int
    """The peer's window scale, bits (RFC 7323 2)."""
    rcv_wscale: int
    """Ours."""
    wscale_ok: bool
    """Both sides offered window scaling."""
    timestamps_ok: bool
    """Both sides offered timestamps (RFC 7323 3)."""
    sack_ok: bool
    """Both sides permitted SACK (RFC 2018)."""
    nodelay: bool
    """Nagle's algorithm is off."""
    in_recovery: bool
    """Loss is being repaired (RFC 6675 5, RFC 5681 3.2)."""
    orphan: bool
    """Its stream is closed; it still delivers what was accepted."""
    cwnd: int
    """Congestion window, bytes (RFC 5681)."""
    ssthresh: int
    """Slow-start threshold, bytes (RFC 5681)."""
    flight_size: int
    """FlightSize: bytes sent and not acknowledged (RFC 5681 2)."""
    pipe: int
    """Bytes taken to be in the network (RFC 6675 4)."""
    recovery_point: int
    """RecoveryPoint: loss recovery ends when it is acknowledged (RFC 6675)."""
    backoff: int
    """Retransmission time-outs of the same data in a row."""
    srtt_ns: int
    """SRTT (RFC 6298 2); 0 before the first sample."""
    rttvar_ns: int
    """RTTVAR (RFC 6298 2)."""
    rto_ns: int
    """RTO (RFC 6298 2), without back-off."""
    rtt_min_ns: int
    """The shortest round trip seen."""
    deadline_ns: int
    """When its earliest timer is due, on the engine's clock; 2**64 - 1: none runs."""
    snd_queued: int
    """Bytes accepted and not acknowledged: sent or not."""
    snd_free: int
    """Bytes that `send` would take now."""
    rcv_readable: int
    """Bytes received in order and not read."""
    rcv_out_of_order: int
    """Bytes received beyond a gap."""
    bytes_sent: int
    """Of data, each byte once."""
    bytes_acked: int
    """Of data the peer acknowledged."""
    bytes_received: int
    """Of data received in order."""
    bytes_retransmitted: int
    """Of data sent again."""
    segs_out: int
    """Segments sent."""
    segs_in: int
    """Segments received."""
    data_segs_out: int
    """Of these with data."""
    data_segs_in: int
    """Of these with data."""
    retransmits: int
    """Segments sent again."""
    rto_count: int
    """Retransmission time-outs."""
    fast_recoveries: int
    """Times that loss recovery was entered without a time-out."""
    dup_acks_in: int
    """Duplicate ACKs received (RFC 5681 2)."""
    challenge_acks: int
    """Challenge ACKs sent (RFC 5961)."""
    reo_wnd_ns: int
    """RACK.reo_wnd (RFC 8985 6.2): how late a segment may be before it counts as lost."""
    reo_wnd_mult: int
    """RACK.reo_wnd_mult: quarters of the shortest round trip in it."""
    reordering_seen: bool
    """RACK.reordering_seen."""
    reordering: int
    """Bytes between the start of a late segment and the end of the highest the peer had by then
    (RACK.fack), the most seen."""
    sacked: int
    """Bytes that the peer reported beyond a gap (RFC 2018)."""
    lost: int
    """Bytes taken for lost and not yet sent again."""
    tlp_probes: int
    """Tail loss probes sent (RFC 8985 7)."""
    spurious_retransmits: int
    """Duplicates that the peer reported (D-SACK, RFC 2883)."""
    spurious_recoveries: int
    """Recoveries that proved needless and were undone (RFC 4015)."""
    dsacks_out: int
    """D-SACK blocks sent."""
    ecn_ok: int
    """ECN (RFC 3168): 0 not agreed, 1 marks are answered, 2 and our data may be marked."""
    accecn: bool
    """More accurate ECN feedback (RFC 9768) was agreed."""
    ce_in: int
    """Data segments received with a router's mark (CE); with `accecn`, packets."""
    ece_in: int
    """ACKs received that told of a mark on our data (ECE); with `accecn`, packets of ours that the
    peer received marked."""
    ecn_reductions: int
    """Times cwnd was reduced because of them."""
    ce_bytes_in: int
    """With `accecn`: bytes of payload received with a mark."""
    ce_bytes_delivered: int
    """With `accecn`: bytes of ours that the peer received marked, as far as its options tell."""
    syn_data: bool
    """Data came, or was taken, with the SYN (TCP Fast Open, RFC 7413)."""
    half_open: int
    """Of a listener: connections in SYN-RECEIVED."""
    accept_queue: int
    """Of a listener: connections that wait for `accept`."""
    backlog: int
    """Of a listener: how many may."""
    fast_open: int
    """Of a listener: connections opened by a cookie (RFC 7413) that may be in SYN-RECEIVED."""
    fast_open_pending: int
    """Of a listener: how many are."""
    memory: int
    """Bytes it holds in C now."""
    congestion_control: str
    """The algorithm's name."""
    pacing_rate: int
    """At which data leaves, bytes per second; 0: not paced."""
    congestion: Mapping[str, int | None]
    """What the algorithm keeps, by the names of its RFC; None: infinite. See
    docs/design/congestion.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, with the segment or call that caused it in figure notation."""

    at_ns: int
    """On the engine's clock."""
    handle: int
    """The connection, as in `ConnectionInfo`."""
    local: SockAddr
    """(address, port)."""
    remote: SockAddr
    """(address, port)."""
    from_state: State
    """Before."""
    to_state: State
    """After."""
    received: bool
    """True: a segment caused it; False: a call or a timer."""
    cause: str
    """The segment in figure notation, or the call's or timer's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkInfo:
    """The link under a stack and its counters."""

    name: str
    """The device's."""
    caps: int
    """Capabilities, a bit mask (`csrc/link/link.h`)."""
    mtu: int
    """Of an IP packet, bytes."""
    gso_max: int
    """The longest super-segment it takes, bytes; 0: none."""
    ethernet: bool
    """Frames have Ethernet headers."""
    fd: int
    """The descriptor that is readable when frames wait."""
    mac: str
    """The stack's Ethernet address."""
    rx_frames: int
    """Received."""
    rx_bytes: int
    """Received."""
    tx_frames: int
    """Sent."""
    tx_bytes: int
    """Sent."""
    tx_full: int
    """Frames lost because the link took no more."""
    tx_errors: int
    """Frames that it refused."""
    rx_errors: int
    """Receptions without a frame in them."""
    recv_calls: int
    """System calls to receive."""
    flush_calls: int
    """System calls to send."""
    rx_missed: int
    """Frames lost in the kernel's full queue to us."""
    tap_missed: int
    """Frames left out of a capture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatistics:
    """Counters of a stack, like `nstat`. `counters` has the engine's names, drops included."""

    counters: Mapping[str, int]
    """By name; each reason to drop a packet is one (`csrc/base/drops.def`)."""
    link: LinkInfo
    """Of the link."""
    unfinished: int
    """Connections with unsent or unacknowledged data, or an unacknowledged FIN."""
    memory_in_use: int
    """Bytes held in C."""
    polls: int
    """Turns of the engine that Python asked for."""
    bypasses: Mapping[str, int]
    """Kernel TCP sockets that libraries brought along, by call and by what was done with them."""
