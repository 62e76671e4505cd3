/* usertcp_info.h: looking at a stack: snapshots with the RFCs' names, transitions, counters.
 *
 * Nothing here changes anything but ut_trace_read, which takes what it gives.
 */
#ifndef USERTCP_INFO_H
#define USERTCP_INFO_H

#include "include/usertcp.h"

/* CDEF BEGIN */

enum {
    UT_STATE_CLOSED = 0,
    UT_STATE_LISTEN = 1,
    UT_STATE_SYN_SENT = 2,
    UT_STATE_SYN_RECEIVED = 3,
    UT_STATE_ESTABLISHED = 4,
    UT_STATE_FIN_WAIT_1 = 5,
    UT_STATE_FIN_WAIT_2 = 6,
    UT_STATE_CLOSE_WAIT = 7,
    UT_STATE_CLOSING = 8,
    UT_STATE_LAST_ACK = 9,
    UT_STATE_TIME_WAIT = 10
};

/* A number with a name; UINT64_MAX = infinity. */
typedef struct {
    const char *name;
    uint64_t value;
} ut_named;

/* A connection or listener as it is now, with the RFCs' names. Sequence numbers are the wire's. */
typedef struct {
    ut_handle handle;
    uint32_t state;     /* UT_STATE_... */
    int32_t error;      /* why it ended, 0 while it lives */
    int32_t soft_error; /* what ICMP said of data in flight since the last progress; 0 = nothing */
    ut_endpoint local, remote;
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, max_snd_wnd;
    uint32_t irs, rcv_nxt, rcv_wnd, rcv_up, snd_up;
    uint32_t snd_mss, rcv_mss;
    uint32_t pmtu; /* bytes of an IP packet that the path carries, as far as is known */
    uint8_t snd_wscale, rcv_wscale, wscale_ok, timestamps_ok;
    uint8_t sack_ok, nodelay, in_recovery, orphan;
    uint32_t cwnd, ssthresh, flight_size, pipe;
    uint32_t recovery_point, backoff; /* consecutive RTOs of the same data */
    uint64_t srtt_ns, rttvar_ns, rto_ns, rtt_min_ns;
    uint64_t deadline_ns; /* earliest timer, absolute; UINT64_MAX = none */
    uint32_t snd_queued,
        snd_free; /* bytes in the send ring: unacknowledged and unsent; room left */
    uint32_t rcv_readable, rcv_out_of_order;
    uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retransmitted;
    uint64_t segs_out, segs_in, data_segs_out, data_segs_in;
    uint64_t retransmits, rto_count, fast_recoveries, dup_acks_in, challenge_acks;
    uint64_t reo_wnd_ns;   /* RACK.reo_wnd as of now, RFC 8985 6.2; 0 without RACK */
    uint32_t reo_wnd_mult; /* RACK.reo_wnd_mult */
    uint32_t reordering_seen;
    uint32_t reordering;           /* bytes by which the latest came too late, at most */
    uint32_t sacked, lost;         /* bytes in flight the peer holds; that are to be sent again */
    uint64_t tlp_probes;           /* tail loss probes sent, RFC 8985 7.3 */
    uint64_t spurious_retransmits; /* D-SACKs received, RFC 2883 */
    uint64_t spurious_recoveries;  /* recoveries taken back, RFC 4015 */
    uint64_t dsacks_out;           /* duplicates reported to the peer */
    uint32_t ecn_ok;               /* RFC 3168: agreed, as receiver 1, as sender too 2 */
    uint32_t accecn;               /* RFC 9768 was agreed: what is counted below are packets */
    uint64_t ce_in, ece_in;        /* data segments with CE received; ACKs with ECE */
    uint64_t ecn_reductions;       /* of cwnd, because of ECE */
    uint64_t ce_bytes_in;          /* payload that came marked, RFC 9768 */
    uint64_t ce_bytes_delivered;   /* of ours, as the peer's options say */
    uint32_t syn_data;             /* RFC 7413: data came, or was taken, with the SYN */
    uint32_t half_open, accept_queue, backlog; /* listeners */
    uint32_t fast_open, fast_open_pending;     /* of these, RFC 7413: how many may be, and are */
    uint32_t memory;                           /* bytes this connection holds in C now */
    char congestion_control[16];
    uint64_t pacing_rate;      /* bytes per second, 0 = not paced */
    uint32_t congestion_count; /* of `congestion`, what the algorithm keeps, by RFC names */
    ut_named congestion[16];
} ut_info;

/* One state transition (trace_capacity > 0): which connection, when, from, to, and the segment or
 * call that caused it, in figure notation. */
typedef struct {
    uint64_t at_ns;
    ut_handle handle;
    ut_endpoint local, remote;
    uint8_t from, to, received; /* received: 1 = caused by a segment, 0 = call or timer */
    char cause[93];
} ut_transition;

int ut_get_info(ut_stack *s, ut_handle h, ut_info *out);
/* All connections, listeners, half-open and TIME-WAIT entries: fills up to `max`, returns how many
 * there are. */
int ut_list(ut_stack *s, ut_info *out, int max);
/* Counters: fills up to `max`, returns how many there are; names by ut_counter_name(0 ...). */
int ut_counters(ut_stack *s, uint64_t *out, int max);
const char *ut_counter_name(int index);
/* Takes up to `max` of the oldest remembered transitions. */
int ut_trace_read(ut_stack *s, ut_transition *out, int max);
/* Connections with unsent or unacknowledged data, or an unacknowledged FIN. */
int ut_unfinished(ut_stack *s);
/* Connections in FIN-WAIT-2: all of ours was acknowledged, the peer's FIN has not come. */
int ut_awaiting_fin(ut_stack *s);
uint64_t ut_memory_in_use(ut_stack *s);
const char *ut_error_name(int code);
const char *ut_error_sentence(int code);
const char *ut_checksum_name(void);

/* CDEF END */

#endif
