/* times.h: when what is in flight was sent: for RACK (sendlog.h), and for an RTT with most ACKs
 * (timed.h). From env->times, held while data is in flight; a few are kept beyond, so that a
 * connection that says little at a time does not fetch one each time.
 */
#ifndef UT_TCP_TIMES_H
#define UT_TCP_TIMES_H

#include "tcp/rack.h"
#include "tcp/sendlog.h"
#include "tcp/timed.h"

#define TIMES_KEPT 64u /* of a stack */

struct tcp_times {
    struct sendlog sendlog;
    struct timed timed;
};

/* Takes one from the pool; false: no memory. RACK finds nothing then, and the RTO stands in. */
bool times_open(struct tcb *t);
/* Gives it back, if there is one. */
void times_close(struct tcb *t);
/* New data leaves. */
static inline void times_sent(struct tcb *t, seq32 from, seq32 end, ns_t now)
{
    if (!t->rack_on && !t->cc.wants_rtt)
        return;
    if (UT_UNLIKELY(t->times == NULL) && !times_open(t))
        return;
    if (t->rack_on)
        sendlog_sent(&t->times->sendlog, from, now, rack_quantum(t)); /* RFC 8985 6.1 */
    if (t->cc.wants_rtt)
        timed_sent(&t->times->timed, end, t->cc.cwnd, now);
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
    sendlog_clear(&t->times->sendlog);
    timed_clear(&t->times->timed);
    if (t->env->times.in_use > TIMES_KEPT)
        times_close(t);
}

#endif
