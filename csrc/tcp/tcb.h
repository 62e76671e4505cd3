/* tcb.h: the transmission control block (RFC 9293 3.3.1): one connection, all its variables.
 *
 *            1         2          3          4                    1          2          3
 *       ----------|----------|----------|----------      ----------|----------|----------
 *              SND.UNA    SND.NXT    SND.UNA                    RCV.NXT    RCV.NXT
 *                                   +SND.WND                              +RCV.WND
 *
 *   1. iss <= snd_una <= snd_nxt, modulo 2^32; snd_nxt is the highest ever sent: retransmitting
 * does not move it back (recovery.h says what to send again)
 *   2. sendq.una is the stream offset of snd_una once the SYN is acknowledged
 *   3. rcv_nxt never passes rcv_adv, the right edge offered; rcv_adv never moves left
 *   4. unacknowledged sequence space has rexmt_deadline set (kind REXMT), unless the window is
 * closed and nothing is in flight: then kind PERSIST
 *   5. trouble exists while something is out of order or SACKed, while a recovery lasts, and while
 * one may yet prove spurious
 *
 * Stream offsets (64 bits, see sendq.h and reasm.h) do the bookkeeping; sequence numbers (32 bits)
 * are what the wire says.
 */
#ifndef UT_TCP_TCB_H
#define UT_TCP_TCB_H

#include "tcp/cc.h"
#include "tcp/ecn.h"
#include "tcp/env.h"
#include "tcp/fastopen.h"
#include "tcp/keepalive.h"
#include "tcp/mtu.h"
#include "tcp/reasm.h"
#include "tcp/rtt.h"
#include "tcp/sendq.h"
#include "tcp/seq.h"
#include "tcp/trouble.h"

/* Told to the user; numbers equal UT_READABLE ... of include/usertcp.h. */
enum tcp_event {
    TCP_EV_READABLE = 1,
    TCP_EV_WRITABLE = 2,
    TCP_EV_CONNECTED = 4,
    TCP_EV_CLOSED = 8,
    TCP_EV_URGENT = 32,
    TCP_EV_ALL_SENT = 64,
};

/* RFC 8985 8: these exclude each other. */
enum tcp_rexmt_kind {
    REXMT_NONE,
    REXMT_DATA,    /* RTO, RFC 6298 */
    REXMT_PERSIST, /* RFC 9293 3.8.6.1 */
    REXMT_PROBE,   /* PTO, RFC 8985 7.2 */
    REXMT_REORDER, /* RFC 8985 6.2 step 5 */
};

enum tcp_recovery_mode {
    RECOVERY_NONE,
    RECOVERY_FAST, /* RFC 6675 5, RFC 6582 3.2 */
    RECOVERY_RTO,  /* after a time-out, until recovery_point is passed */
    RECOVERY_MTU,  /* what was too large for the path is sent again; mtu.h */
};

/* What RACK-TLP remembers all along (RFC 8985 5.2, 5.3). One byte of bits tells all. */
struct tcp_rack {
    seq32 dsack_round;   /* while has_dsack_round */
    seq32 tlp_end;       /* while tlp_out */
    uint32_t reordering; /* bytes, the most that what came late was behind RACK.fack */
    uint8_t reo_wnd_mult, reo_wnd_persist;
    bool tlp_out : 1, tlp_resent : 1;    /* a probe is on its way: TLP.end_seq; TLP.is_retrans */
    bool tlp_sampled : 1;                /* the RTT was measured since the last probe */
    bool tlp_now : 1;                    /* a probe is due */
    bool mtu_due : 1, mtu_probe_out : 1; /* mtu.h */
    bool ecn_echoed : 1, ecn_waits : 1;  /* ecn.h: the ACK at hand has ECE; cwnd is below one */
    bool has_dsack_round : 1;
    uint8_t reordering_seen : 7; /* ACKs that showed some; no more are counted than fit */
};

/* C of draft-ietf-ccwg-bbr-06 2.4, for sent.c and rate.c. */
struct tcp_rate {
    uint64_t delivered;   /* bytes the peer has, SACKed or acknowledged, each time it got them */
    uint64_t lost;        /* bytes counted as lost, each time */
    uint64_t app_limited; /* until `delivered` passes this the network was not filled; 0: no */
    uint64_t lost_told;   /* `lost` at the last sample */
    ns_t delivered_at;    /* when `delivered` last grew */
    ns_t first_sent_at; /* when the run delivered last had left: the send side of a sample begins */
};

