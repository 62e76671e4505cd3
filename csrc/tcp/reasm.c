/* reasm.c: received bytes written once, to their final place, whatever their order.
 *
 * Called by text.c (insert) and user.c (peek, take, consume). Holes cost a range each, never
 * memory.
 */
#include "tcp/reasm.h"

/* Gives the ring back when nothing in it is wanted any more. */
static void reasm_settle(struct reasm *r, struct ring_cache *c, const struct ranges *runs)
{
    if (r->read == r->nxt && r->lent == 0 && (runs == NULL || ranges_is_empty(runs)) &&
        ring_is_open(&r->ring))
        ring_release(&r->ring, c);
}

/* Writes those parts of the text that no run holds yet: the first arrival wins. */
static void write_gaps(struct reasm *r, uint32_t capacity, const struct ranges *runs,
                       const struct reasm_text *text)
{
    uint64_t lo = text->offset, at = lo, end = lo + text->len;
    const uint8_t *data = text->data;
    for (uint32_t i = 0; runs != NULL && i < runs->count && at < end; i++) {
        const struct range *run = &runs->run[i];
        if (run->hi <= at)
            continue;
        if (run->lo >= end)
            break;
        if (run->lo > at)
            ring_write(&r->ring, capacity, at, data + (at - lo), (uint32_t)(run->lo - at));
        at = run->hi;
    }
    if (at < end)
        ring_write(&r->ring, capacity, at, data + (at - lo), (uint32_t)(end - at));
}

enum drop_reason reasm_insert(struct reasm *r, struct ring_cache *c, struct ranges *runs,
                              const struct reasm_text *text)
{
    uint64_t offset = text->offset, end = offset + text->len;
    UT_ASSERT(offset >= r->nxt && end <= r->read + c->size);
    if (!ring_is_open(&r->ring) && !ring_open(&r->ring, c, r->read))
        return DROP_tcp_no_buffer;
    if (offset == r->nxt && (runs == NULL || ranges_is_empty(runs))) {
        ring_write(&r->ring, c->size, offset, text->data, text->len);
        r->nxt = end;
        return DROP_none;
    }
    UT_ASSERT(runs != NULL);
    if (offset == r->nxt) {
        write_gaps(r, c->size, runs, text);
        const struct range *touching = ranges_find(runs, end);
        r->nxt = touching != NULL ? touching->hi : end;
        ranges_trim_below(runs, r->nxt);
        return DROP_none;
    }
    /* Before the bytes are written: a refused run must leave no half-known data behind. */
    if (!ranges_touches(runs, offset - 1, end + 1) && !ranges_has_room(runs))
        return DROP_tcp_reasm_full;
    write_gaps(r, c->size, runs, text);
    (void)ranges_add(runs, offset, end);
    return DROP_none;
}

uint32_t reasm_peek(const struct reasm *r, const struct ring_cache *c, uint32_t max, uint8_t **at)
{
    uint32_t n = u32_min(max, reasm_readable(r));
    if (n == 0)
        return 0;
    struct ring_span span = ring_view(&r->ring, c->size, r->read, n);
    *at = span.at[0];
    return span.len[0];
}

uint32_t reasm_take(struct reasm *r, struct ring_cache *c, const struct ranges *runs, void *to,
                    uint32_t max)
{
    uint32_t n = u32_min(max, reasm_readable(r));
    if (n > 0) {
        ring_read(&r->ring, c->size, r->read, to, n);
        reasm_consume(r, c, runs, n);
    }
    return n;
}

void reasm_consume(struct reasm *r, struct ring_cache *c, const struct ranges *runs, uint32_t len)
{
    UT_ASSERT(len <= reasm_readable(r));
    r->read += len;
    r->lent = 0;
    reasm_settle(r, c, runs);
}

void reasm_free_all(struct reasm *r, struct ring_cache *c)
{
    r->read = r->nxt;
    r->lent = 0;
    if (ring_is_open(&r->ring))
        ring_release(&r->ring, c);
}

void reasm_check(const struct reasm *r, const struct ranges *runs)
{
    UT_CHECK(r->read <= r->nxt);
    if (runs != NULL) {
        ranges_check(runs);
        if (!ranges_is_empty(runs))
            UT_CHECK(runs->run[0].lo > r->nxt);
    }
    UT_CHECK(ring_is_open(&r->ring) || (r->read == r->nxt && (runs == NULL || !runs->count)));
    (void)r;
    (void)runs;
}
