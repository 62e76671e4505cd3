/* sendlog.c: marks of first transmission (RFC 8985 4). Called by output.c, ack.c and rack.c.
 */
#include "tcp/sendlog.h"

#define TICKS_MAX (UINT32_MAX / 2)

/* A flight that never empties would run out of ticks (73 minutes): they count from the oldest mark
 * anew. A mark that is older still stays at 0. */
static void rebase(struct sendlog *l, ns_t now)
{
    uint32_t shift = sendlog_mark_at(l, 0)->at;
    if (((now - l->base) >> SENDLOG_SHIFT) - shift > TICKS_MAX)
        shift = (uint32_t)(((now - l->base) >> SENDLOG_SHIFT) - TICKS_MAX / 2);
    for (uint32_t i = 0; i < l->count; i++) {
        struct sendlog_mark *m = sendlog_mark_at(l, i);
        m->at = m->at > shift ? m->at - shift : 0;
        m->last = m->last > shift ? m->last - shift : 0;
    }
    l->base += (ns_t)shift << SENDLOG_SHIFT;
}

/* Makes one of the two neighbours that are nearest in time. */
static void merge_nearest(struct sendlog *l)
{
    uint32_t best = 1, least = UINT32_MAX;
    for (uint32_t i = 1; i < l->count; i++) {
        uint32_t gap = sendlog_mark_at(l, i)->at - sendlog_mark_at(l, i - 1)->at;
        if (gap < least) {
            least = gap;
            best = i;
        }
    }
    sendlog_mark_at(l, best - 1)->last = sendlog_mark_at(l, best)->last;
    for (uint32_t i = best; i + 1 < l->count; i++)
        *sendlog_mark_at(l, i) = *sendlog_mark_at(l, i + 1);
    l->count--;
}

void sendlog_add(struct sendlog *l, seq32 from, ns_t now)
{
    if (l->count == 0) {
        l->head = 0;
        l->base = now;
    } else if ((now - l->base) >> SENDLOG_SHIFT > TICKS_MAX) {
        rebase(l, now);
    }
    if (l->count == SENDLOG_MARKS)
        merge_nearest(l);
    uint32_t at = (uint32_t)((now - l->base) >> SENDLOG_SHIFT);
    *sendlog_mark_at(l, l->count++) = (struct sendlog_mark){from, at, at};
}

struct sendlog_time sendlog_time(const struct sendlog *l, seq32 s)
{
    struct sendlog_time found = {l->base, l->base, UINT32_MAX};
    for (uint32_t i = l->count; i-- > 0;) {
        const struct sendlog_mark *m = &l->mark[(l->head + i) % SENDLOG_MARKS];
        found.at = l->base + ((ns_t)m->at << SENDLOG_SHIFT);
        found.last = l->base + ((ns_t)(m->last + 1) << SENDLOG_SHIFT);
        if (seq_leq(m->from, s))
            break;
        if (i > 0)
            found.left = seq_len(m->from, s);
    }
    return found;
}
