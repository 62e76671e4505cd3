/* timers.c: arming and clearing the retransmission, persist and other deadlines (RFC 6298 5).
 *
 * One retransmission timer serves RTO, probe, reordering and persist (RFC 8985 8): rexmt_kind says
 * for which it runs, rto_due keeps the RTO meanwhile. A deadline is stored when state changes and
 * never recomputed by code that mirrors the sender.
 */
#include "tcp/timers.h"

#include "tcp/tlp.h"

/* How long answers may stay out before the connection is given up (R2, RFC 9293 3.8.3). */
static ns_t patience(const struct tcb *t)
{
    return t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED ? t->env->params.connect_timeout
                                                                    : t->user_timeout;
}

static void arm(struct tcb *t, enum tcp_rexmt_kind kind, ns_t due)
{
    t->rexmt_deadline = u64_min(due, time_after(t->rexmt_since, patience(t)));
    t->rexmt_kind = (uint8_t)kind;
}

static ns_t restart(struct tcb *t, ns_t now)
{
    if (t->rexmt_since == TIME_NEVER)
        t->rexmt_since = now;
    return t->rto_due = time_after(now, rtt_timeout(&t->rtt, t->env->params.rto_max));
}

/* RFC 8985 8: one timer runs, the reordering timer before the probe before the RTO. */
static void choose(struct tcb *t, ns_t now)
{
    if (t->trouble != NULL && t->trouble->reorder_due != 0)
        arm(t, REXMT_REORDER, u64_min(t->trouble->reorder_due, t->rto_due));
    else if (tlp_may_arm(t))
        arm(t, REXMT_PROBE, u64_min(time_after(now, tlp_pto(t)), t->rto_due)); /* 8985-12 */
    else
        arm(t, REXMT_DATA, t->rto_due);
}

void timers_choose_rexmt(struct tcb *t, ns_t now)
{
    if (t->rexmt_kind != REXMT_NONE && t->rexmt_kind != REXMT_PERSIST)
        choose(t, now);
}

void timers_start_rexmt(struct tcb *t, ns_t now)
{
    if (t->rexmt_kind == REXMT_NONE || t->rexmt_kind == REXMT_PERSIST)
        timers_restart_rexmt(t, now);
    else if (tlp_may_arm(t))
        choose(t, now);
}

void timers_restart_rexmt(struct tcb *t, ns_t now)
{
    restart(t, now);
    choose(t, now);
}

void timers_start_persist(struct tcb *t, ns_t now) { arm(t, REXMT_PERSIST, restart(t, now)); }

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
    t->delack_deadline = t->wait_deadline = t->keepalive.deadline = t->pace_deadline = TIME_NEVER;
}
