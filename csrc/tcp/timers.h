/* timers.h: arming and clearing the deadlines of a connection; the stack asks for the earliest.
 */
#ifndef UT_TCP_TIMERS_H
#define UT_TCP_TIMERS_H

#include "tcp/tcb.h"

/* When tcp_timeout must be called; TIME_NEVER = no timer runs. */
static inline ns_t timers_next(const struct tcb *t)
{
    return u64_min(t->pace_deadline, u64_min(u64_min(t->rexmt_deadline, t->delack_deadline),
                                             u64_min(t->wait_deadline, t->keepalive.deadline)));
}
/* RFC 6298 5.1: starts the retransmission timer if it does not run; RFC 8985 7.2: a probe timer
 * anew. */
void timers_start_rexmt(struct tcb *t, ns_t now);
/* RFC 6298 5.3: restarts it. */
void timers_restart_rexmt(struct tcb *t, ns_t now);
/* After an ACK, or what else may change which of them comes first: PTO, reordering time, RTO. */
void timers_choose_rexmt(struct tcb *t, ns_t now);
void timers_start_persist(struct tcb *t, ns_t now);
/* Answers have stayed out for R2 (RFC 9293 3.8.3). */
bool timers_are_out_of_patience(const struct tcb *t, ns_t now);
void timers_stop_rexmt(struct tcb *t);
void timers_stop_all(struct tcb *t);

#endif
