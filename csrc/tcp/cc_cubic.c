/* cc_cubic.c: CUBIC (RFC 9438) in integers: bytes, microseconds, no rounding that adds up.
 *
 * The default behind cc.h. W_cubic and K are the exact values rounded down (cubic_window,
 * cubic_k); what a division leaves over is carried to the next ACK.
 */
#include "tcp/cc_cubic.h"

#include "base/base.h"
#include "tcp/hystart.h"

/* C = 0.4 = 2/5 and beta = 0.7 (RFC 9438 4.1.1, 5) */
#define BETA_NUM 7u
#define BETA_DEN 10u
/* alpha = 3 (1 - beta) / (1 + beta) = 9/17 (4.3) */
#define ALPHA_NUM 9u
#define ALPHA_DEN 17u
/* Beyond this the cubic exceeds every window there is, whatever the segment size. */
#define REACH_US (INT64_C(1800) * 1000 * 1000)
#define CWND_MAX (UINT32_C(1) << 30)
#define EST_SHIFT 16 /* W_est has a fraction */

uint64_t cubic_k(uint32_t w_max, uint32_t cwnd_epoch, uint32_t mss)
{
    if (w_max <= cwnd_epoch)
        return 0;
    /* RFC 9438 4.2: cbrt((W_max - cwnd_epoch) / C), in us: bytes / mss * 5/2 * 10^18 */
    unsigned __int128 of = (unsigned __int128)(w_max - cwnd_epoch) * 5;
    of = of * 1000000000u * 1000000000u / (2 * (uint64_t)mss);
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit != 0; bit >>= 1) {
        unsigned __int128 next = root | bit;
        if (next * next * next <= of)
            root |= bit;
    }
    return root;
}

uint32_t cubic_window(uint32_t w_max, int64_t since_k_us, uint32_t mss)
{
    int64_t d = since_k_us;
    d = d > REACH_US ? REACH_US : d < -REACH_US ? -REACH_US : d;
    /* RFC 9438 4.2: C (t - K)^3 segments + W_max */
    __int128 cube = (__int128)d * d * d * 2 * (int64_t)mss;
    __int128 bytes = cube / ((__int128)5 * 1000000000 * 1000000000);
    if (bytes * 5 * 1000000000 * 1000000000 > cube)
        bytes--; /* rounded down, also below zero */
    bytes += w_max;
    return bytes < 0 ? 0 : bytes > CWND_MAX ? CWND_MAX : (uint32_t)bytes;
}

static void cubic_init(struct tcp_cc *cc, uint32_t mss)
{
    cc->cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX;
    cc->own.cubic = (struct cubic){.w_max = 0};
    if (cc->env->hystart == HYSTART_NONE)
        return;
    cc->wants_rtt = true;
    hystart_init(&cc->own.cubic.hystart); /* RFC 9438 4.10 (SHOULD) */
}

/* A stage of congestion avoidance begins. `w_max` is what a reduction left, or 0: the first one
 * without a loss, or the first after a time-out. */
static void begin_stage(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct cubic *q = &cc->own.cubic;
    q->t_epoch = a->now;
    if (q->w_max == 0 || q->after_rto) {
        /* RFC 9438 4.8, 4.10: K = 0, W_max = cwnd; W_est from cwnd */
        q->w_max = q->cwnd_prior = cc->cwnd;
        q->after_rto = false;
    }
    q->k = cubic_k(q->w_max, cc->cwnd, a->mss);
    q->w_est = (uint64_t)cc->cwnd << EST_SHIFT;
    q->credit = 0;
}

/* The window an AIMD flow of the same mean would have (4.3). */
static uint32_t reno_friendly(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct cubic *q = &cc->own.cubic;
    uint64_t grow = ((uint64_t)a->acked * a->mss << EST_SHIFT) / cc->cwnd;
    /* RFC 9438 4.3 (SHOULD): alpha is 1 once W_est is back at where cwnd was before. */
    if (q->w_est >> EST_SHIFT < q->cwnd_prior)
        grow = grow * ALPHA_NUM / ALPHA_DEN;
    q->w_est = u64_min(q->w_est + grow, (uint64_t)CWND_MAX << EST_SHIFT);
    return (uint32_t)(q->w_est >> EST_SHIFT);
}

