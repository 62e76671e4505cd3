"""The compiled engine, as a type checker sees it. Made by tools/core_stub.py; do not edit.

A struct's class stands for a pointer to it, as `ffi.new("name *")` makes one, or for the struct
inside another; `CArray[T]` for an array or a pointer to a number. Meaning: csrc/include/usertcp.h.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeVar, overload

from typing_extensions import Buffer

_T = TypeVar("_T")

class CData:
    def __bool__(self) -> bool: ...

class CArray(CData, Generic[_T]):
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> _T: ...
    @overload
    def __getitem__(self, index: slice, /) -> CArray[_T]: ...
    def __setitem__(self, index: int | slice, value: Any, /) -> None: ...
    def __add__(self, offset: int, /) -> CArray[_T]: ...

class CBuffer:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int | slice, /) -> bytes: ...
    def __setitem__(self, index: int | slice, value: bytes, /) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class ut_link(CData): ...
class ut_link_options(CData):
    mtu: int
    offload: int
    buffer: int
    queues: int
    ethernet: int
    has_mac: int
    mac: CArray[int]
    port_first: int
    port_last: int
class ut_link_info(CData):
    caps: int
    mtu: int
    gso_max: int
    medium: int
    fd: int
    mac: CArray[int]
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
    name: CArray[bytes]
class ut_offload(CData):
    flags: int
    gso: int
    gso_size: int
    csum_start: int
    csum_offset: int
    header_len: int
    reserved: int
class ut_stack(CData): ...
class ut_endpoint(CData):
    ip: CArray[int]
    port: int
    reserved: int
    scope: int
class ut_config(CData):
    profile: int
    seed: CArray[int]
    memory_limit: int
    max_connections: int
    max_time_wait: int
    max_half_open: int
    rcv_buffer: int
    snd_buffer: int
    mtu: int
    msl_ns: int
    rto_initial_ns: int
    rto_min_ns: int
    rto_max_ns: int
    delack_ns: int
    quick_acks: int
    user_timeout_ns: int
    connect_timeout_ns: int
    orphan_timeout_ns: int
    synack_retries: int
    syn_cookies: int
    use_timestamps: int
    use_window_scale: int
    use_sack: int
    use_rack: int
    path_mtu_discovery: int
    mtu_probing: int
    ecn: int
    nodelay: int
    port_first: int
    port_last: int
    challenge_ack_limit: int
    fixed_isn: int
    fixed_isn_value: int
    fixed_ts_offset: int
    fixed_ts_offset_value: int
    congestion: int
    hystart: int
    cubic_ssthresh: int
    window_probe: int
    nagle: int
    mss_max: int
    mtu_base: int
    trace_capacity: int
class ut_shared(CData):
    deadline: int
    events_pending: int
    moved: int
    reports_pending: int
    notes_pending: int
class ut_event(CData):
    handle: int
    events: int
    error: int
class ut_span(CData):
    data: CArray[int]
    len: int
    address: int
    posted: int
    want: int
class ut_named(CData):
    name: CArray[bytes]
    value: int
class ut_info(CData):
    handle: int
    state: int
    error: int
    soft_error: int
    local: ut_endpoint
    remote: ut_endpoint
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
    pmtu: int
    snd_wscale: int
    rcv_wscale: int
    wscale_ok: int
    timestamps_ok: int
    sack_ok: int
    nodelay: int
    in_recovery: int
    orphan: int
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
    reordering_seen: int
    reordering: int
    sacked: int
    lost: int
    tlp_probes: int
    spurious_retransmits: int
    spurious_recoveries: int
    dsacks_out: int
    ecn_ok: int
    accecn: int
    ce_in: int
    ece_in: int
    ecn_reductions: int
    ce_bytes_in: int
    ce_bytes_delivered: int
    syn_data: int
    half_open: int
    accept_queue: int
    backlog: int
    fast_open: int
    fast_open_pending: int
    memory: int
    congestion_control: CArray[bytes]
    pacing_rate: int
    congestion_count: int
    congestion: CArray[ut_named]
class ut_transition(CData):
    at_ns: int
    handle: int
    local: ut_endpoint
    remote: ut_endpoint
    to: int
    received: int
    cause: CArray[bytes]
class ut_cc_report(CData):
    handle: int
    at_ns: int
    interval_ns: int
    acked: int
    delivered: int
    lost: int
    delivery_rate: int
    delivery_rate_max: int
    rtt_min_ns: int
    rtt_last_ns: int
    srtt_ns: int
    pacing_rate: int
    cwnd: int
    ssthresh: int
    pipe: int
    mss: int
    acks: int
    marks: int
    events: int
    flags: int
class ut_cc_decision(CData):
    handle: int
    pacing_rate: int
    interval_ns: int
    cwnd: int
    ssthresh: int
    fields: int
    reserved: int
class ut_note(CData):
    at_ns: int
    local: ut_endpoint
    remote: ut_endpoint
    lo: int
    hi: int
    srtt_ns: int
    rttvar_ns: int
    rtt_min_ns: int
    rto_ns: int
    pacing_rate: int
    cwnd: int
    ssthresh: int
    flight: int
    has_metrics: int
    call: CArray[bytes]
    error: int
    kind: int
    to: int
    recovery: int
    flags: int
    received: int
    reserved: CArray[int]

class Lib:
    DROP_COUNT: Literal[63]
    DROP_arp_malformed: Literal[6]
    DROP_ethertype_unknown: Literal[5]
    DROP_frame_not_ours: Literal[2]
    DROP_frame_short: Literal[1]
    DROP_frame_truncated: Literal[4]
    DROP_frame_vlan: Literal[3]
    DROP_icmp_ignored: Literal[22]
    DROP_icmp_malformed: Literal[20]
    DROP_icmp_rate: Literal[27]
    DROP_icmp_unmatched: Literal[21]
    DROP_ip6_extension: Literal[18]
    DROP_ip_checksum: Literal[10]
    DROP_ip_fragment: Literal[14]
    DROP_ip_fragment_late: Literal[15]
    DROP_ip_fragment_room: Literal[16]
    DROP_ip_header_short: Literal[8]
    DROP_ip_land: Literal[19]
    DROP_ip_length: Literal[9]
    DROP_ip_not_ours: Literal[13]
    DROP_ip_options: Literal[11]
    DROP_ip_protocol: Literal[17]
    DROP_ip_source: Literal[12]
    DROP_ip_version: Literal[7]
    DROP_ndp_malformed: Literal[28]
    DROP_neigh_failed: Literal[29]
    DROP_no_source_mac: Literal[62]
    DROP_none: Literal[0]
    DROP_pmtu_absurd: Literal[24]
    DROP_pmtu_doubted: Literal[26]
    DROP_pmtu_no_news: Literal[25]
    DROP_pmtu_not_sent: Literal[23]
    DROP_tcp_accept_full: Literal[38]
    DROP_tcp_ack_limited: Literal[60]
    DROP_tcp_ack_outside: Literal[50]
    DROP_tcp_after_close: Literal[52]
    DROP_tcp_after_fin: Literal[53]
    DROP_tcp_bad_handshake_ack: Literal[51]
    DROP_tcp_challenge_limited: Literal[59]
    DROP_tcp_checksum: Literal[31]
    DROP_tcp_cookie_bad: Literal[40]
    DROP_tcp_ecn_mixed: Literal[58]
    DROP_tcp_flags: Literal[34]
    DROP_tcp_half_open_full: Literal[39]
    DROP_tcp_listen_bad_ack: Literal[37]
    DROP_tcp_listen_not_syn: Literal[36]
    DROP_tcp_no_ack_bit: Literal[49]
    DROP_tcp_no_buffer: Literal[56]
    DROP_tcp_no_listener: Literal[35]
    DROP_tcp_no_timestamp: Literal[44]
    DROP_tcp_options: Literal[32]
    DROP_tcp_paws: Literal[43]
    DROP_tcp_port_zero: Literal[33]
    DROP_tcp_reasm_full: Literal[55]
    DROP_tcp_rst_challenged: Literal[46]
    DROP_tcp_rst_no_ack: Literal[47]
    DROP_tcp_rst_outside: Literal[45]
    DROP_tcp_seq_outside: Literal[42]
    DROP_tcp_short: Literal[30]
    DROP_tcp_syn_again: Literal[57]
    DROP_tcp_syn_challenged: Literal[48]
    DROP_tcp_table_full: Literal[41]
    DROP_tcp_time_wait: Literal[61]
    DROP_tcp_window_overrun: Literal[54]
    UT_ACCEPTABLE: Literal[16]
    UT_ALL_SENT: Literal[64]
    UT_CC_APP_LIMITED: Literal[1]
    UT_CC_CWND: Literal[1]
    UT_CC_CWND_LIMITED: Literal[2]
    UT_CC_ECN: Literal[16]
    UT_CC_IDLE: Literal[32]
    UT_CC_INTERVAL: Literal[8]
    UT_CC_OVERDUE: Literal[64]
    UT_CC_PACING_RATE: Literal[4]
    UT_CC_RECOVERED: Literal[2]
    UT_CC_RECOVERY: Literal[1]
    UT_CC_RTO: Literal[4]
    UT_CC_SOLE: Literal[1]
    UT_CC_SSTHRESH: Literal[2]
    UT_CC_UNDO: Literal[8]
    UT_CLOSED: Literal[8]
    UT_CONNECTED: Literal[4]
    UT_CONNECT_ECN: Literal[1]
    UT_CONNECT_FAST_OPEN: Literal[16]
    UT_CONNECT_NO_ECN: Literal[2]
    UT_E_ABORTED: Literal[15]
    UT_E_ADDRESS_IN_USE: Literal[7]
    UT_E_ADDRESS_NOT_AVAILABLE: Literal[8]
    UT_E_BAD_DESTINATION: Literal[18]
    UT_E_CLOSING: Literal[3]
    UT_E_END_OF_STREAM: Literal[14]
    UT_E_HOST_UNREACHABLE: Literal[10]
    UT_E_INVALID: Literal[4]
    UT_E_LINK_DOWN: Literal[16]
    UT_E_NET_UNREACHABLE: Literal[20]
    UT_E_NOT_SUPPORTED: Literal[17]
    UT_E_NO_MEMORY: Literal[5]
    UT_E_NO_PORTS: Literal[19]
    UT_E_NO_ROUTE: Literal[9]
    UT_E_REFUSED: Literal[11]
    UT_E_RESET: Literal[12]
    UT_E_STALE_HANDLE: Literal[2]
    UT_E_SYSTEM: Literal[21]
    UT_E_TIMED_OUT: Literal[13]
    UT_E_TOO_MANY: Literal[6]
    UT_E_WOULD_BLOCK: Literal[1]
    UT_LISTEN_SHARE: Literal[1]
    UT_NOTE_ECN: Literal[9]
    UT_NOTE_LOST: Literal[4]
    UT_NOTE_LOST_BY_RTO: Literal[5]
    UT_NOTE_METRICS: Literal[1]
    UT_NOTE_PROBE: Literal[7]
    UT_NOTE_RECOVERED: Literal[3]
    UT_NOTE_RECOVERY: Literal[2]
    UT_NOTE_RTO: Literal[6]
    UT_NOTE_STATE: Literal[0]
    UT_NOTE_UNDO: Literal[8]
    UT_OPT_CONGESTION: Literal[15]
    UT_OPT_CORK: Literal[17]
    UT_OPT_DSCP: Literal[7]
    UT_OPT_ECN: Literal[18]
    UT_OPT_FAST_OPEN: Literal[19]
    UT_OPT_FLOW_LABEL: Literal[20]
    UT_OPT_KEEPALIVE: Literal[9]
    UT_OPT_KEEPALIVE_COUNT: Literal[12]
    UT_OPT_KEEPALIVE_IDLE: Literal[10]
    UT_OPT_KEEPALIVE_INTERVAL: Literal[11]
    UT_OPT_LINGER: Literal[5]
    UT_OPT_MTU_DISCOVER: Literal[16]
    UT_OPT_NODELAY: Literal[1]
    UT_OPT_NOTSENT_LOWAT: Literal[14]
    UT_OPT_RCV_LIMIT: Literal[2]
    UT_OPT_RTO_MIN: Literal[13]
    UT_OPT_SND_LIMIT: Literal[3]
    UT_OPT_SND_LOWAT: Literal[8]
    UT_OPT_TTL: Literal[6]
    UT_OPT_USER_TIMEOUT: Literal[4]
    UT_POSTED_MAX: Literal[31]
    UT_PROFILE_LINUX: Literal[0]
    UT_PROFILE_RFC: Literal[1]
    UT_READABLE: Literal[1]
    UT_STATE_CLOSED: Literal[0]
    UT_STATE_CLOSE_WAIT: Literal[7]
    UT_STATE_CLOSING: Literal[8]
    UT_STATE_ESTABLISHED: Literal[4]
    UT_STATE_FIN_WAIT_1: Literal[5]
    UT_STATE_FIN_WAIT_2: Literal[6]
    UT_STATE_LAST_ACK: Literal[9]
    UT_STATE_LISTEN: Literal[1]
    UT_STATE_SYN_RECEIVED: Literal[3]
    UT_STATE_SYN_SENT: Literal[2]
    UT_STATE_TIME_WAIT: Literal[10]
    UT_URGENT: Literal[32]
    UT_WRITABLE: Literal[2]
    def ut_abort(self, a0: ut_stack, a1: int, a2: int, /) -> int: ...
    def ut_accept(self, a0: ut_stack, a1: int, a2: int, a3: CArray[int], a4: ut_endpoint | CArray[ut_endpoint], a5: ut_endpoint | CArray[ut_endpoint], /) -> int: ...
    def ut_address_add(self, a0: ut_stack, a1: bytes | CData, a2: int, a3: int, a4: int, /) -> int: ...
    def ut_address_state(self, a0: ut_stack, a1: bytes | CData, /) -> int: ...
    def ut_awaiting_fin(self, a0: ut_stack, /) -> int: ...
    def ut_busy_poll(self, a0: ut_stack, a1: int, /) -> int: ...
    def ut_cc_attach(self, a0: ut_stack, a1: int, a2: int, a3: int, a4: int, /) -> int: ...
    def ut_cc_decide(self, a0: ut_stack, a1: ut_cc_decision | CArray[ut_cc_decision], a2: int, a3: int, /) -> int: ...
    def ut_cc_detach(self, a0: ut_stack, a1: int, a2: int, a3: int, /) -> int: ...
    def ut_cc_reports(self, a0: ut_stack, a1: ut_cc_report | CArray[ut_cc_report], a2: int, /) -> int: ...
    def ut_checksum_name(self) -> CArray[bytes]: ...
    def ut_close(self, a0: ut_stack, a1: int, a2: int, /) -> int: ...
    def ut_config_default(self, a0: ut_config | CArray[ut_config], /) -> None: ...
    def ut_config_profile(self, a0: ut_config | CArray[ut_config], a1: int, /) -> int: ...
    def ut_congestion_name(self, a0: int, /) -> CArray[bytes]: ...
    def ut_connect(self, a0: ut_stack, a1: ut_endpoint | CArray[ut_endpoint], a2: ut_endpoint | CArray[ut_endpoint], a3: int, a4: int, a5: CArray[int], /) -> int: ...
    def ut_counter_name(self, a0: int, /) -> CArray[bytes]: ...
    def ut_counters(self, a0: ut_stack, a1: CArray[int], a2: int, /) -> int: ...
    def ut_error_name(self, a0: int, /) -> CArray[bytes]: ...
    def ut_error_sentence(self, a0: int, /) -> CArray[bytes]: ...
    def ut_fast_open_key_set(self, a0: ut_stack, a1: bytes | CData, a2: int, /) -> None: ...
    def ut_gateway_set(self, a0: ut_stack, a1: bytes | CData, /) -> int: ...
    def ut_get_info(self, a0: ut_stack, a1: int, a2: ut_info | CArray[ut_info], /) -> int: ...
    def ut_link_capture(self, a0: ut_link, a1: bytes | CData, a2: CArray[int], /) -> int: ...
    def ut_link_capture_stop(self, a0: ut_link, /) -> int: ...
    def ut_link_close(self, a0: ut_link, /) -> None: ...
    def ut_link_get_info(self, a0: ut_link, a1: ut_link_info | CArray[ut_link_info], /) -> None: ...
    def ut_link_memory(self, a0: ut_link_options | CArray[ut_link_options], a1: CArray[int], /) -> ut_link: ...
    def ut_link_packet(self, a0: bytes | CData, a1: ut_link_options | CArray[ut_link_options], a2: CArray[int], a3: CArray[int], /) -> ut_link: ...
    def ut_link_raw(self, a0: ut_link_options | CArray[ut_link_options], a1: CArray[int], a2: CArray[int], /) -> ut_link: ...
    def ut_link_tun(self, a0: bytes | CData, a1: ut_link_options | CArray[ut_link_options], a2: CArray[int], a3: CArray[int], /) -> ut_link: ...
    def ut_list(self, a0: ut_stack, a1: ut_info | CArray[ut_info], a2: int, /) -> int: ...
    def ut_listen(self, a0: ut_stack, a1: ut_endpoint | CArray[ut_endpoint], a2: int, a3: int, a4: int, a5: CArray[int], /) -> int: ...
    def ut_memory_fd(self, a0: ut_link, /) -> int: ...
    def ut_memory_in_use(self, a0: ut_stack, /) -> int: ...
    def ut_memory_join(self, a0: ut_link, a1: ut_link, /) -> int: ...
    def ut_memory_join_name(self, a0: ut_link, a1: bytes | CData, /) -> int: ...
    def ut_memory_read(self, a0: ut_link, a1: CData, a2: int, a3: ut_offload | CArray[ut_offload], /) -> int: ...
    def ut_memory_write(self, a0: ut_link, a1: bytes | CData, a2: int, a3: ut_offload | CArray[ut_offload], /) -> int: ...
    def ut_notes_read(self, a0: ut_stack, a1: ut_note | CArray[ut_note], a2: int, a3: CArray[int], /) -> int: ...
    def ut_notes_start(self, a0: ut_stack, a1: int, /) -> int: ...
    def ut_notes_stop(self, a0: ut_stack, /) -> None: ...
    def ut_option_get(self, a0: ut_stack, a1: int, a2: int, a3: CArray[int], /) -> int: ...
    def ut_option_set(self, a0: ut_stack, a1: int, a2: int, a3: int, a4: int, /) -> int: ...
    def ut_output_hold(self, a0: ut_stack, a1: int, a2: int, /) -> None: ...
    def ut_poll(self, a0: ut_stack, a1: int, a2: int, a3: ut_event | CArray[ut_event], a4: int, /) -> int: ...
    def ut_post(self, a0: ut_stack, a1: int, a2: CData, a3: int, /) -> int: ...
    def ut_pump_fd(self, a0: ut_stack, /) -> int: ...
    def ut_pump_start(self, a0: ut_stack, a1: CArray[int], /) -> int: ...
    def ut_recv(self, a0: ut_stack, a1: int, a2: CData, a3: int, a4: int, a5: ut_span | CArray[ut_span], a6: int, /) -> int: ...
    def ut_recv_done(self, a0: ut_stack, a1: int, a2: int, a3: int, /) -> int: ...
    def ut_recv_keep(self, a0: ut_stack, a1: int, a2: CData, a3: int, a4: int, /) -> int: ...
    def ut_send(self, a0: ut_stack, a1: int, a2: bytes | CData, a3: int, a4: int, /) -> int: ...
    def ut_shutdown(self, a0: ut_stack, a1: int, a2: int, /) -> int: ...
    def ut_stack_free(self, a0: ut_stack, /) -> None: ...
    def ut_stack_link(self, a0: ut_stack, /) -> ut_link: ...
    def ut_stack_new(self, a0: ut_config | CArray[ut_config], a1: ut_link, a2: CArray[int], /) -> ut_stack: ...
    def ut_stack_shared(self, a0: ut_stack, /) -> ut_shared: ...
    def ut_trace_read(self, a0: ut_stack, a1: ut_transition | CArray[ut_transition], a2: int, /) -> int: ...
    def ut_unfinished(self, a0: ut_stack, /) -> int: ...

class FFI:
    NULL: Any
    error: type[Exception]
    @overload
    def new(self, cdecl: Literal["ut_link_options *"], init: Any = ...) -> ut_link_options: ...
    @overload
    def new(self, cdecl: Literal["ut_link_options[]"], init: Any = ...) -> CArray[ut_link_options]: ...
    @overload
    def new(self, cdecl: Literal["ut_link_info *"], init: Any = ...) -> ut_link_info: ...
    @overload
    def new(self, cdecl: Literal["ut_link_info[]"], init: Any = ...) -> CArray[ut_link_info]: ...
    @overload
    def new(self, cdecl: Literal["ut_offload *"], init: Any = ...) -> ut_offload: ...
    @overload
    def new(self, cdecl: Literal["ut_offload[]"], init: Any = ...) -> CArray[ut_offload]: ...
    @overload
    def new(self, cdecl: Literal["ut_endpoint *"], init: Any = ...) -> ut_endpoint: ...
    @overload
    def new(self, cdecl: Literal["ut_endpoint[]"], init: Any = ...) -> CArray[ut_endpoint]: ...
    @overload
    def new(self, cdecl: Literal["ut_config *"], init: Any = ...) -> ut_config: ...
    @overload
    def new(self, cdecl: Literal["ut_config[]"], init: Any = ...) -> CArray[ut_config]: ...
    @overload
    def new(self, cdecl: Literal["ut_shared *"], init: Any = ...) -> ut_shared: ...
    @overload
    def new(self, cdecl: Literal["ut_shared[]"], init: Any = ...) -> CArray[ut_shared]: ...
    @overload
    def new(self, cdecl: Literal["ut_event *"], init: Any = ...) -> ut_event: ...
    @overload
    def new(self, cdecl: Literal["ut_event[]"], init: Any = ...) -> CArray[ut_event]: ...
    @overload
    def new(self, cdecl: Literal["ut_span *"], init: Any = ...) -> ut_span: ...
    @overload
    def new(self, cdecl: Literal["ut_span[]"], init: Any = ...) -> CArray[ut_span]: ...
    @overload
    def new(self, cdecl: Literal["ut_named *"], init: Any = ...) -> ut_named: ...
    @overload
    def new(self, cdecl: Literal["ut_named[]"], init: Any = ...) -> CArray[ut_named]: ...
    @overload
    def new(self, cdecl: Literal["ut_info *"], init: Any = ...) -> ut_info: ...
    @overload
    def new(self, cdecl: Literal["ut_info[]"], init: Any = ...) -> CArray[ut_info]: ...
    @overload
    def new(self, cdecl: Literal["ut_transition *"], init: Any = ...) -> ut_transition: ...
    @overload
    def new(self, cdecl: Literal["ut_transition[]"], init: Any = ...) -> CArray[ut_transition]: ...
    @overload
    def new(self, cdecl: Literal["ut_cc_report *"], init: Any = ...) -> ut_cc_report: ...
    @overload
    def new(self, cdecl: Literal["ut_cc_report[]"], init: Any = ...) -> CArray[ut_cc_report]: ...
    @overload
    def new(self, cdecl: Literal["ut_cc_decision *"], init: Any = ...) -> ut_cc_decision: ...
    @overload
    def new(self, cdecl: Literal["ut_cc_decision[]"], init: Any = ...) -> CArray[ut_cc_decision]: ...
    @overload
    def new(self, cdecl: Literal["ut_note *"], init: Any = ...) -> ut_note: ...
    @overload
    def new(self, cdecl: Literal["ut_note[]"], init: Any = ...) -> CArray[ut_note]: ...
    @overload
    def new(self, cdecl: Literal["int *", "int[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["size_t *", "size_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["int8_t *", "int8_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["int16_t *", "int16_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["int32_t *", "int32_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["int64_t *", "int64_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["uint8_t *", "uint8_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["uint16_t *", "uint16_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["uint32_t *", "uint32_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["uint64_t *", "uint64_t[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["ut_handle *", "ut_handle[]"], init: Any = ...) -> CArray[int]: ...
    @overload
    def new(self, cdecl: Literal["char[]"], init: Any = ...) -> CArray[bytes]: ...
    def from_buffer(
        self, cdecl: str, data: Buffer, require_writable: bool = ...
    ) -> CArray[Any]: ...
    def buffer(self, cdata: CData, size: int = ...) -> CBuffer: ...
    def string(self, cdata: CData, maxlen: int = ...) -> bytes: ...
    def unpack(self, cdata: CData, length: int) -> bytes: ...
    def memmove(self, dest: CData | Buffer, src: CData | Buffer, n: int) -> None: ...
    def gc(self, cdata: _T, destructor: Callable[[_T], object] | None, size: int = ...) -> _T: ...
    def release(self, cdata: CData) -> None: ...
    def cast(self, cdecl: str, value: Any) -> Any: ...
    def addressof(self, cdata: Any, *fields: str | int) -> Any: ...
    def sizeof(self, cdecl: str | CData) -> int: ...
    def offsetof(self, cdecl: str, *fields: str | int) -> int: ...

ffi: Final[FFI]
lib: Final[Lib]
