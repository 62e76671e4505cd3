/* cc_newreno.c: slow start and congestion avoidance of RFC 5681, counting bytes (RFC 3465).
 *
 * The reference algorithm behind cc.h; recovery itself is recovery.c.
 */
#include "base/base.h"
#include "tcp/cc.h"

static void newreno_init(struct tcp_cc *cc, uint32_t mss)
{
    cc->cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX; /* RFC 5681 3.1: arbitrarily high */
    cc->own.newreno.bytes_acked = 0;
}

static void newreno_on_ack(struct tcp_cc *cc, const struct cc_ack *a)
{
    cc_grow(cc, a, &cc->own.newreno.bytes_acked);
}

static void newreno_on_recovery(struct tcp_cc *cc, const struct cc_loss *l)
{
    cc->ssthresh = cc_half_flight(l);
    cc->cwnd = cc->ssthresh; /* RFC 6675 5 (4.2) */
    cc->own.newreno.bytes_acked = 0;
}

/* 3168-15 (MUST): as a loss; and down to one segment (RFC 3168 6.1.2). */
static void newreno_on_ecn(struct tcp_cc *cc, const struct cc_loss *l)
{
    newreno_on_recovery(cc, l);
    cc->cwnd = u32_max(l->flight / 2, l->mss);
}

static void newreno_on_recovered(struct tcp_cc *cc, const struct cc_loss *l)
{
    cc->cwnd = u32_max(cc->ssthresh, l->mss); /* RFC 5681 3.2 (6) */
}

static void newreno_on_rto(struct tcp_cc *cc, const struct cc_loss *l, bool first)
{
    if (first)
        cc->ssthresh = cc_half_flight(l); /* RFC 5681 3.1 (4) */
    cc->cwnd = l->mss;                    /* the loss window */
    cc->own.newreno.bytes_acked = 0;
}

static void newreno_on_idle(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto)
{
    cc_restart(cc, now->mss, idle, rto);
}

static uint32_t newreno_describe(const struct tcp_cc *cc, struct cc_value *out)
{
    out[0] = (struct cc_value){"bytes_acked", cc->own.newreno.bytes_acked};
    return 1;
}

const struct cc_ops cc_newreno = {
    .name = "reno",
    .init = newreno_init,
    .on_ack = newreno_on_ack,
    .on_recovery = newreno_on_recovery,
    .on_recovered = newreno_on_recovered,
    .on_ecn = newreno_on_ecn,
    .on_rto = newreno_on_rto,
    .describe = newreno_describe,
    .on_idle = newreno_on_idle,
};
