/* timed.h: some of the segments in flight, with the times at which they left: an RTT with most of
 * the ACKs of a round, where rtt.h has one per round.
 *
 * Kept in times.h while congestion control wants it (cc.wants_rtt). At most TIMED_MAX marks, a
 * sixteenth of cwnd apart, so that a round has more than the eight that RFC 9406 4.2 asks for, and
 * most segments cost a comparison.
 */
#ifndef UT_TCP_TIMED_H
#define UT_TCP_TIMED_H

#include "base/time.h"
#include "tcp/seq.h"

#define TIMED_MAX 16u  /* a power of two */
#define TIMED_SHIFT 10 /* a tick is 1024 ns; they wrap after 73 minutes */

struct timed {
    uint8_t head, count;
    seq32 next; /* the next mark is of a segment that ends here or beyond */
    struct timed_mark {
        seq32 end;
        uint32_t at; /* ticks */
    } mark[TIMED_MAX];
};

static inline void timed_clear(struct timed *m) { m->count = 0; }
/* New data up to `end` leaves, `cwnd` being what may be in flight. */
static inline void timed_sent(struct timed *m, seq32 end, uint32_t cwnd, ns_t now)
{
    if (m->count != 0 && (m->count == TIMED_MAX || seq_lt(end, m->next)))
        return;
    m->mark[(m->head + m->count++) % TIMED_MAX] =
        (struct timed_mark){end, (uint32_t)(now >> TIMED_SHIFT)};
    m->next = seq_add(end, cwnd / TIMED_MAX);
}
/* Everything before `una` is acknowledged: the round-trip time of the latest of it that was
 * timed, 0 = none was. */
static inline ns_t timed_acked(struct timed *m, seq32 una, ns_t now)
{
    ns_t rtt = 0;
    for (; m->count != 0 && seq_leq(m->mark[m->head].end, una); m->count--) {
        rtt = (ns_t)((uint32_t)(now >> TIMED_SHIFT) - m->mark[m->head].at) << TIMED_SHIFT;
        rtt = rtt != 0 ? rtt : 1;
        m->head = (m->head + 1) % TIMED_MAX;
    }
    return rtt;
}

#endif
