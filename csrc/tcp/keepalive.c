/* keepalive.c: see keepalive.h. Called by user options and timeout.c; output.c sends the probe. */
#include "tcp/keepalive.h"

#include "tcp/tcb.h"

#define NS_PER_MS UINT64_C(1000000)

void keepalive_init(struct tcp_keepalive *k)
{
    k->deadline = TIME_NEVER;
    k->idle_ms = 2 * 60 * 60 * 1000; /* MUST-28: two hours */
    k->interval_ms = 75 * 1000;
    k->count = 9;
}

void keepalive_set(struct tcb *t, bool on, ns_t now)
{
    struct tcp_keepalive *k = &t->keepalive;
    if (k->heard == 0)
        k->heard = now;
    k->asked = 0;
    on = on && t->state != TCP_CLOSED && t->state != TCP_TIME_WAIT; /* an ended one has no timers */
    k->deadline = on ? time_after(k->heard, k->idle_ms * NS_PER_MS) : TIME_NEVER;
}

/* MUST-26: only where nothing else would find out that the peer is gone. */
static bool line_is_idle(const struct tcb *t)
{
    if (t->state != TCP_ESTABLISHED && t->state != TCP_CLOSE_WAIT && t->state != TCP_FIN_WAIT_2)
        return false;
    return tcb_flight(t) == 0 && (t->fin_sent || t->sendq.end == tcb_snd_offset(t, t->snd_nxt));
}

bool keepalive_timeout(struct tcb *t, ns_t now)
{
    struct tcp_keepalive *k = &t->keepalive;
    ns_t idle = k->idle_ms * NS_PER_MS;
    ns_t silent = time_between(k->heard, now);
    if (!line_is_idle(t)) {
        k->asked = 0;
        k->deadline = time_after(now, idle);
        return false;
    }
    if (silent < idle) {
        k->asked = 0;
        k->deadline = time_after(now, idle - silent);
        return false;
    }
    if (k->asked >= k->count) /* MUST-29: one unanswered probe is not enough */
        return true;
    k->asked++;
    t->keepalive_now = true;
    k->deadline = time_after(now, k->interval_ms * NS_PER_MS);
    return false;
}
