/* bbr_model.c: BBR's model of the path: rates, volumes, round trips (draft-ietf-ccwg-bbr-06 5.5).
 *
 * Called by cc_bbr.c with every ACK, and by bbr_state.c.
 */
#include "base/base.h"
#include "tcp/bbr.h"

#define MIN_RTT_FILTER_LEN (10 * NS_PER_S)
#define PROBE_RTT_INTERVAL (5 * NS_PER_S)
#define BETA_PERCENT 70
#define HEADROOM_PERCENT 15
#define EXTRA_ACKED_FILTER_LEN 10 /* rounds */

void bbr_reset_congestion_signals(struct bbr *b)
{
    b->is_loss_in_round = b->is_ecn_in_round = false;
    b->bw_latest = b->inflight_latest = 0;
}

void bbr_reset_short_term_model(struct bbr *b)
{
    b->bw_shortterm = b->inflight_shortterm = BBR_INFINITY;
}

void bbr_reset_full_bw(struct bbr *b)
{
    b->full_bw = 0;
    b->full_bw_count = 0;
    b->full_bw_now = false;
}

/* ---- volumes (5.6.4.2) ---------------------------------------------------------------------- */

uint64_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain)
{
    if (b->min_rtt == TIME_NEVER)
        return b->initial_cwnd;
    unsigned __int128 bytes = (unsigned __int128)bw * b->min_rtt * gain / 100 / NS_PER_S;
    return bytes > UINT32_MAX ? UINT32_MAX : (uint64_t)bytes;
}

/* QuantizationBudget. */
static uint64_t budget(const struct bbr *b, uint64_t inflight)
{
    inflight = u64_max(inflight, 3 * (uint64_t)b->send_quantum); /* 5.5.8, offload_budget */
    inflight = u64_max(inflight, 4 * (uint64_t)b->mss);          /* MinPipeCwnd */
    return b->mode == BBR_PROBE_BW_UP ? inflight + 2 * (uint64_t)b->mss : inflight;
}

uint64_t bbr_inflight(const struct bbr *b, uint64_t bw, uint32_t gain)
{
    return budget(b, bbr_bdp(b, bw, gain));
}

uint64_t bbr_inflight_with_headroom(const struct bbr *b)
{
    if (b->inflight_longterm == BBR_INFINITY)
        return BBR_INFINITY;
    uint64_t headroom = u64_max(b->mss, b->inflight_longterm * HEADROOM_PERCENT / 100);
    uint64_t left = b->inflight_longterm > headroom ? b->inflight_longterm - headroom : 0;
    return u64_max(left, 4 * (uint64_t)b->mss);
}

uint64_t bbr_target_inflight(const struct tcp_cc *cc)
{
    const struct bbr *b = bbr_of(cc);
    return u64_min(bbr_bdp(b, b->bw, 100), cc->cwnd);
}

/* ---- rounds and rates (5.5.1 to 5.5.6) ------------------------------------------------------ */

/* Whether more than LossThresh of `sent` bytes was lost.
 * DEVIATES draft-ietf-ccwg-bbr-06 5.5.10.2: where no queue is, only when it is more than chance
 * explains (two standard deviations of so many segments each lost with that probability), because a
 * window of a few hundred segments crosses 2 % by itself every few round trips where 1 % is lost at
 * random, and each crossing takes a tenth of the path until the next probe, seconds later. */
static bool is_loss_high(const struct bbr *b, uint64_t lost, uint64_t sent)
{
    uint64_t tolerated = sent * BBR_LOSS_THRESH / 100;
    if (lost <= tolerated || b->rtt_latest > b->min_rtt + b->min_rtt / 2)
        return lost > tolerated;
    uint64_t more = lost - tolerated;
    return more * more > 4 * tolerated * b->mss;
}

static void update_round(struct bbr_event *e)
{
    struct bbr *b = e->b;
    b->round_start = e->has_sample && e->prior_delivered >= b->next_round_delivered;
    if (!b->round_start)
        return;
    bbr_start_round(b);
    b->round_count++;
    b->rounds_since_probe_up++;
}

static void update_max_bw(struct bbr_event *e)
{
    update_round(e);
    /* 5.5.5: a rate the application limited counts only when it is higher all the same. */
    if (e->delivery_rate > 0 && (e->delivery_rate >= bbr_max_bw(e->b) || !e->is_app_limited))
        e->b->max_bw[1] = u64_max(e->b->max_bw[1], e->delivery_rate);
}

/* 5.5.10.3, once per round with losses, while not probing.
 * DEVIATES draft-ietf-ccwg-bbr-06 5.5.10.3: only when more than LossThresh of the round was lost,
 * not at any loss, because bw_latest is what was paced a per cent below bw: each round with one
 * random loss would take a per cent away, and 1 % of random loss a seventh of the path. */
static void adapt_lower_bounds(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->mode == BBR_STARTUP || b->mode == BBR_PROBE_BW_REFILL || b->mode == BBR_PROBE_BW_UP ||
        !b->is_loss_in_round || !(b->is_loss_high || b->is_ecn_in_round))
        return;
    if (b->bw_shortterm == BBR_INFINITY)
        b->bw_shortterm = bbr_max_bw(b);
    if (b->inflight_shortterm == BBR_INFINITY)
        b->inflight_shortterm = e->cc->cwnd;
    b->bw_shortterm = u64_max(b->bw_latest, b->bw_shortterm * BETA_PERCENT / 100);
    b->inflight_shortterm = u64_max(b->inflight_latest, b->inflight_shortterm * BETA_PERCENT / 100);
}

