/* recovery.h: what to send again, and when (RFC 6675, RFC 6582, RFC 5681 3.2, RFC 6298 5).
 *
 * How much may be in flight is cc.h's business. One calculus serves with and without SACK: pipe, an
 * estimate of the bytes in the network; without SACK each duplicate ACK counts as one segment gone.
 */
#ifndef UT_TCP_RECOVERY_H
#define UT_TCP_RECOVERY_H

#include "tcp/tcb.h"

/* A cumulative advance of `acked` bytes has been noted in the tcb. */
void recovery_on_ack(struct tcb *t, uint32_t acked, ns_t now);
/* A duplicate ACK (RFC 5681 2), or one with new SACK information. */
void recovery_on_dup_ack(struct tcb *t, bool new_sack, ns_t now);
/* RFC 6298 5.4 to 5.6, RFC 6675 5.1. */
void recovery_on_rto(struct tcb *t, ns_t now);
/* SetPipe() of RFC 6675 4; outside recovery FlightSize, less what limited transmit (RFC 3042)
 * lends. */
uint32_t recovery_pipe(const struct tcb *t);
/* NextSeg() rules 1, 3 and 4 of RFC 6675 4, or the segment due by time-out: the run of stream
 * offsets to send again, at most `limit` bytes. False: nothing, new data may go (rule 2). */
bool recovery_next(const struct tcb *t, uint32_t mss, uint32_t limit, struct range *out);
/* What recovery_next named is being sent. */
void recovery_sent(struct tcb *t, const struct range *run);

#endif
