/* bbr.h: BBR version 3 (draft-ietf-ccwg-bbr-06): its state and the seams between its files.
 *
 *   cc_bbr.c     the table of cc.h: what each event does (5.2), cwnd and pacing rate (5.6)
 *   bbr_model.c  the model of the path (5.5)
 *   bbr_state.c  the state machine (5.3, 5.4)
 *
 * Names are the draft's; rates are bytes per second, volumes bytes, infinity is UINT64_MAX. Gains
 * are hundredths.
 */
#ifndef UT_TCP_BBR_H
#define UT_TCP_BBR_H

#include "tcp/cc.h"
#include "tcp/rate.h"

#define BBR_INFINITY UINT64_MAX
#define BBR_LOSS_THRESH 2 /* BBR.LossThresh, percent */

enum bbr_state {
    BBR_STARTUP,
    BBR_DRAIN,
    BBR_PROBE_BW_DOWN,
    BBR_PROBE_BW_CRUISE,
    BBR_PROBE_BW_REFILL,
    BBR_PROBE_BW_UP,
    BBR_PROBE_RTT,
    BBR_NO_STATE, /* undo_state: none */
};

enum bbr_ack_phase {
    BBR_ACKS_INIT,
    BBR_ACKS_REFILLING,
    BBR_ACKS_PROBE_STARTING,
    BBR_ACKS_PROBE_FEEDBACK,
    BBR_ACKS_PROBE_STOPPING,
};

#define BBR_STARTUP_ECN_ROUNDS 2

struct bbr {
    /* 2.8, 2.9: the model */
    uint64_t max_bw[2]; /* of the ProbeBW cycle before and of this one */
    uint64_t bw, bw_shortterm, bw_latest;
    uint64_t inflight_longterm, inflight_shortterm, inflight_latest;
    ns_t min_rtt, min_rtt_stamp, rtt_latest;
    ns_t probe_rtt_min_delay, probe_rtt_min_stamp, probe_rtt_done_stamp;
    /* 2.6: rounds; C.delivered values */
    uint64_t next_round_delivered, loss_round_delivered, total_delivered;
    uint32_t round_count, rounds_since_probe_up, drain_start_round;
    uint32_t startup_round_losses;        /* discontiguous ranges lost in this round */
    uint64_t round_lost, round_delivered; /* C.lost and C.delivered when this round began */
    uint64_t total_lost;
    /* 2.12 */
    uint64_t full_bw;
    /* 2.13 */
    ns_t cycle_stamp, bw_probe_wait;
    uint64_t probe_up_acked_per_inc, bw_probe_up_acked;
    /* 2.11: extra_acked over ten rounds, in two halves */
    ns_t extra_acked_interval_start;
    uint64_t extra_acked_delivered, extra_acked[2];
    uint32_t extra_acked_round;
    /* 2.14 */
    uint64_t undo_bw_shortterm, undo_inflight_shortterm, undo_inflight_longterm;
    uint32_t prior_cwnd;
    uint32_t initial_cwnd, mss, send_quantum;
    uint8_t mode, ack_phase, undo_mode; /* BBR.state, BBR.undo_state */
    uint8_t full_bw_count, bw_probe_up_rounds;
    uint8_t startup_ecn_rounds; /* of Startup, with ECE */
    bool round_start, loss_round_start, is_loss_in_round;
    bool is_loss_high;    /* more than LossThresh of the last round */
    bool is_ecn_in_round; /* ECE has come */
    bool full_bw_reached, full_bw_now;
    bool is_bw_probe_sample, prev_probe_too_high, prev_probe_precautionary;
    bool idle_restart, probe_rtt_expired, probe_rtt_round_done;
    bool in_recovery, recovery_round_passed;
};

/* One ACK, or one loss, and what it concerns. */
struct bbr_event {
    struct tcp_cc *cc;
    struct bbr *b;
    ns_t now;
    ns_t rtt; /* RS.rtt, 0 = none */
    uint64_t delivery_rate, rs_delivered, prior_delivered;
    uint64_t rs_lost;
    uint32_t newly_acked, newly_lost;
    uint32_t inflight, tx_in_flight;
    bool is_app_limited, is_cwnd_limited, has_sample;
};

static inline struct bbr *bbr_of(const struct tcp_cc *cc) { return cc->own.large.at; }
static inline uint64_t bbr_max_bw(const struct bbr *b)
{
    return u64_max(b->max_bw[0], b->max_bw[1]);
}
static inline bool bbr_is_probe_bw(const struct bbr *b)
{
    return b->mode >= BBR_PROBE_BW_DOWN && b->mode <= BBR_PROBE_BW_UP;
}

/* bbr_model.c */
void bbr_reset_congestion_signals(struct bbr *b);
void bbr_reset_short_term_model(struct bbr *b);
void bbr_reset_full_bw(struct bbr *b);
static inline void bbr_start_round(struct bbr *b) { b->next_round_delivered = b->total_delivered; }
/* UpdateLatestDeliverySignals to CheckFullBWReached of UpdateModelAndState. */
void bbr_update_model(struct bbr_event *e);
/* AdvanceLatestDeliverySignals and BoundBWForModel. */
void bbr_finish_model(struct bbr_event *e);
void bbr_update_min_rtt(struct bbr_event *e);
void bbr_save_upon_loss(struct tcp_cc *cc);
uint64_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain);
uint64_t bbr_inflight(const struct bbr *b, uint64_t bw, uint32_t gain);
uint64_t bbr_inflight_with_headroom(const struct bbr *b);
uint64_t bbr_target_inflight(const struct tcp_cc *cc);
bool bbr_is_inflight_too_high(const struct bbr_event *e);
uint64_t bbr_extra_acked(const struct bbr *b);

/* bbr_state.c */
void bbr_enter_startup(struct bbr *b);
void bbr_update_state(struct bbr_event *e);
void bbr_handle_inflight_too_high(struct bbr_event *e);
void bbr_start_refill(struct bbr *b);
void bbr_check_probe_rtt_done(struct bbr_event *e);
/* Hundredths. */
uint32_t bbr_pacing_gain(const struct bbr *b);
uint32_t bbr_cwnd_gain(const struct bbr *b);
uint64_t bbr_probe_rtt_cwnd(const struct bbr *b);
void bbr_restore_cwnd(struct tcp_cc *cc);
const char *bbr_state_name(const struct bbr *b);

#endif
