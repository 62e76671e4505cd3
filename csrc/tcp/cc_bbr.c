/* cc_bbr.c: BBR version 3 (draft-ietf-ccwg-bbr-06) behind cc.h: events in, cwnd and pacing rate
 * out (5.2, 5.6).
 *
 * Its state is too large for the tcb; when there is no memory for it the connection goes by CUBIC.
 */
#include "base/base.h"
#include "tcp/bbr.h"

#define PACING_MARGIN_PERCENT 1
#define CWND_MAX (UINT32_C(1) << 30)

_Static_assert(sizeof(struct bbr) + 4 <= CC_LARGE, "the pool's objects are large enough");

/* ---- control parameters (5.6) ---------------------------------------------------------------- */

static uint64_t rate_with_gain(const struct bbr *b, uint32_t gain)
{
    return b->bw / 100 * gain / 100 * (100 - PACING_MARGIN_PERCENT);
}

static void set_rate_with_gain(struct tcp_cc *cc, uint32_t gain)
{
    const struct bbr *b = bbr_of(cc);
    uint64_t rate = rate_with_gain(b, gain);
    if (rate > 0 && (b->full_bw_reached || rate > cc->pacing_rate))
        cc->pacing_rate = rate;
}

static void init_pacing_rate(struct tcp_cc *cc, ns_t srtt)
{
    uint64_t nominal = cc->cwnd * NS_PER_S / (srtt != 0 ? srtt : NS_PER_MS);
    cc->pacing_rate = nominal * bbr_pacing_gain(bbr_of(cc)) / 100;
}

static void set_quantum(struct tcp_cc *cc)
{
    struct bbr *b = bbr_of(cc);
    uint64_t quantum = cc->pacing_rate / (NS_PER_S / PACE_INTERVAL);
    b->send_quantum = (uint32_t)u64_max(u64_min(quantum, 64 * 1024), 2 * b->mss);
}

/* BoundCwndForModel (5.6.4.7) */
static uint64_t model_bound(const struct bbr *b)
{
    uint64_t cap = BBR_INFINITY;
    if (b->mode == BBR_PROBE_RTT || b->mode == BBR_PROBE_BW_CRUISE)
        cap = bbr_inflight_with_headroom(b);
    else if (bbr_is_probe_bw(b))
        cap = b->inflight_longterm;
    cap = u64_min(cap, b->inflight_shortterm);
    return u64_max(cap, 4 * (uint64_t)b->mss);
}

