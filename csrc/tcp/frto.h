/* frto.h: forward RTO-recovery (RFC 5682): after a time-out new data is sent in place of the second
 * retransmission, and the next ACK tells whether the first flight had been lost at all.
 */
#ifndef UT_TCP_FRTO_H
#define UT_TCP_FRTO_H

#include "tcp/recovery.h"

enum frto_step {
    FRTO_OFF,
    FRTO_WAIT, /* 3.1 step 2: for the ACK of the retransmission */
    FRTO_NEW,  /* step 3: up to two new segments go; the next ACK decides */
};

/* The RTO has fired. `in_recovery`: it did so in a recovery of other data (step 1). */
void frto_begin(struct tcb *t, bool in_recovery);
/* True: the time-out was spurious. */
bool frto_on_ack(struct tcb *t, const struct tcp_news *news);
/* Step 2 (b): only new data may leave. */
static inline bool frto_holds_back(const struct tcb *t)
{
    return t->recovery_mode == RECOVERY_RTO && t->trouble != NULL && t->trouble->frto == FRTO_NEW;
}

#endif
