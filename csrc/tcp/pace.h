/* pace.h: sending at cc.pacing_rate, in quanta: no timer per packet, and super-segments stay whole.
 *
 * A quantum is what leaves at one instant: max(2 segments, the rate times PACE_INTERVAL). The next
 * may leave when the one before it has been "sent" at the rate; until then pace_deadline runs, one
 * more deadline of the connection (timers.h).
 */
#ifndef UT_TCP_PACE_H
#define UT_TCP_PACE_H

#include "tcp/tcb.h"

uint32_t pace_room_at_rate(struct tcb *t, uint32_t mss, ns_t now);
void pace_sent_at_rate(struct tcb *t, uint32_t len, ns_t now);
/* Bytes that may leave now, 0 = wait for t->pace_deadline, which this sets. UINT32_MAX: not paced.
 */
static inline uint32_t pace_room(struct tcb *t, uint32_t mss, ns_t now)
{
    if (t->cc.pacing_rate != 0)
        return pace_room_at_rate(t, mss, now);
    t->pace_deadline = TIME_NEVER;
    return UINT32_MAX;
}
/* `len` bytes have left. */
static inline void pace_sent(struct tcb *t, uint32_t len, ns_t now)
{
    if (t->cc.pacing_rate != 0)
        pace_sent_at_rate(t, len, now);
}

#endif
