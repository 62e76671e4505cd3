/* whitebox_stack.c: see whitebox_stack.h. Called by tests/support/world while nothing else runs in
 * the stack.
 */
#include "api/whitebox_stack.h"

#include "api/enter.h"
#include "stack/conn.h"
#include "tcp/timers.h"

void wb_stack_fail_after(ut_stack *s, uint64_t successes)
{
    enter(s);
    s->alloc.fail_after = successes;
    pthread_mutex_unlock(&s->lock);
}

/* tcb.h, invariant 4, and RFC 6298 5.1, RFC 9293 3.8.6.1, RFC 8985 7.2, 6.2. */
static const char *timer_fault(const struct tcb *t)
{
    uint32_t flight = tcb_flight(t);
    if (timers_next(t) != TIME_NEVER && (t->state == TCP_CLOSED || t->state == TCP_TIME_WAIT))
        return "a timer of a connection that has ended";
    if ((t->rexmt_kind == REXMT_NONE) != (t->rexmt_deadline == TIME_NEVER))
        return "a retransmission timer of no kind, or a kind without its timer";
    bool is_early = t->state == TCP_SYN_RECEIVED && t->passive; /* fastopen.h, 3: the SYN,ACK's */
    if (is_early && !t->syn_queued && t->rexmt_kind == REXMT_NONE)
        return "a SYN,ACK without its timer";
    if (flight == 0 && !is_early && t->rexmt_kind != REXMT_NONE && t->rexmt_kind != REXMT_PERSIST)
        return "a retransmission timer, and nothing in flight";
    if (t->rexmt_kind == REXMT_PERSIST && t->sendq.end == t->sendq.una &&
        !(t->fin_queued && !tcb_fin_acked(t)))
        return "a persist timer, and nothing to send";
    if (t->wait_deadline != TIME_NEVER && !t->user_gone)
        return "an orphan's timer of a connection with a user";
    return NULL;
}

/* Who has something to send and nothing in flight waits for a timer, unless the user holds it. */
static const char *waiting_fault(const struct conn *c)
{
    const struct tcb *t = &c->tcb;
    if (t->state != TCP_ESTABLISHED && t->state != TCP_CLOSE_WAIT)
        return NULL;
    if (t->corked || c->is_waiting || tcb_flight(t) > 0 || t->sendq.end == t->sendq.una)
        return NULL;
    bool runs = t->rexmt_deadline != TIME_NEVER || t->pace_deadline != TIME_NEVER;
    return runs ? NULL : "unsent data without a timer";
}

static const char *conn_fault(const ut_stack *s, const struct conn *c)
{
    const struct tcb *t = &c->tcb;
    tcb_check(t);
    ns_t due = t->state == TCP_TIME_WAIT ? c->timer.at : timers_next(t); /* its record has one */
    if (c->timer.at != due || (due != TIME_NEVER && c->timer.slot == 0))
        return "the deadline is not that of its earliest timer";
    if (c->timer.slot != 0 && c->timer.key < s->shared.deadline)
        return "the stack's deadline is later than a connection's";
    if (t->sendq.end - t->sendq.una > s->config.snd_buffer)
        return "more in the send queue than the ring holds";
    const char *fault = timer_fault(t);
    return fault != NULL ? fault : waiting_fault(c);
}

const char *wb_stack_fault(ut_stack *s)
{
    const char *fault = NULL;
    enter(s);
    for (uint32_t i = 0; i < s->conns.fresh && fault == NULL; i++) {
        const struct conn *c = conn_at(s, i);
        if (c != NULL)
            fault = conn_fault(s, c);
    }
    if (fault == NULL && s->config.memory_limit != 0 && s->alloc.in_use > s->config.memory_limit)
        fault = "more memory than the limit";
    pthread_mutex_unlock(&s->lock);
    return fault;
}

uint32_t wb_stack_in_use(ut_stack *s)
{
    enter(s);
    const struct pool *pools[] = {&s->conns,    &s->halves,      &s->time_waits,  &s->env.times,
                                  &s->env.sent, &s->env.trouble, &s->env.cc.large};
    uint32_t sum = s->env.snd_rings.in_use + s->env.rcv.rings.in_use;
    for (size_t i = 0; i < UT_COUNTOF(pools); i++)
        sum += pools[i]->in_use;
    pthread_mutex_unlock(&s->lock);
    return sum;
}
