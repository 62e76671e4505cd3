/* rate.c: the rate sample of an ACK (draft-ietf-ccwg-bbr-06 4.1.2).
 *
 * Called by ack.c for algorithms that want it, and by output.c.
 */
#include "tcp/rate.h"

#include "tcp/recovery.h"

/* bytes * 10^9 / ns without overflow for any window there is. */
static uint64_t bytes_per_second(uint64_t bytes, ns_t interval)
{
    if (bytes <= UINT64_MAX / NS_PER_S)
        return bytes * NS_PER_S / interval;
    return bytes / interval * NS_PER_S;
}

void rate_sample_take(struct tcb *t, uint32_t delivered, ns_t now, struct rate_sample *out)
{
    struct tcp_rate *r = &t->rate;
    r->delivered += delivered;
    *out =
        (struct rate_sample){.total_delivered = r->delivered, .newly_lost = r->lost - r->lost_told};
    r->lost_told = r->lost;
    if (delivered > 0)
        r->delivered_at = now;
    /* 4.1.2.3: the bubble of an idle application has passed. */
    if (r->app_limited != 0 && r->delivered > r->app_limited)
        r->app_limited = 0;
    if (t->log == NULL || !t->log->has_newest)
        return;
    const struct sent_run *run = &t->log->newest;
    t->log->has_newest = false;
    r->first_sent_at = run->sent_at;
    out->is_valid = true;
    out->prior_delivered = run->delivered;
    out->delivered = r->delivered - run->delivered;
    out->lost = (uint32_t)r->lost - run->lost;
    out->tx_in_flight = run->tx_in_flight;
    out->is_app_limited = run->app_limited;
    /* 4.1.1.3: the slower of sending and acknowledging; neither a burst of ACKs nor one of data
     * makes a rate. */
    ns_t send = time_between(run->first_sent_at, run->sent_at);
    ns_t ack = time_between(run->delivered_at, now);
    out->interval = u64_max(send, ack);
    /* Shorter than the shortest round trip it cannot be (4.1.2.3). */
    if (out->interval == 0 || (t->rtt.min != TIME_NEVER && out->interval < t->rtt.min))
        return;
    out->delivery_rate = bytes_per_second(out->delivered, out->interval);
}

void rate_mark_app_limited(struct tcb *t)
{
    t->rate.app_limited = u64_max(t->rate.delivered + recovery_pipe(t), 1);
}

void rate_check_app_limited(struct tcb *t)
{
    uint64_t nxt = tcb_snd_offset(t, t->snd_nxt);
    /* 4.1.2.4: less than a segment waits, cwnd has room, and what was lost has been sent again. */
    if (t->sendq.end - u64_min(t->sendq.end, nxt) < t->snd_mss && recovery_pipe(t) < t->cc.cwnd)
        rate_mark_app_limited(t);
}