struct tcb {
    struct tcp_env *env;
    struct tcp_trouble *trouble;
    struct tcp_times *times; /* times.h; NULL = nothing is noted */
    uint32_t trouble_index, times_index;
    uint32_t log_index;
    struct tcp_fast_open fast_open;
    struct sent_log *log; /* sent.h; NULL = nothing in flight (or no memory) */
    uint8_t state;        /* enum tcp_state; tcp_set_state only */
    uint8_t events;       /* enum tcp_event, not yet told */
    uint8_t recovery_mode;
    uint8_t rexmt_kind;
    int error;      /* enum ut_error, why it is CLOSED */
    int soft_error; /* what ICMP last said of data still in flight; 0 = nothing */

    /* what was agreed */
    bool passive : 1;   /* RFC 9293 MUST-11: from a listener */
    bool ts_ok : 1;     /* RFC 7323 3.2 */
    bool sack_ok : 1;   /* RFC 2018 2 */
    bool wscale_ok : 1; /* RFC 7323 2.2 */
    /* what is to be done */
    bool ack_now : 1;    /* an ACK leaves with the next output, data or not */
    bool syn_queued : 1; /* a SYN (or SYN,ACK) is to be sent (again) */
    bool fin_queued : 1; /* the user closed: FIN follows the last byte */
    bool fin_sent : 1;
    bool fin_was_alone : 1; /* sent without data */
    bool probe_now : 1;     /* a zero-window probe is due */
    bool keepalive_now : 1; /* so is a keep-alive probe */
    bool rexmt_now : 1;     /* the segment at snd_una is due again, whatever cwnd says */
    bool nodelay : 1;
    bool corked : 1;           /* only full segments leave */
    bool more_follows : 1;     /* what the user gives asks for no PSH */
    bool unpushed : 1;         /* so it was with the last of it */
    bool user_gone : 1;        /* closed by its user: an orphan */
    bool is_cwnd_limited : 1;  /* now */
    bool was_cwnd_limited : 1; /* cwnd_used in output.c */
    bool fin_received : 1;
    bool urgent_pending : 1; /* rcv_up is ahead of what the user read */
    bool write_blocked : 1;  /* not all was taken: the user waits for TCP_EV_WRITABLE */
    bool syn_retransmitted : 1;
    bool had_recovery : 1;   /* recovery_point means something */
    bool rescued : 1;        /* this recovery has had its rescue retransmission */
    bool peer_fin_known : 1; /* a FIN has come, perhaps beyond a hole: peer_fin */
    bool rack_on : 1;        /* RFC 8985 4: SACK was agreed, and RACK-TLP is wanted */
    bool dsack_due : 1;      /* the next ACK reports [dsack_lo, dsack_hi) as a duplicate */

    uint8_t snd_wscale, rcv_wscale;
    uint16_t snd_mss;     /* largest payload we send, options not yet subtracted (RFC 9293 3.7.1) */
    uint16_t rcv_mss;     /* what we announced */
    struct tcp_path path; /* of the link */
    struct tcp_mtu mtu;
    uint16_t seen_mss; /* largest segment the peer has sent: what "full-sized" means to our ACKs */
    uint8_t dup_acks, syn_tries;
    uint8_t quick_acks; /* data segments still to be acknowledged at once */
    uint16_t ack_flags; /* of every segment: ACK, and ECE while a mark is told, or ACE */

    /* RFC 9293 3.3.1, send */
    seq32 iss, snd_una, snd_nxt, snd_wl1, snd_wl2, snd_up;
    uint32_t snd_wnd, max_snd_wnd;
    seq32 cwnd_use_end;  /* what is known of the use of cwnd holds until this is acknowledged */
    uint32_t max_flight; /* the most in flight meanwhile */
    /* receive */
    seq32 irs, rcv_nxt, rcv_adv, rcv_up, last_ack_sent;
    uint32_t rcv_wnd; /* as last offered */
    /* RFC 7323 */
    uint32_t ts_offset, ts_recent;
    ns_t ts_recent_at;
    seq32 dsack_lo, dsack_hi; /* RFC 2883: came twice; valid with dsack_due */