static void avoid_congestion(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct cubic *q = &cc->own.cubic;
    if (q->t_epoch == 0)
        begin_stage(cc, a);
    uint64_t t = time_between(q->t_epoch, a->now) / NS_PER_US;
    uint64_t rtt = a->srtt / NS_PER_US;
    uint32_t w_est = reno_friendly(cc, a);
    if (cubic_window(q->w_max, (int64_t)t - (int64_t)q->k, a->mss) < w_est) {
        cc->cwnd = u32_max(cc->cwnd, w_est); /* RFC 9438 4.3: the Reno-friendly region */
        return;
    }
    /* RFC 9438 4.2, 4.4, 4.5 (MUST): (target - cwnd) / cwnd per segment acknowledged, target
     * within [cwnd, 1.5 cwnd]. */
    uint32_t target = cubic_window(q->w_max, (int64_t)(t + rtt) - (int64_t)q->k, a->mss);
    target = u32_min(u32_max(target, cc->cwnd), cc->cwnd + cc->cwnd / 2);
    uint64_t credit = q->credit + (uint64_t)(target - cc->cwnd) * a->acked;
    uint32_t cwnd = cc->cwnd;
    cc->cwnd += (uint32_t)(credit / cwnd);
    q->credit = (uint32_t)(credit % cwnd);
}

/* The bytes by which cwnd grows while HyStart++, or HyStart, looks on. */
static uint32_t watched_growth(struct tcp_cc *cc, const struct cc_ack *a, ns_t last)
{
    struct hystart *h = &cc->own.cubic.hystart;
    if (cc->env->hystart == HYSTART_CLASSIC)
        return hystart_classic_on_ack(h, a, cc->cwnd, last, cc->pacing_rate != 0);
    return hystart_on_ack(h, a);
}

static void slow_start(struct tcp_cc *cc, const struct cc_ack *a, ns_t last)
{
    struct hystart *h = &cc->own.cubic.hystart;
    uint32_t room = u32_max(cc->ssthresh - cc->cwnd, a->mss);
    if (!hystart_is_on(h)) {
        cc->cwnd += u32_min(a->acked, room); /* RFC 5681 3.1, by bytes; see newreno_on_ack */
        return;
    }
    cc->cwnd += u32_min(watched_growth(cc, a, last), room);
    if (!hystart_is_on(h)) {
        cc->wants_rtt = false;
        cc->ssthresh = cc->cwnd; /* RFC 9406 4.2: five rounds of CSS are over; or HyStart */
        cc->own.cubic.t_epoch = 0;
    }
}

static void cubic_on_ack(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct cubic *q = &cc->own.cubic;
    ns_t last = q->last_ack_at;
    q->last_ack_at = a->now;
    if (!a->was_cwnd_limited) {
        /* RFC 9438 4.2 (MUST): t leaves out times in which the application, not the network,
         * was the limit; and cwnd does not grow (5.8, RFC 7661). */
        if (q->t_epoch != 0 && last != 0)
            q->t_epoch = time_after(q->t_epoch, time_between(last, a->now));
    } else if (cc->cwnd < cc->ssthresh) {
        slow_start(cc, a, last);
    } else {
        avoid_congestion(cc, a);
    }
    cc->cwnd = u32_min(cc->cwnd, CWND_MAX);
    cc_pace(cc, a);
}

/* What ssthresh is 0.7 of: flight_size, or cwnd (RFC 9438 4.6), which does not grow unused here.
 * PRR may have cwnd below ssthresh. */
static uint32_t window_lost(const struct tcp_cc *cc, const struct cc_loss *l)
{
    if (!cc->env->cubic_ssthresh_of_cwnd)
        return l->flight;
    return u32_max(cc->cwnd, u32_min(l->flight, cc->ssthresh));
}

