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
    seq32 small_end; /* of the last segment that was not full: all is when snd_una is there */
    uint32_t least;  /* bytes of the smallest segment sent since nothing was in flight */
};

/* Takes one from the pool; false: no memory. RACK finds nothing then, and the RTO stands in. */
bool times_open(struct tcb *t);
/* Gives it back, if there is one. */
void times_close(struct tcb *t);
/* `len` bytes of sequence space leave in segments of `mss`. True: the last is smaller. */
static inline bool times_note_size(struct tcb *t, uint32_t len, uint32_t mss)
{
    if (t->times == NULL || UT_LIKELY(len == mss && mss >= t->times->least))
        return false;
    uint32_t last = len % mss, least = last != 0 ? last : mss;
    if (least < t->times->least)
        t->times->least = least;
    return last != 0;
}
/* Shorter runs than this hold no segment of ours. */
static inline uint32_t times_least(const struct tcb *t)
{
    return t->times != NULL ? t->times->least : 0;
}
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
    t->times->least = UINT32_MAX;
    t->times->small_end = t->snd_una;
    if (t->env->times.in_use > TIMES_KEPT)
        times_close(t);
}

#endif
