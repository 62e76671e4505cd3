/* rtt.c: SRTT, RTTVAR and RTO (RFC 6298 2 to 5).
 *
 * Called by ack.c (samples), timeout.c (back-off) and timers.c (the time-out to arm).
 */
#include "tcp/rtt.h"

#include "base/base.h"

#define BACKOFF_MAX 30 /* doublings; rto_max caps long before */

void rtt_init(struct tcp_rtt *r, ns_t rto_initial)
{
    *r = (struct tcp_rtt){
        .rto = rto_initial, .min = TIME_NEVER, .min_next = TIME_NEVER, .timed_since = TIME_NEVER};
}

void rtt_bound(struct tcp_rtt *r, ns_t rto_min, ns_t rto_max)
{
    if (r->srtt == 0)
        return;
    /* RFC 6298 2.3, 4: the variance term is never below the clock's grain. */
    ns_t var = u64_max(RTT_GRANULARITY, 4 * r->rttvar);
    if (r->floor_is_of_variance)
        var = u64_max(var, rto_min);
    ns_t rto = time_after(r->srtt, var);
    /* DEVIATES RFC 6298 2.4: the floor is rto_min (200 ms by default, as Linux), because a floor of
     * 1 s makes every tail loss a second long on today's paths. */
    r->rto = u64_min(u64_max(rto, rto_min), rto_max);
}

/* 8985-10: a minimum that is at most two windows old, so that a longer path is believed in the
 * end. */
static void note_min(struct tcp_rtt *r, ns_t sample, ns_t now)
{
    if (time_between(r->min_since, now) >= RTT_MIN_WINDOW) {
        r->min = r->min_since != 0 ? r->min_next : r->min;
        r->min_next = TIME_NEVER;
        r->min_since = now;
    }
    r->min_next = u64_min(r->min_next, sample);
    r->min = u64_min(r->min, sample);
}

void rtt_on_sample(struct tcp_rtt *r, ns_t sample, ns_t now, ns_t rto_min, ns_t rto_max)
{
    if (r->srtt == 0) {
        /* RFC 6298 2.2 */
        r->srtt = sample;
        r->rttvar = sample / 2;
    } else {
        /* RFC 6298 2.3 (MUST): RTTVAR before SRTT, beta = 1/4, alpha = 1/8 */
        ns_t error = sample > r->srtt ? sample - r->srtt : r->srtt - sample;
        r->rttvar = r->rttvar - r->rttvar / 4 + error / 4;
        r->srtt = r->srtt - r->srtt / 8 + sample / 8;
    }
    if (r->srtt == 0)
        r->srtt = 1; /* "no sample yet" is 0 */
    note_min(r, sample, now);
    rtt_bound(r, rto_min, rto_max);
    r->backoff = 0;
}

void rtt_back_off(struct tcp_rtt *r)
{
    if (r->backoff < BACKOFF_MAX)
        r->backoff++;
}