/* RFC 9438 4.6 (MUST) and 4.7: what a sign of congestion does to the cubic; returns ssthresh. */
static uint32_t reduce(struct tcp_cc *cc, const struct cc_loss *l)
{
    struct cubic *q = &cc->own.cubic;
    hystart_stop(&q->hystart);
    cc->wants_rtt = false;
    /* 4.7 (SHOULD): below the last W_max others are coming; make room for them. */
    q->w_max = cc->cwnd < q->w_max ? (uint32_t)((uint64_t)cc->cwnd * 17 / 20) : cc->cwnd;
    q->cwnd_prior = cc->cwnd;
    q->t_epoch = 0;
    q->after_rto = false;
    return (uint32_t)((uint64_t)window_lost(cc, l) * BETA_NUM / BETA_DEN);
}

static void cubic_on_recovery(struct tcp_cc *cc, const struct cc_loss *l)
{
    cc->ssthresh = u32_max(reduce(cc, l), 2 * l->mss);
    cc->cwnd = cc->ssthresh;
    cc->pacing_rate = 0;
}

static void cubic_on_ecn(struct tcp_cc *cc, const struct cc_loss *l)
{
    uint32_t to = reduce(cc, l);
    cc->ssthresh = u32_max(to, 2 * l->mss);
    cc->cwnd = u32_max(to, l->mss); /* RFC 9438 4.6 (MUST): down to one segment */
    cc->pacing_rate = 0;
}

static void cubic_on_recovered(struct tcp_cc *cc, const struct cc_loss *l)
{
    cc->cwnd = u32_max(cc->ssthresh, l->mss);
}

static void cubic_on_rto(struct tcp_cc *cc, const struct cc_loss *l, bool first)
{
    if (first)
        cc->ssthresh = u32_max(reduce(cc, l), 2 * l->mss); /* RFC 9438 4.8 */
    cc->own.cubic.after_rto = true;
    cc->cwnd = l->mss; /* the loss window of RFC 5681 3.1 */
    cc->pacing_rate = 0;
}

static void cubic_on_undo(struct tcp_cc *cc, const struct cc_loss *now)
{
    /* RFC 9438 4.9: the time spent believing in a loss is no time of the epoch. */
    struct cubic *q = &cc->own.cubic;
    if (q->t_epoch != 0 && q->last_ack_at != 0)
        q->t_epoch = time_after(q->t_epoch, time_between(q->last_ack_at, now->now));
    q->last_ack_at = now->now;
    cc->wants_rtt = hystart_is_on(&q->hystart);
}

static void cubic_on_idle(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto)
{
    struct cubic *q = &cc->own.cubic;
    if (q->t_epoch != 0 && q->last_ack_at != 0) {
        q->t_epoch = time_after(q->t_epoch, time_between(q->last_ack_at, now->now));
        q->last_ack_at = now->now;
    }
    cc_restart(cc, now->mss, idle, rto);
}

static uint32_t cubic_describe(const struct tcp_cc *cc, struct cc_value *out)
{
    const struct cubic *q = &cc->own.cubic;
    const struct hystart *h = &q->hystart;
    bool is_on = hystart_is_on(h), is_classic = cc->env->hystart == HYSTART_CLASSIC;
    const struct cc_value values[] = {
        {"W_max", q->w_max},
        {"K_ns", q->k * NS_PER_US},
        {"W_est", q->w_est >> EST_SHIFT},
        {"cwnd_prior", q->cwnd_prior},
        {"t_epoch_ns", q->t_epoch},
        {"hystart_phase", h->phase},
        {"RttThresh_ns", !is_on       ? 0
                         : is_classic ? hystart_classic_eta(h)
                                      : hystart_rtt_thresh(h)},
        {"lastRoundMinRTT_ns", is_on ? h->last_round_min_rtt : 0},
        {"currentRoundMinRTT_ns", is_on ? h->current_round_min_rtt : 0},
        {"rttSampleCount", is_on ? h->rtt_sample_count : 0},
        {"css_rounds", is_on && !is_classic ? h->css_rounds : 0},
    };
    memcpy(out, values, sizeof values);
    return UT_COUNTOF(values);
}

const struct cc_ops cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .on_ack = cubic_on_ack,
    .on_recovery = cubic_on_recovery,
    .on_recovered = cubic_on_recovered,
    .on_ecn = cubic_on_ecn,
    .on_rto = cubic_on_rto,
    .on_undo = cubic_on_undo,
    .describe = cubic_describe,
    .on_idle = cubic_on_idle,
};