static void set_cwnd(struct bbr_event *e)
{
    struct tcp_cc *cc = e->cc;
    struct bbr *b = e->b;
    uint64_t max_inflight = bbr_bdp(b, b->bw, bbr_cwnd_gain(b)) + bbr_extra_acked(b);
    max_inflight = u64_max(max_inflight, u64_max(3 * (uint64_t)b->send_quantum, 4 * b->mss));
    if (b->mode == BBR_PROBE_BW_UP)
        max_inflight += 2 * b->mss;
    uint64_t cwnd = cc->cwnd;
    if (b->full_bw_reached)
        cwnd = u64_min(cwnd + e->newly_acked, max_inflight);
    else if (cwnd < max_inflight || b->total_delivered < b->initial_cwnd)
        cwnd += e->newly_acked;
    cwnd = u64_max(cwnd, 4 * (uint64_t)b->mss);
    if (b->mode == BBR_PROBE_RTT)
        cwnd = u64_min(cwnd, bbr_probe_rtt_cwnd(b));
    cc->cwnd = (uint32_t)u64_min(u64_min(cwnd, model_bound(b)), CWND_MAX);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void bbr_init(struct tcp_cc *cc, uint32_t mss)
{
    uint32_t index;
    struct bbr *b = pool_get(&cc->env->large, &index);
    if (b == NULL) {
        cc->ops = &cc_cubic;
        cc->ops->init(cc, mss);
        return;
    }
    cc->own.large.at = b;
    cc->wants_log = true;
    cc->own.large.index = index;
    cc->cwnd = b->initial_cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX;
    b->mss = mss;
    b->send_quantum = 2 * mss;
    b->min_rtt = b->probe_rtt_min_delay = TIME_NEVER;
    b->inflight_longterm = b->probe_up_acked_per_inc = BBR_INFINITY;
    b->undo_mode = BBR_NO_STATE;
    bbr_reset_short_term_model(b);
    bbr_enter_startup(b);
}

static void bbr_fini(struct tcp_cc *cc) { pool_put(&cc->env->large, cc->own.large.index); }

/* What has no time before the first ACK. */
static void begin(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct bbr *b = bbr_of(cc);
    b->min_rtt_stamp = b->probe_rtt_min_stamp = b->extra_acked_interval_start = a->now;
    if (a->srtt != 0)
        b->min_rtt = a->srtt;
    init_pacing_rate(cc, a->srtt);
}

static void bbr_on_ack(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct bbr *b = bbr_of(cc);
    const struct rate_sample *rs = a->rate;
    if (cc->pacing_rate == 0)
        begin(cc, a);
    b->mss = a->mss;
    b->total_delivered = rs->total_delivered;
    cc->is_limited = false;
    struct bbr_event e = {
        .cc = cc,
        .b = b,
        .now = a->now,
        .rtt = a->rtt,
        .delivery_rate = rs->delivery_rate,
        .rs_delivered = rs->is_valid ? rs->delivered : 0,
        .prior_delivered = rs->prior_delivered,
        .rs_lost = rs->lost,
        .newly_acked = a->delivered,
        .newly_lost = a->lost,
        .inflight = a->pipe,
        .tx_in_flight = rs->tx_in_flight,
        .is_app_limited = rs->is_app_limited,
        .is_cwnd_limited = a->was_cwnd_limited,
        .has_sample = rs->is_valid,
    };
    bbr_update_model(&e);
    bbr_update_state(&e);
    bbr_finish_model(&e);
    set_rate_with_gain(cc, bbr_pacing_gain(b));
    set_quantum(cc);
    set_cwnd(&e);
}

/* 5.5.10.2, InflightAtLoss: the part of the run up to which less than 2 % was lost. */
static uint64_t inflight_at_loss(const struct cc_lost *l)
{
    uint64_t inflight_prev = l->tx_in_flight > l->bytes ? l->tx_in_flight - l->bytes : 0;
    uint64_t lost_prev = l->lost_since > l->bytes ? l->lost_since - l->bytes : 0;
    uint64_t bound = inflight_prev * BBR_LOSS_THRESH / 100;
    uint64_t prefix = bound > lost_prev ? (bound - lost_prev) * 100 / (100 - BBR_LOSS_THRESH) : 0;
    return inflight_prev + prefix;
}

static void bbr_on_lost(struct tcp_cc *cc, const struct cc_lost *l)
{
    struct bbr *b = bbr_of(cc);
    b->total_lost += l->bytes;
    b->startup_round_losses++;
    if (!b->is_loss_in_round) {
        b->loss_round_delivered = b->total_delivered;
        bbr_save_upon_loss(cc);
    }
    b->is_loss_in_round = true;
    if (!b->is_bw_probe_sample)
        return;
    struct bbr_event e = {
        .cc = cc,
        .b = b,
        .now = l->now,
        .rs_lost = l->lost_since,
        .tx_in_flight = l->tx_in_flight,
        .is_app_limited = l->is_app_limited,
    };
    if (!bbr_is_inflight_too_high(&e))
        return;
    e.tx_in_flight = (uint32_t)inflight_at_loss(l);
    bbr_handle_inflight_too_high(&e);
}

static void bbr_on_recovery(struct tcp_cc *cc, const struct cc_loss *l)
{
    (void)l; /* 5.6.4.4: the model reacts, cwnd is left to it */
    bbr_save_upon_loss(cc);
    bbr_of(cc)->in_recovery = true;
    bbr_of(cc)->recovery_round_passed = false;
}

static void bbr_on_recovered(struct tcp_cc *cc, const struct cc_loss *l)
{
    (void)l;
    struct bbr *b = bbr_of(cc);
    b->in_recovery = false;
    bbr_restore_cwnd(cc);
    cc->cwnd = (uint32_t)u64_min(cc->cwnd, model_bound(b));
}

/* The draft has no answer to ECE. This one is that to a round of which more than LossThresh was
 * lost (5.5.10), for what is marked would have been dropped (3168-15): a probe for bandwidth ends,
 * the short-term bounds shrink by Beta when the round is over, the second such round ends Startup
 * (5.3.1.3). */
static void bbr_on_ecn(struct tcp_cc *cc, const struct cc_loss *l)
{
    struct bbr *b = bbr_of(cc);
    struct bbr_event e = {.cc = cc, .b = b, .now = l->now, .tx_in_flight = l->flight};
    if (!b->is_loss_in_round)
        b->loss_round_delivered = b->total_delivered;
    b->is_loss_in_round = b->is_ecn_in_round = true;
    if (b->is_bw_probe_sample)
        bbr_handle_inflight_too_high(&e);
    if (b->mode == BBR_STARTUP && ++b->startup_ecn_rounds == BBR_STARTUP_ECN_ROUNDS) {
        b->full_bw_reached = true;
        b->inflight_longterm = u64_max(bbr_bdp(b, b->bw, 100), b->inflight_latest);
    }
}

static void bbr_on_rto(struct tcp_cc *cc, const struct cc_loss *l, bool first)
{
    struct bbr *b = bbr_of(cc);
    if (first)
        bbr_save_upon_loss(cc);
    b->in_recovery = true;
    cc->cwnd = l->mss; /* 5.6.4.4: everything in flight counts as lost */
}

/* 5.5.11.2 */
static void bbr_on_undo(struct tcp_cc *cc, const struct cc_loss *now)
{
    (void)now;
    struct bbr *b = bbr_of(cc);
    bbr_restore_cwnd(cc);
    b->in_recovery = b->is_loss_in_round = false;
    bbr_reset_full_bw(b);
    b->bw_shortterm = u64_max(b->bw_shortterm, b->undo_bw_shortterm);
    b->inflight_shortterm = u64_max(b->inflight_shortterm, b->undo_inflight_shortterm);
    b->inflight_longterm = u64_max(b->inflight_longterm, b->undo_inflight_longterm);
    if (b->undo_mode == BBR_STARTUP && b->mode != BBR_STARTUP) {
        b->full_bw_reached = false;
        if (b->mode != BBR_PROBE_RTT)
            bbr_enter_startup(b);
    } else if (b->undo_mode == BBR_PROBE_BW_UP && b->mode != BBR_PROBE_BW_UP &&
               b->mode != BBR_PROBE_RTT) {
        bbr_start_refill(b);
    }
    b->undo_mode = BBR_NO_STATE;
}

/* 5.4: nothing decays; it starts again at the rate it knew. */
static void bbr_on_idle(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto)
{
    (void)idle, (void)rto;
    struct bbr *b = bbr_of(cc);
    b->idle_restart = true;
    b->extra_acked_interval_start = now->now;
    if (bbr_is_probe_bw(b)) {
        set_rate_with_gain(cc, 100);
    } else if (b->mode == BBR_PROBE_RTT) {
        struct bbr_event e = {.cc = cc, .b = b, .now = now->now};
        bbr_check_probe_rtt_done(&e);
    }
}

static uint32_t bbr_describe(const struct tcp_cc *cc, struct cc_value *out)
{
    const struct bbr *b = bbr_of(cc);
    const struct cc_value values[] = {
        {"state", b->mode},
        {"max_bw", bbr_max_bw(b)},
        {"bw", b->bw},
        {"bw_shortterm", b->bw_shortterm},
        {"min_rtt_ns", b->min_rtt},
        {"bdp", bbr_bdp(b, b->bw, 100)},
        {"inflight_longterm", b->inflight_longterm},
        {"inflight_shortterm", b->inflight_shortterm},
        {"extra_acked", bbr_extra_acked(b)},
        {"round_count", b->round_count},
        {"full_bw", b->full_bw},
        {"full_bw_reached", b->full_bw_reached},
        {"ack_phase", b->ack_phase},
        {"pacing_gain_percent", bbr_pacing_gain(b)},
        {"send_quantum", b->send_quantum},
    };
    memcpy(out, values, sizeof values);
    return UT_COUNTOF(values);
}

const struct cc_ops cc_bbr = {
    .name = "bbr",
    .owns_cwnd = true,
    .wants_rate = true,
    .init = bbr_init,
    .fini = bbr_fini,
    .on_ack = bbr_on_ack,
    .on_lost = bbr_on_lost,
    .on_recovery = bbr_on_recovery,
    .on_recovered = bbr_on_recovered,
    .on_ecn = bbr_on_ecn,
    .on_rto = bbr_on_rto,
    .on_undo = bbr_on_undo,
    .describe = bbr_describe,
    .on_idle = bbr_on_idle,
};
