/* tlp.h: tail loss probes (RFC 8985 7): when nothing is heard for two round trips, one segment is
 * sent whose ACK will tell RACK what is missing.
 *
 * No timer of its own: timers.c keeps the earliest of PTO, reordering time and RTO.
 */
#ifndef UT_TCP_TLP_H
#define UT_TCP_TLP_H

#include "tcp/recovery.h"

#define TLP_MAX_ACK_DELAY (200 * NS_PER_MS) /* the longest common delayed ACK; as Linux */
#define TLP_NO_SRTT NS_PER_S

/* RFC 8985 7.2 (8985-13): a probe timer runs outside recovery only, while nothing is SACKed, none
 * is out, and the RTT was measured since the last. */
static inline bool tlp_may_arm(const struct tcb *t)
{
    return t->rack_on && t->rack.tlp_sampled && !t->rack.tlp_out &&
           t->recovery_mode == RECOVERY_NONE && t->state >= TCP_ESTABLISHED &&
           (t->trouble == NULL || ranges_is_empty(&t->trouble->sacked));
}
/* PTO from now: TLP_calc_PTO() without the RTO's bound, which timers.c adds (8985-12). Two ticks of
 * a coarse clock on top, so that a path of microseconds is not probed because its other end was
 * busy. */
static inline ns_t tlp_pto(const struct tcb *t)
{
    if (UT_UNLIKELY(t->rtt.srtt == 0))
        return TLP_NO_SRTT;
    ns_t pto = 2 * t->rtt.srtt + 2 * RTT_GRANULARITY;
    return tcb_flight(t) <= t->snd_mss ? pto + TLP_MAX_ACK_DELAY : pto;
}
/* What to send as a probe that has no new data: the last segment's worth in flight. */
struct range tlp_last(const struct tcb *t, uint32_t mss);
/* The probe has left. */
void tlp_sent(struct tcb *t, bool resent);
/* TLP_process_ack() of RFC 8985 7.4.2. */
void tlp_on_ack(struct tcb *t, const struct tcp_news *news);
/* A recovery begins: what the probe was to find out is known (RFC 8985 7.1). */
static inline void tlp_stop(struct tcb *t) { t->rack.tlp_out = t->rack.tlp_now = false; }

#endif