    union {
        struct { /* recovery.h; stream offsets */
            uint64_t recovery_point, high_rxt, lost_below;
        };
        struct tcp_cookie cookie; /* fastopen.h, until ESTABLISHED */
    };
    uint32_t reno_sacked;   /* without SACK: bytes that duplicate ACKs say have left */
    uint32_t flight_before; /* FlightSize before the ACKs of the instant flight_before_at */
    ns_t flight_before_at;
    uint32_t flight_at_dup; /* when the first duplicate ACK came: without limited transmit */
    uint64_t rto_una;       /* where snd_una stood at the last time-out; UINT64_MAX = none yet */
    seq32 fin_seq;          /* valid when fin_sent */
    seq32 peer_fin;         /* valid when peer_fin_known */

    struct sendq sendq;
    struct reasm reasm;
    struct tcp_cc cc;
    struct tcp_rate rate;
    struct tcp_rtt rtt;
    struct tcp_rack rack;
    struct tcp_ecn ecn;

    /* timers: absolute; the stack keys one node by the earliest (timers.h) */
    ns_t rexmt_deadline, delack_deadline, wait_deadline, pace_deadline;
    ns_t pace_next;     /* pace.h: when the next quantum may leave */
    uint32_t pace_left; /* bytes of it */
    ns_t restarted_at;  /* the instant of the ACK, and of no news, that last set rexmt_deadline */
    ns_t rto_due;       /* when the RTO fires, whichever of its kinds rexmt_deadline is for */
    ns_t rto_min;       /* RFC 6298 2.4, of this connection */
    ns_t rexmt_since;   /* the oldest unanswered (re)transmission or probe began: R2 counts */
    ns_t last_sent;     /* for restart after idle */
    ns_t user_timeout;
    ns_t challenge_since;
    uint32_t challenge_count, snd_lowat;
    struct tcp_keepalive keepalive;
    uint32_t notsent_lowat; /* bytes that may wait unsent, about; 0: as many as there is room for */

    /* counters, for the snapshot */
    uint32_t retransmits, rto_count, fast_recoveries, dup_acks_in, challenge_acks;
    uint32_t tlp_probes, undos, dsacks_in, dsacks_out;
    uint64_t segs_out, segs_in, data_segs_out, data_segs_in, bytes_retransmitted;
};

/* A CLOSED connection with its parameters. */
void tcb_init(struct tcb *t, struct tcp_env *env, const struct tcp_start *start);
/* Gives back rings and trouble. The state must be CLOSED or TIME-WAIT. */
void tcb_fini(struct tcb *t);
/* Takes trouble from the pool if there is none; NULL when there is none to be had. */
struct tcp_trouble *tcb_trouble(struct tcb *t);
/* Gives it back when it holds nothing. */
void tcb_trouble_release(struct tcb *t);
/* Asserts the invariants above (test builds). */
void tcb_check(const struct tcb *t);

static inline seq32 tcb_snd_seq(const struct tcb *t, uint64_t offset)
{
    return seq_add(t->iss, (uint32_t)(offset + 1));
}
/* Bytes (sequence space) sent and not cumulatively acknowledged. */
static inline uint32_t tcb_flight(const struct tcb *t) { return seq_len(t->snd_nxt, t->snd_una); }
/* RFC 7413: in SYN-RECEIVED, and its user has it all the same. */
static inline bool tcb_is_early(const struct tcb *t)
{
    return t->state == TCP_SYN_RECEIVED && t->passive && t->fast_open.on;
}
static inline bool tcb_fin_acked(const struct tcb *t)
{
    return t->fin_sent && seq_gt(t->snd_una, t->fin_seq);
}
/* Stream offset of a sequence number near snd_una (the SYN must be acknowledged); the FIN takes the
 * offset after the last byte. */
static inline uint64_t tcb_snd_offset(const struct tcb *t, seq32 s)
{
    return t->sendq.una + tcb_fin_acked(t) + (uint64_t)(int64_t)seq_diff(s, t->snd_una);
}

#endif
