/* rack.h: RACK, loss detection by time (RFC 8985 6): a byte is lost when one sent later, by more
 * than the reordering window, was delivered.
 *
 * "Segment" is here a stretch of bytes that were last sent at one time (sendlog.h, resent.h).
 * trouble->lost has what is to be sent again.
 */
#ifndef UT_TCP_RACK_H
#define UT_TCP_RACK_H

#include "tcp/recovery.h"

#define DUP_THRESH 3 /* RFC 5681 3.2, RFC 6675 2 */

/* Steps 1 to 3 of RFC 8985 6.2 for [lo, hi), delivered by this ACK. Called in order of sequence. */
void rack_delivered(struct tcb *t, const struct range *run, struct tcp_news *news);
/* All of [lo, hi) is at the peer, and told of: nothing of it is lost, or sent again. */
void rack_forget(struct tcb *t, uint64_t lo, uint64_t hi);
/* Step 4: the D-SACK of this ACK, and rounds that pass. */
void rack_on_dsack(struct tcb *t, const struct tcp_news *news);
/* Step 4, a fast or time-out recovery is over. */
void rack_on_recovered(struct tcb *t);
/* Step 5: marks what is lost by now, and sets trouble->reorder_due for the rest. True: some was
 * marked. */
bool rack_detect(struct tcb *t, ns_t now);
/* RFC 8985 6.3. */
void rack_on_rto(struct tcb *t, ns_t now);
/* What of `run` is not SACKed is to be sent again, though the network did not lose it. */
void rack_lose(struct tcb *t, const struct range *run);
/* RACK_update_reo_wnd() of RFC 8985 6.2 step 4: ns. */
ns_t rack_reo_wnd(const struct tcb *t);
/* Bytes that share a time of sending, within an eighth of the minimum RTT. */
static inline ns_t rack_quantum(const struct tcb *t)
{
    return t->rtt.min == TIME_NEVER ? 0 : t->rtt.min / 8;
}

#endif
