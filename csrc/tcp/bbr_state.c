/* bbr_state.c: BBR's state machine: Startup, Drain, ProbeBW, ProbeRTT (draft-ietf-ccwg-bbr-06 5.3).
 *
 * Called by cc_bbr.c after the model has heard of an ACK.
 */
#include "base/base.h"
#include "tcp/bbr.h"

#define PROBE_RTT_DURATION (200 * NS_PER_MS)
#define STARTUP_FULL_LOSS_COUNT 6
#define RENO_ROUNDS_MAX 63

static const struct {
    const char *name;
    uint16_t pacing_gain, cwnd_gain;
} states[] = {
    /* 5.6.1; 2.77 = 4 ln 2 */
    [BBR_STARTUP] = {"Startup", 277, 200},
    [BBR_DRAIN] = {"Drain", 50, 200},
    [BBR_PROBE_BW_DOWN] = {"ProbeBW_DOWN", 90, 200},
    [BBR_PROBE_BW_CRUISE] = {"ProbeBW_CRUISE", 100, 200},
    [BBR_PROBE_BW_REFILL] = {"ProbeBW_REFILL", 100, 200},
    [BBR_PROBE_BW_UP] = {"ProbeBW_UP", 125, 225},
    [BBR_PROBE_RTT] = {"ProbeRTT", 100, 50},
};

uint32_t bbr_pacing_gain(const struct bbr *b) { return states[b->mode].pacing_gain; }

uint32_t bbr_cwnd_gain(const struct bbr *b) { return states[b->mode].cwnd_gain; }

const char *bbr_state_name(const struct bbr *b) { return states[b->mode].name; }

/* ---- Startup and Drain (5.3.1, 5.3.2) -------------------------------------------------------- */

void bbr_enter_startup(struct bbr *b) { b->mode = BBR_STARTUP; }

/* 5.3.1.3: a whole round of recovery, more than 2 % lost in it, in six places. */
static void check_startup_high_loss(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->mode != BBR_STARTUP || !b->loss_round_start)
        return;
    bool is_high = b->in_recovery && b->recovery_round_passed && b->is_loss_high &&
                   b->startup_round_losses >= STARTUP_FULL_LOSS_COUNT;
    if (is_high && !b->full_bw_reached) {
        b->undo_mode = BBR_STARTUP;
        b->full_bw_reached = true;
        b->inflight_longterm = u64_max(bbr_bdp(b, b->bw, 100), b->inflight_latest);
    }
    b->recovery_round_passed = b->in_recovery;
    b->startup_round_losses = 0;
}

static void check_startup_done(struct bbr_event *e)
{
    struct bbr *b = e->b;
    check_startup_high_loss(e);
    if (b->mode != BBR_STARTUP || !b->full_bw_reached)
        return;
    b->mode = BBR_DRAIN;
    b->drain_start_round = b->round_count;
}

/* ---- ProbeBW (5.3.3) ------------------------------------------------------------------------- */

static void start_down(struct bbr_event *e)
{
    struct bbr *b = e->b;
    bbr_reset_congestion_signals(b);
    b->probe_up_acked_per_inc = BBR_INFINITY;
    /* PickProbeWait: 0 or 1 round, 2 to 3 s */
    b->rounds_since_probe_up = rand_below(e->cc->env->rand, 2);
    b->bw_probe_wait = 2 * NS_PER_S + rand_below(e->cc->env->rand, 1000) * NS_PER_MS;
    b->cycle_stamp = e->now;
    b->ack_phase = BBR_ACKS_PROBE_STOPPING;
    bbr_start_round(b);
    b->mode = BBR_PROBE_BW_DOWN;
}

void bbr_start_refill(struct bbr *b)
{
    bbr_reset_short_term_model(b);
    b->bw_probe_up_rounds = 0;
    b->bw_probe_up_acked = 0;
    b->prev_probe_precautionary = false;
    b->ack_phase = BBR_ACKS_REFILLING;
    bbr_start_round(b);
    b->mode = BBR_PROBE_BW_REFILL;
}

