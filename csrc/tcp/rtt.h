/* rtt.h: round-trip time and retransmission time-out (RFC 6298), one timed segment at a time.
 */
#ifndef UT_TCP_RTT_H
#define UT_TCP_RTT_H

#include <stdbool.h>

#include "base/seq32.h"
#include "base/time.h"

#define RTT_MIN_WINDOW (150 * NS_PER_S) /* RFC 8985 6.2 wants the minimum to follow the path */
#define RTT_GRANULARITY NS_PER_MS       /* G of RFC 6298 2: what our timers resolve at worst */

struct tcp_rtt {
    ns_t srtt, rttvar, rto;
    ns_t min;                 /* of the last RTT_MIN_WINDOW or two; TIME_NEVER = no sample */
    ns_t min_next, min_since; /* of the window that has begun, and when */
    ns_t timed_since;         /* when the timed segment left; TIME_NEVER = none is timed */
    seq32 timed_seq;          /* an ACK beyond this ends the measurement */
    uint16_t timed_len;       /* the payload its first packet had; snd_mss when it was full */
    uint8_t backoff;          /* doublings in force */
    bool floor_is_of_variance;
};

void rtt_init(struct tcp_rtt *r, ns_t rto_initial);
/* RFC 6298 2.2, 2.3: a valid sample; ends any back-off. */
void rtt_on_sample(struct tcp_rtt *r, ns_t sample, ns_t now, ns_t rto_min, ns_t rto_max);
/* RTO between these, once there is a sample. */
void rtt_bound(struct tcp_rtt *r, ns_t rto_min, ns_t rto_max);
/* RFC 6298 5.5. */
void rtt_back_off(struct tcp_rtt *r);
/* rto with back-off, at most rto_max. */
static inline ns_t rtt_timeout(const struct tcp_rtt *r, ns_t rto_max)
{
    return r->rto > rto_max >> r->backoff ? rto_max : r->rto << r->backoff;
}

#endif
