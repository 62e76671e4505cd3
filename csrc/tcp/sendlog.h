/* sendlog.h: when the bytes in flight were first sent, in a fixed number of marks.
 *
 *   mark 0            mark 1        mark 2
 *    |-- t0 .. t0' ----|- t1 .. t1' -|--- t2 .. t2'    from < from, at <= last <= the next one's at
 *
 * RFC 8985 4 wants a time per segment, finer than a quarter of the minimum RTT: bytes that left
 * within an eighth of it share a mark. When the marks do not suffice, the two nearest in time are
 * made one. Nothing is allocated, and a connection without loss pays one comparison per segment.
 */
#ifndef UT_TCP_SENDLOG_H
#define UT_TCP_SENDLOG_H

#include "base/time.h"
#include "tcp/seq.h"

#define SENDLOG_MARKS 16u /* a power of two */
#define SENDLOG_SHIFT 10  /* a tick is 1024 ns */

struct sendlog {
    ns_t base; /* ticks count from here */
    uint8_t head, count;
    struct sendlog_mark {
        seq32 from;
        uint32_t at, last; /* ticks: when the first and the last of it left */
    } mark[SENDLOG_MARKS];
};

static inline struct sendlog_mark *sendlog_mark_at(struct sendlog *l, uint32_t i)
{
    return &l->mark[(l->head + i) % SENDLOG_MARKS];
}
/* A mark for bytes from `from` on; sendlog_sent decides whether one is needed. */
void sendlog_add(struct sendlog *l, seq32 from, ns_t now);
/* New bytes from `from` on are being sent; those of one `quantum` share a mark. */
static inline void sendlog_sent(struct sendlog *l, seq32 from, ns_t now, ns_t quantum)
{
    if (l->count != 0) {
        struct sendlog_mark *m = sendlog_mark_at(l, l->count - 1u);
        ns_t since = now - l->base;
        if (since - ((ns_t)m->at << SENDLOG_SHIFT) <= quantum + (1u << SENDLOG_SHIFT)) {
            m->last = (uint32_t)(since >> SENDLOG_SHIFT);
            return;
        }
    }
    sendlog_add(l, from, now);
}
/* Everything before `una` is acknowledged. */
static inline void sendlog_acked(struct sendlog *l, seq32 una)
{
    while (l->count > 1 && seq_leq(sendlog_mark_at(l, 1)->from, una)) {
        l->head = (uint8_t)((l->head + 1) % SENDLOG_MARKS);
        l->count--;
    }
}
/* Nothing is in flight any more. */
static inline void sendlog_clear(struct sendlog *l) { l->count = 0; }
/* When the byte at `s` was first sent: not before `at` and not after `last`. `left` bytes from
 * there on share the mark, UINT32_MAX = all that follow. */
struct sendlog_time {
    ns_t at, last;
    uint32_t left;
};
struct sendlog_time sendlog_time(const struct sendlog *l, seq32 s);

#endif
