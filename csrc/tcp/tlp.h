/* tlp.h: tail loss probes (RFC 8985 7): when nothing is heard for two round trips, one segment is
 * sent whose ACK will tell RACK what is missing.
 *
 * No timer of its own: timers.c keeps the earliest of PTO, reordering time and RTO.
 */
#ifndef UT_TCP_TLP_H
#define UT_TCP_TLP_H

#include "tcp/recovery.h"

/* RFC 8985 7.2 (8985-13): a probe timer runs outside recovery only, while nothing is SACKed, none
 * is out, and the RTT was measured since the last. */
static inline bool tlp_may_arm(const struct tcb *t)
{
    return t->rack_on && t->rack.tlp_sampled && !t->rack.tlp_out &&
           t->recovery_mode == RECOVERY_NONE && t->state >= TCP_ESTABLISHED &&
           (t->trouble == NULL || ranges_is_empty(&t->trouble->sacked));
}
/* PTO from now: TLP_calc_PTO() without the RTO's bound, which timers.c adds. */
ns_t tlp_pto(const struct tcb *t);
/* What to send as a probe that has no new data: the last segment's worth in flight. */
struct range tlp_last(const struct tcb *t, uint32_t mss);
/* The probe has left. */
void tlp_sent(struct tcb *t, bool resent);
/* TLP_process_ack() of RFC 8985 7.4.2. */
void tlp_on_ack(struct tcb *t, const struct tcp_news *news);
/* A recovery begins: what the probe was to find out is known (RFC 8985 7.1). */
static inline void tlp_stop(struct tcb *t) { t->rack.tlp_out = t->rack.tlp_now = false; }

#endif
