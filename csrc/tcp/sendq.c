/* sendq.c: the ring of bytes to send and to keep until acknowledged.
 *
 * Called by user.c (put), ack.c (ack) and output.c (view).
 */
#include "tcp/sendq.h"

#include "base/errors.h"

int64_t sendq_put(struct sendq *q, struct ring_cache *c, const void *data, size_t len)
{
    uint32_t room = sendq_free(q);
    uint32_t n = len < room ? (uint32_t)len : room;
    if (n == 0)
        return 0;
    if (!ring_is_open(&q->ring) && !ring_open(&q->ring, c, q->end))
        return -UT_E_NO_MEMORY;
    ring_write(&q->ring, c->size, q->end, data, n);
    q->end += n;
    return n;
}

void sendq_ack(struct sendq *q, struct ring_cache *c, uint64_t una)
{
    UT_ASSERT(una >= q->una && una <= q->end);
    q->una = una;
    if (q->una == q->end && ring_is_open(&q->ring))
        ring_release(&q->ring, c);
}

struct ring_span sendq_view(const struct sendq *q, const struct ring_cache *c, uint64_t offset,
                            uint32_t len)
{
    UT_ASSERT(offset >= q->una && offset + len <= q->end);
    return ring_view(&q->ring, c->size, offset, len);
}

void sendq_free_all(struct sendq *q, struct ring_cache *c)
{
    if (ring_is_open(&q->ring))
        ring_release(&q->ring, c);
    q->una = q->end;
}

void sendq_check(const struct sendq *q)
{
    UT_CHECK(q->una <= q->end);
    UT_CHECK(ring_is_open(&q->ring) == (q->una < q->end));
    (void)q;
}