static void raise_longterm_slope(struct bbr_event *e)
{
    struct bbr *b = e->b;
    uint32_t growth = UINT32_C(1) << b->bw_probe_up_rounds;
    b->bw_probe_up_rounds = (uint8_t)u32_min(b->bw_probe_up_rounds + 1u, 30);
    b->probe_up_acked_per_inc = u32_max(e->cc->cwnd / growth, b->mss);
}

static void start_up(struct bbr_event *e)
{
    struct bbr *b = e->b;
    b->ack_phase = BBR_ACKS_PROBE_STARTING;
    bbr_start_round(b);
    bbr_reset_full_bw(b);
    b->full_bw = e->delivery_rate;
    b->mode = BBR_PROBE_BW_UP;
    raise_longterm_slope(e);
}

static void probe_longterm_upward(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (!e->is_cwnd_limited || e->cc->cwnd < b->inflight_longterm)
        return;
    b->bw_probe_up_acked += e->newly_acked;
    if (b->bw_probe_up_acked >= b->probe_up_acked_per_inc) {
        uint64_t delta = b->bw_probe_up_acked / b->probe_up_acked_per_inc;
        b->bw_probe_up_acked -= delta * b->probe_up_acked_per_inc;
        b->inflight_longterm += delta * b->mss;
    }
    if (b->round_start)
        raise_longterm_slope(e);
}

/* True: it decided a transition. */
static bool adapt_longterm_model(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->ack_phase == BBR_ACKS_PROBE_STARTING && b->round_start)
        b->ack_phase = BBR_ACKS_PROBE_FEEDBACK;
    if (b->ack_phase == BBR_ACKS_PROBE_STOPPING && b->round_start) {
        b->is_bw_probe_sample = false;
        b->ack_phase = BBR_ACKS_INIT;
        if (bbr_is_probe_bw(b) && !e->is_app_limited) {
            /* AdvanceMaxBwFilter (5.5.6) */
            b->max_bw[0] = b->max_bw[1];
            b->max_bw[1] = 0;
        }
        if (bbr_is_probe_bw(b) && b->prev_probe_precautionary && !b->prev_probe_too_high) {
            bbr_start_refill(b);
            return true;
        }
    }
    if (bbr_is_inflight_too_high(e) || b->inflight_longterm == BBR_INFINITY)
        return false;
    if (e->tx_in_flight > b->inflight_longterm)
        b->inflight_longterm = e->tx_in_flight;
    if (b->mode == BBR_PROBE_BW_UP)
        probe_longterm_upward(e);
    return false;
}

static bool is_time_to_probe_bw(struct bbr_event *e)
{
    struct bbr *b = e->b;
    uint64_t reno_rounds = bbr_target_inflight(e->cc) / b->mss;
    if (e->now <= time_after(b->cycle_stamp, b->bw_probe_wait) &&
        b->rounds_since_probe_up < u64_min(reno_rounds, RENO_ROUNDS_MAX))
        return false;
    bbr_start_refill(b);
    return true;
}

static bool is_time_to_cruise(const struct bbr_event *e)
{
    return e->inflight <= bbr_inflight_with_headroom(e->b) &&
           e->inflight <= bbr_inflight(e->b, bbr_max_bw(e->b), 100);
}

static bool is_time_to_go_down(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->prev_probe_too_high && e->inflight >= b->inflight_longterm) {
        b->prev_probe_precautionary = true;
        return true;
    }
    if (e->is_cwnd_limited && e->cc->cwnd >= b->inflight_longterm) {
        bbr_reset_full_bw(b);
        b->full_bw = e->delivery_rate;
        return false;
    }
    return b->full_bw_now;
}

