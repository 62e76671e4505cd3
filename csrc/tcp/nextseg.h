/* nextseg.h: what to send again where RACK is not at work: RFC 6675 4 with SACK, RFC 6582 without.
 *
 * One calculus serves both: pipe, an estimate of the bytes in the network; without SACK each
 * duplicate ACK counts as one segment gone. Everything below an edge counts as lost.
 */
#ifndef UT_TCP_NEXTSEG_H
#define UT_TCP_NEXTSEG_H

#include "tcp/recovery.h"

/* SetPipe(), in recovery. */
uint32_t nextseg_pipe(const struct tcb *t);
/* NextSeg() rules 1, 3 and 4; false: rule 2 or nothing. */
bool nextseg(struct tcb *t, uint32_t mss, uint32_t limit, struct range *out);
/* What it named is being sent. */
void nextseg_sent(struct tcb *t, const struct range *run);
/* DeliveredData of RFC 9937 5 where no SACK tells it. */
uint32_t nextseg_reno_delivered(const struct tcb *t, const struct tcp_news *news);

#endif
