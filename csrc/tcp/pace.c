/* pace.c: the departure times of quanta (draft-ietf-ccwg-bbr-06 5.6.2, 5.6.3).
 *
 * Called by output.c before and after each description.
 */
#include "tcp/pace.h"

static uint32_t quantum(const struct tcb *t, uint32_t mss)
{
    uint64_t bytes = t->cc.pacing_rate / (NS_PER_S / PACE_INTERVAL);
    return (uint32_t)u64_min(u64_max(bytes, 2 * mss), UINT32_MAX - 1);
}

uint32_t pace_room_at_rate(struct tcb *t, uint32_t mss, ns_t now)
{
    if (t->env->params.batch_min_segs != 0 && !cc_wants_rate(&t->cc)) {
        t->pace_deadline = TIME_NEVER; /* not paced, but batches stay small on slow paths */
        return u32_max(quantum(t, mss), t->env->params.batch_min_segs * mss);
    }
    if (t->pace_left < mss) {
        if (now < t->pace_next) {
            t->pace_deadline = t->pace_next;
            return 0;
        }
        t->pace_left = quantum(t, mss);
    }
    t->pace_deadline = TIME_NEVER;
    return t->pace_left / mss * mss;
}

void pace_sent_at_rate(struct tcb *t, uint32_t len, ns_t now)
{
    t->pace_left -= u32_min(t->pace_left, len);
    /* Whoever polls late catches up by at most one interval. */
    ns_t earliest = now > PACE_INTERVAL ? now - PACE_INTERVAL : 0;
    t->pace_next = u64_max(t->pace_next, earliest) + len * NS_PER_S / t->cc.pacing_rate;
}
