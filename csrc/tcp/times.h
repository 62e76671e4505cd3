/* times.h: when what is in flight was sent: for RACK (sendlog.h), and for an RTT with most ACKs
 * (timed.h). From env->times, held while data is in flight.
 */
#ifndef UT_TCP_TIMES_H
#define UT_TCP_TIMES_H

#include "tcp/sendlog.h"
#include "tcp/tcb.h"
#include "tcp/timed.h"

struct tcp_times {
    struct sendlog sendlog;
    struct timed timed;
};

/* New data leaves: times_sent, where somebody wants to know. */
void times_note(struct tcb *t, seq32 from, seq32 end, ns_t now);
static inline void times_sent(struct tcb *t, seq32 from, seq32 end, ns_t now)
{
    if (t->rack_on || t->cc.wants_rtt)
        times_note(t, from, end, now);
}
/* Data leaves again: what an ACK is for would be a guess. */
static inline void times_sent_again(struct tcb *t)
{
    if (t->times != NULL)
        timed_clear(&t->times->timed);
}
/* snd_una has moved: the round-trip time of the latest segment that was timed, 0 = none was. */
static inline ns_t times_rtt(struct tcb *t, ns_t now)
{
    return t->times != NULL ? timed_acked(&t->times->timed, t->snd_una, now) : 0;
}
static inline void times_acked(struct tcb *t)
{
    if (t->times != NULL)
        sendlog_acked(&t->times->sendlog, t->snd_una);
}
/* Nothing is in flight any more. */
static inline void times_forget(struct tcb *t)
{
    if (t->times == NULL)
        return;
    pool_put(&t->env->times, t->times_index);
    t->times = NULL;
}

#endif
