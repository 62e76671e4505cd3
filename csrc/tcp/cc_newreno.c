/* cc_newreno.c: slow start and congestion avoidance of RFC 5681, counting bytes (RFC 3465).
 *
 * The reference algorithm behind cc.h; recovery itself is recovery.c.
 */
#include "base/base.h"
#include "tcp/cc.h"

uint32_t cc_initial_window(uint32_t mss)
{
    return u32_min(10 * mss, u32_max(2 * mss, 14600)); /* RFC 6928 2 */
}

static void newreno_init(struct tcp_cc *cc, uint32_t mss)
{
    cc->cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX; /* RFC 5681 3.1: arbitrarily high */
    cc->newreno.bytes_acked = 0;
}

static void newreno_on_ack(struct tcp_cc *cc, const struct cc_ack *a)
{
    if (!a->was_cwnd_limited)
        return; /* RFC 7661: an unused window is not evidence that more would fit */
    if (cc->cwnd < cc->ssthresh) {
        /* DEVIATES RFC 5681 3.1: grows by all bytes acknowledged, not at most one SMSS per ACK,
         * because a link that merges segments yields one ACK for up to 64 KiB. Splitting ACKs still
         * gains a peer nothing. */
        uint32_t room = cc->ssthresh - cc->cwnd;
        cc->cwnd += u32_min(a->acked, u32_max(room, a->mss));
        return;
    }
    cc->newreno.bytes_acked += a->acked;
    if (cc->newreno.bytes_acked >= cc->cwnd) {
        cc->newreno.bytes_acked -= cc->cwnd;
        cc->cwnd += a->mss; /* RFC 5681 3.1 (MUST): at most one SMSS per RTT */
    }
}

static void newreno_on_loss(struct tcp_cc *cc, uint32_t flight, uint32_t mss, ns_t now)
{
    (void)now;
    cc->ssthresh = u32_max(flight / 2, 2 * mss); /* RFC 5681 (4) */
    cc->cwnd = cc->ssthresh;                     /* RFC 6675 5 (4.2) */
    cc->newreno.bytes_acked = 0;
}

static void newreno_on_recovered(struct tcp_cc *cc, uint32_t mss, ns_t now)
{
    (void)now;
    cc->cwnd = u32_max(cc->ssthresh, mss); /* RFC 5681 3.2 (6) */
}

static void newreno_on_rto(struct tcp_cc *cc, uint32_t flight, uint32_t mss, bool first, ns_t now)
{
    (void)now;
    if (first)
        cc->ssthresh = u32_max(flight / 2, 2 * mss); /* RFC 5681 3.1 (4) */
    cc->cwnd = mss;                                  /* the loss window */
    cc->newreno.bytes_acked = 0;
}

static void newreno_on_idle(struct tcp_cc *cc, uint32_t mss)
{
    cc->cwnd = u32_min(cc->cwnd, cc_initial_window(mss)); /* RFC 5681 4.1 */
}

const struct cc_ops cc_newreno = {
    .name = "newreno",
    .init = newreno_init,
    .on_ack = newreno_on_ack,
    .on_loss = newreno_on_loss,
    .on_recovered = newreno_on_recovered,
    .on_rto = newreno_on_rto,
    .on_idle = newreno_on_idle,
};

const struct cc_ops *const cc_all[] = {&cc_newreno, NULL};