static void update_probe_bw(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (!b->full_bw_reached || adapt_longterm_model(e))
        return;
    switch (b->mode) {
    case BBR_PROBE_BW_DOWN:
        if (!is_time_to_probe_bw(e) && is_time_to_cruise(e))
            b->mode = BBR_PROBE_BW_CRUISE;
        return;
    case BBR_PROBE_BW_CRUISE:
        is_time_to_probe_bw(e);
        return;
    case BBR_PROBE_BW_REFILL:
        if (b->round_start) {
            b->is_bw_probe_sample = true;
            start_up(e);
        }
        return;
    case BBR_PROBE_BW_UP:
        if (is_time_to_go_down(e)) {
            b->prev_probe_too_high = false; /* not yet */
            start_down(e);
        }
        return;
    default:
        return;
    }
}

/* 5.5.10.2 */
void bbr_handle_inflight_too_high(struct bbr_event *e)
{
    struct bbr *b = e->b;
    b->prev_probe_too_high = true;
    b->is_bw_probe_sample = false; /* one reaction per probe */
    if (!e->is_app_limited)
        b->inflight_longterm = u64_max(e->tx_in_flight, bbr_target_inflight(e->cc) * 7 / 10);
    if (b->mode == BBR_PROBE_BW_UP) {
        b->undo_mode = BBR_PROBE_BW_UP;
        start_down(e);
    }
}

/* ---- ProbeRTT (5.3.4) ------------------------------------------------------------------------ */

uint64_t bbr_probe_rtt_cwnd(const struct bbr *b)
{
    return u64_max(bbr_bdp(b, b->bw, states[BBR_PROBE_RTT].cwnd_gain), 4 * (uint64_t)b->mss);
}

void bbr_restore_cwnd(struct tcp_cc *cc) { cc->cwnd = u32_max(cc->cwnd, bbr_of(cc)->prior_cwnd); }

void bbr_check_probe_rtt_done(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->probe_rtt_done_stamp == 0 || e->now <= b->probe_rtt_done_stamp)
        return;
    b->probe_rtt_min_stamp = e->now; /* the next in 5 s */
    bbr_restore_cwnd(e->cc);
    /* 5.3.4.4 */
    bbr_reset_short_term_model(b);
    if (!b->full_bw_reached) {
        bbr_enter_startup(b);
        return;
    }
    start_down(e);
    b->mode = BBR_PROBE_BW_CRUISE;
}

static void handle_probe_rtt(struct bbr_event *e)
{
    struct bbr *b = e->b;
    /* Its low rates say nothing of the path: MarkConnectionAppLimited. */
    e->cc->is_limited = true;
    if (b->probe_rtt_done_stamp == 0) {
        if (e->inflight > bbr_probe_rtt_cwnd(b))
            return;
        b->probe_rtt_done_stamp = time_after(e->now, PROBE_RTT_DURATION);
        b->probe_rtt_round_done = false;
        bbr_start_round(b);
        return;
    }
    b->probe_rtt_round_done |= b->round_start;
    if (b->probe_rtt_round_done)
        bbr_check_probe_rtt_done(e);
}

static void check_probe_rtt(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->mode != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
        /* SaveCwnd sees the state before, EnterProbeRTT's own is later. */
        b->prior_cwnd = b->in_recovery ? u32_max(b->prior_cwnd, e->cc->cwnd) : e->cc->cwnd;
        b->mode = BBR_PROBE_RTT;
        b->probe_rtt_done_stamp = 0;
        b->ack_phase = BBR_ACKS_PROBE_STOPPING;
        bbr_start_round(b);
    }
    if (b->mode == BBR_PROBE_RTT)
        handle_probe_rtt(e);
    if (e->rs_delivered > 0)
        b->idle_restart = false;
}

void bbr_update_state(struct bbr_event *e)
{
    struct bbr *b = e->b;
    check_startup_done(e);
    if (b->mode == BBR_DRAIN &&
        (e->inflight <= bbr_inflight(b, b->bw, 100) || b->round_count > b->drain_start_round + 3))
        start_down(e);
    update_probe_bw(e);
    bbr_update_min_rtt(e);
    check_probe_rtt(e);
}
