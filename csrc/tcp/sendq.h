/* sendq.h: bytes accepted from the user and not yet acknowledged, in one ring.
 *
 *        una                 nxt (in the tcb)       end         una + limit
 *         |------- in flight ----|----- unsent -------|......free......|
 *
 *   1. una <= end <= una + limit, limit <= ring capacity
 *   2. the ring is open exactly while una < end
 *   3. offset 0 is the byte after the SYN: sequence number iss + 1
 */
#ifndef UT_TCP_SENDQ_H
#define UT_TCP_SENDQ_H

#include "base/ring.h"

struct sendq {
    struct ring ring;
    uint64_t una, end;
    uint32_t limit;
};

static inline uint32_t sendq_held(const struct sendq *q) { return (uint32_t)(q->end - q->una); }
static inline uint32_t sendq_free(const struct sendq *q)
{
    uint32_t held = sendq_held(q);
    return held < q->limit ? q->limit - held : 0;
}
/* Takes up to `len` bytes; returns how many (0: full), or -UT_E_NO_MEMORY. */
int64_t sendq_put(struct sendq *q, struct ring_cache *c, const void *data, size_t len);
/* Bytes below `una` are acknowledged; gives the ring back when nothing is left. */
void sendq_ack(struct sendq *q, struct ring_cache *c, uint64_t una);
struct ring_span sendq_view(const struct sendq *q, const struct ring_cache *c, uint64_t offset,
                            uint32_t len);
void sendq_free_all(struct sendq *q, struct ring_cache *c);
void sendq_check(const struct sendq *q);

#endif
