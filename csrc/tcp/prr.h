/* prr.h: proportional rate reduction (RFC 9937): how much may leave with each ACK of a fast
 * recovery, or of the round trip after ECE, so that the flight shrinks to ssthresh smoothly.
 *
 * State is in trouble; without memory for it cwnd is ssthresh at once, as RFC 6675 5 has it.
 */
#ifndef UT_TCP_PRR_H
#define UT_TCP_PRR_H

#include "tcp/recovery.h"

/* Fast recovery begins; ssthresh is set. `flight` is FlightSize before the ACK that began it,
 * without what had been SACKed then. */
void prr_begin(struct tcb *t, uint32_t flight);
/* Every ACK of it but the last. `safe`: SND.UNA advanced and nothing more was found lost. */
void prr_on_ack(struct tcb *t, uint32_t delivered, bool safe);
static inline void prr_on_sent(struct tcb *t, uint32_t len)
{
    if (t->trouble != NULL)
        t->trouble->prr_out += len;
}
static inline void prr_end(struct tcb *t)
{
    if (t->trouble != NULL)
        t->trouble->recover_fs = 0;
}

/* ECE has lowered ssthresh, and cwnd to it: cwnd is PRR's until all that was in flight then is
 * acknowledged. A window so small that cwnd is below ssthresh stays as it is, and so does that of
 * an algorithm that measures rates. */
void prr_begin_marks(struct tcb *t, uint32_t flight);
/* Every ACK from the one with ECE on, outside fast recovery. */
void prr_on_ack_marks(struct tcb *t, const struct tcp_news *n);
/* cwnd is PRR's outside fast recovery. */
static inline bool prr_has_marks(const struct tcb *t)
{
    return t->trouble != NULL && t->trouble->recover_fs != 0 && t->recovery_mode != RECOVERY_FAST;
}

#endif
