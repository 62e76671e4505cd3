/* timers.c: arming and clearing the retransmission, persist and other deadlines (RFC 6298 5).
 *
 * A deadline is stored when state changes and never recomputed by code that mirrors the sender.
 */
#include "tcp/timers.h"

/* How long answers may stay out before the connection is given up (R2, RFC 9293 3.8.3). */
static ns_t patience(const struct tcb *t)
{
    return t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED ? t->env->params.connect_timeout
                                                                    : t->user_timeout;
}

static void arm(struct tcb *t, enum tcp_rexmt_kind kind, ns_t now)
{
    if (t->rexmt_since == TIME_NEVER)
        t->rexmt_since = now;
    ns_t due = time_after(now, rtt_timeout(&t->rtt, t->env->params.rto_max));
    t->rexmt_deadline = u64_min(due, time_after(t->rexmt_since, patience(t)));
    t->rexmt_kind = (uint8_t)kind;
}

void timers_start_rexmt(struct tcb *t, ns_t now)
{
    if (t->rexmt_kind != REXMT_DATA)
        arm(t, REXMT_DATA, now);
}

void timers_restart_rexmt(struct tcb *t, ns_t now) { arm(t, REXMT_DATA, now); }

void timers_start_persist(struct tcb *t, ns_t now) { arm(t, REXMT_PERSIST, now); }

bool timers_are_out_of_patience(const struct tcb *t, ns_t now)
{
    return t->rexmt_since != TIME_NEVER && time_between(t->rexmt_since, now) >= patience(t);
}

void timers_stop_rexmt(struct tcb *t)
{
    t->rexmt_deadline = TIME_NEVER;
    t->rexmt_since = TIME_NEVER;
    t->rexmt_kind = REXMT_NONE;
}

void timers_stop_all(struct tcb *t)
{
    timers_stop_rexmt(t);
    t->delack_deadline = t->wait_deadline = t->pace_deadline = TIME_NEVER;
}
