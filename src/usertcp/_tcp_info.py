"""Linux's `struct tcp_info` (include/uapi/linux/tcp.h) of a connection of ours: TCP_INFO."""

import struct

from usertcp._info import ConnectionInfo, State

_STATES = {
    State.ESTABLISHED: 1,
    State.SYN_SENT: 2,
    State.SYN_RECEIVED: 3,
    State.FIN_WAIT_1: 4,
    State.FIN_WAIT_2: 5,
    State.TIME_WAIT: 6,
    State.CLOSED: 7,
    State.CLOSE_WAIT: 8,
    State.LAST_ACK: 9,
    State.LISTEN: 10,
    State.CLOSING: 11,
}
_LAYOUT = struct.Struct("=8B24I4Q6I4Q2I2Q6I")  # to rehash; rcv_wnd is before it
_TIMESTAMPS, _SACK, _WSCALE, _SYN_DATA = 1, 2, 4, 32
_CA_OPEN, _CA_RECOVERY, _CA_LOSS = 0, 3, 4
_INFINITE = 0x7FFF_FFFF  # TCP_INFINITE_SSTHRESH


def _u32(value: int) -> int:
    return min(max(value, 0), 0xFFFF_FFFF)


def _us(ns: int) -> int:
    return _u32(ns // 1000)


def _segments(size: int, mss: int) -> int:
    return _u32(-(-size // mss)) if mss else 0


def pack_tcp_info(info: ConnectionInfo | None) -> bytes:
    """All but the state is 0 without a snapshot.

    Windows that Linux counts in segments are; what the engine does not measure is 0. Of a
    listener, `unacked` and `sacked` are its queue and the length of it, as there.
    """
    if info is None:
        return bytes([_STATES[State.CLOSED]]).ljust(_LAYOUT.size, b"\0")
    mss = info.snd_mss
    options = _TIMESTAMPS * info.timestamps_ok | _SACK * info.sack_ok | _WSCALE * info.wscale_ok
    options |= _SYN_DATA * info.syn_data
    ca_state = _CA_LOSS if info.backoff else _CA_RECOVERY if info.in_recovery else _CA_OPEN
    is_listener = info.state is State.LISTEN
    unacked = info.accept_queue if is_listener else _segments(info.flight_size, mss)
    sacked = info.backlog if is_listener else _segments(info.sacked, mss)
    ssthresh = _INFINITE if info.ssthresh >= _INFINITE else info.ssthresh // (mss or 1)
    return _LAYOUT.pack(
        # state, ca_state, retransmits, probes, backoff, options, wscales, flags
        _STATES[info.state], ca_state, min(info.backoff, 255), 0, min(info.backoff, 255), options,
        (info.snd_wscale & 15) | (info.rcv_wscale & 15) << 4, 0,
        # rto, ato, snd_mss, rcv_mss
        _us(info.rto_ns), 0, mss, info.rcv_mss,
        # unacked, sacked, lost, retrans, fackets
        unacked, sacked, _segments(info.lost, mss), 0, 0,
        # last_data_sent, last_ack_sent, last_data_recv, last_ack_recv, pmtu, rcv_ssthresh
        0, 0, 0, 0, _u32(info.pmtu), _u32(info.rcv_wnd),
        # rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt, rcv_space, total_retrans
        _us(info.srtt_ns), _us(info.rttvar_ns), ssthresh, info.cwnd // (mss or 1), info.rcv_mss,
        max(3, _segments(info.reordering, mss)), 0, _u32(info.rcv_wnd), _u32(info.retransmits),
        # pacing_rate, max_pacing_rate, bytes_acked, bytes_received
        0, 2**64 - 1, info.bytes_acked, info.bytes_received,
        # segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out
        _u32(info.segs_out), _u32(info.segs_in), _u32(info.snd_queued - info.flight_size),
        _us(info.rtt_min_ns), _u32(info.data_segs_in), _u32(info.data_segs_out),
        # delivery_rate, busy_time, rwnd_limited, sndbuf_limited; delivered, delivered_ce
        0, 0, 0, 0, _u32(info.data_segs_out - info.retransmits), 0,
        # bytes_sent, bytes_retrans; dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash
        info.bytes_sent, info.bytes_retransmitted, 0, 0, 0, _u32(info.snd_wnd),
        _u32(info.rcv_wnd), 0,
    )  # fmt: skip