static void update_congestion(struct bbr_event *e)
{
    struct bbr *b = e->b;
    update_max_bw(e);
    if (!b->loss_round_start)
        return;
    adapt_lower_bounds(e);
    b->is_loss_in_round = b->is_ecn_in_round = false;
}

static void update_latest(struct bbr_event *e)
{
    struct bbr *b = e->b;
    b->loss_round_start = false;
    if (e->rtt != 0)
        b->rtt_latest = e->rtt;
    b->bw_latest = u64_max(b->bw_latest, e->delivery_rate);
    b->inflight_latest = u64_max(b->inflight_latest, e->rs_delivered);
    if (e->has_sample && e->prior_delivered >= b->loss_round_delivered) {
        b->loss_round_delivered = b->total_delivered;
        b->loss_round_start = true;
        uint64_t lost = b->total_lost - b->round_lost;
        uint64_t sent = lost + b->total_delivered - b->round_delivered;
        b->is_loss_high = is_loss_high(b, lost, sent);
        b->round_lost = b->total_lost;
        b->round_delivered = b->total_delivered;
    }
}

/* 5.5.9: the maximum over ten rounds, held as those of the last five to ten and of the rest. */
static void note_extra_acked(struct bbr *b, uint64_t extra)
{
    uint32_t span = b->full_bw_reached ? EXTRA_ACKED_FILTER_LEN / 2 : 1;
    if (b->round_count - b->extra_acked_round >= span) {
        b->extra_acked[0] = b->full_bw_reached ? b->extra_acked[1] : 0;
        b->extra_acked[1] = 0;
        b->extra_acked_round = b->round_count;
    }
    b->extra_acked[1] = u64_max(b->extra_acked[1], extra);
}

uint64_t bbr_extra_acked(const struct bbr *b)
{
    return u64_max(b->extra_acked[0], b->extra_acked[1]);
}

static void update_aggregation(struct bbr_event *e)
{
    struct bbr *b = e->b;
    ns_t interval = time_between(b->extra_acked_interval_start, e->now);
    uint64_t expected = (uint64_t)((unsigned __int128)b->bw * interval / NS_PER_S);
    if (b->extra_acked_delivered <= expected) {
        b->extra_acked_delivered = 0;
        b->extra_acked_interval_start = e->now;
        expected = 0;
    }
    b->extra_acked_delivered += e->newly_acked;
    note_extra_acked(b, u64_min(b->extra_acked_delivered - expected, e->cc->cwnd));
}

/* 5.3.1.2 */
static void check_full_bw(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->full_bw_now || !b->round_start || e->is_app_limited)
        return;
    if (e->delivery_rate >= b->full_bw + b->full_bw / 4) {
        bbr_reset_full_bw(b);
        b->full_bw = e->delivery_rate;
        return;
    }
    b->full_bw_count++;
    b->full_bw_now = b->full_bw_count >= 3;
    b->full_bw_reached |= b->full_bw_now;
}

void bbr_update_model(struct bbr_event *e)
{
    update_latest(e);
    update_congestion(e);
    update_aggregation(e);
    check_full_bw(e);
}

void bbr_finish_model(struct bbr_event *e)
{
    struct bbr *b = e->b;
    if (b->loss_round_start) {
        b->bw_latest = e->delivery_rate;
        b->inflight_latest = e->rs_delivered;
    }
    b->bw = u64_min(bbr_max_bw(b), b->bw_shortterm);
}

/* 5.3.4.3 */
void bbr_update_min_rtt(struct bbr_event *e)
{
    struct bbr *b = e->b;
    b->probe_rtt_expired = e->now > time_after(b->probe_rtt_min_stamp, PROBE_RTT_INTERVAL);
    if (e->rtt != 0 && (e->rtt < b->probe_rtt_min_delay || b->probe_rtt_expired)) {
        b->probe_rtt_min_delay = e->rtt;
        b->probe_rtt_min_stamp = e->now;
    }
    bool expired = e->now > time_after(b->min_rtt_stamp, MIN_RTT_FILTER_LEN);
    if (b->probe_rtt_min_delay < b->min_rtt || expired) {
        b->min_rtt = b->probe_rtt_min_delay;
        b->min_rtt_stamp = b->probe_rtt_min_stamp;
    }
}

/* ---- losses (5.5.10) ------------------------------------------------------------------------ */

bool bbr_is_inflight_too_high(const struct bbr_event *e)
{
    return is_loss_high(e->b, e->rs_lost, e->tx_in_flight);
}

/* 5.5.11.1 */
void bbr_save_upon_loss(struct tcp_cc *cc)
{
    struct bbr *b = bbr_of(cc);
    if (!b->in_recovery && b->mode != BBR_PROBE_RTT)
        b->prior_cwnd = cc->cwnd;
    else
        b->prior_cwnd = u32_max(b->prior_cwnd, cc->cwnd);
    b->undo_mode = BBR_NO_STATE;
    b->undo_bw_shortterm = b->bw_shortterm;
    b->undo_inflight_shortterm = b->inflight_shortterm;
    b->undo_inflight_longterm = b->inflight_longterm;
}
