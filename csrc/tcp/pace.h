/* pace.h: sending at cc.pacing_rate, in quanta: no timer per packet, and super-segments stay whole.
 *
 * A quantum is what leaves at one instant: max(2 segments, the rate times PACE_INTERVAL). The next
 * may leave when the one before it has been "sent" at the rate; until then pace_deadline runs, one
 * more deadline of the connection (timers.h).
 */
#ifndef UT_TCP_PACE_H
#define UT_TCP_PACE_H

#include "tcp/tcb.h"

/* Bytes that may leave now, 0 = wait for t->pace_deadline, which this sets. UINT32_MAX: not paced.
 */
uint32_t pace_room(struct tcb *t, uint32_t mss, ns_t now);
/* `len` bytes have left. */
void pace_sent(struct tcb *t, uint32_t len, ns_t now);

#endif
