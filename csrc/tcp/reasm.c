/* reasm.c: received bytes written once, to their final place, whatever their order; not even once
 * where the link has put them into the user's memory.
 *
 * Called by text.c (insert) and user.c (peek, take, consume). Holes cost a range each, never
 * memory.
 */
#include "tcp/reasm.h"

/* Gives the ring back when nothing in it is wanted any more. */
static void reasm_settle(struct reasm *r, struct reasm_memory *m, const struct ranges *runs)
{
    if (r->read == r->nxt && r->lent == 0 && (runs == NULL || ranges_is_empty(runs)) &&
        ring_is_open(&r->ring))
        ring_release(&r->ring, &m->rings);
}

/* Of the held buffers those that have been read. */
static void release_read(struct reasm *r, struct posted *p)
{
    while (r->held != 0) {
        const struct posted_buffer *b = posted_at(p, r->held);
        if (b->offset + b->size > r->read)
            return;
        posted_release(p, r->held);
        r->held = b->next & POSTED_NUMBER;
    }
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

bool reasm_hold(struct reasm *r, struct posted *p, const struct ranges *runs,
                const struct reasm_text *text, uint8_t number)
{
    const struct posted_buffer *b = posted_at(p, number);
    if (text->offset != r->nxt || (runs != NULL && !ranges_is_empty(runs)) ||
        text->data != b->memory || text->len != b->size)
        return false;
    posted_hold(p, number, text->offset);
    r->nxt += text->len;
    if (r->held == 0) {
        r->held = number & POSTED_NUMBER;
        return true;
    }
    struct posted_buffer *last = posted_at(p, r->held);
    while (last->next != 0)
        last = posted_at(p, last->next);
    last->next = number;
    return true;
}

enum drop_reason reasm_insert(struct reasm *r, struct reasm_memory *m, struct ranges *runs,
                              const struct reasm_text *text)
{
    uint64_t offset = text->offset, end = offset + text->len;
    const uint32_t size = m->rings.size;
    UT_ASSERT(offset >= r->nxt && end <= r->read + size);
    if (!ring_is_open(&r->ring) && !ring_open(&r->ring, &m->rings, r->read))
        return DROP_tcp_no_buffer;
    if (offset == r->nxt && (runs == NULL || ranges_is_empty(runs))) {
        ring_write(&r->ring, size, offset, text->data, text->len);
        r->nxt = end;
        return DROP_none;
    }
    UT_ASSERT(runs != NULL);
    if (offset == r->nxt) {
        write_gaps(r, size, runs, text);
        const struct range *touching = ranges_find(runs, end);
        r->nxt = touching != NULL ? touching->hi : end;
        ranges_trim_below(runs, r->nxt);
        return DROP_none;
    }
    /* Before the bytes are written: a refused run must leave no half-known data behind. */
    if (!ranges_touches(runs, offset - 1, end + 1) && !ranges_has_room(runs))
        return DROP_tcp_reasm_full;
    write_gaps(r, size, runs, text);
    (void)ranges_add(runs, offset, end);
    return DROP_none;
}

uint32_t reasm_peek(const struct reasm *r, struct reasm_memory *m, uint32_t max, uint8_t **at)
{
    uint32_t n = u32_min(u32_min(max, REASM_LEND_MAX), reasm_readable(r));
    if (n == 0)
        return 0;
    if (r->held != 0) {
        const struct posted_buffer *b = posted_at(&m->posted, r->held);
        if (b->offset <= r->read) {
            const uint32_t before = (uint32_t)(r->read - b->offset);
            *at = b->memory + before;
            return u32_min(n, b->size - before);
        }
        n = (uint32_t)u64_min(n, b->offset - r->read);
    }
    struct ring_span span = ring_view(&r->ring, m->rings.size, r->read, n);
    *at = span.at[0];
    return span.len[0];
}

bool reasm_is_whole(const struct reasm *r, struct reasm_memory *m, uint32_t len)
{
    if (r->held == 0)
        return false;
    const struct posted_buffer *b = posted_at(&m->posted, r->held);
    return b->offset == r->read && b->size == len;
}

uint32_t reasm_take(struct reasm *r, struct reasm_memory *m, const struct ranges *runs, void *to,
                    uint32_t max)
{
    uint32_t done = 0, n;
    uint8_t *at;
    if (UT_LIKELY(r->held == 0)) { /* the loop would do, for some seventy instructions more */
        n = u32_min(max, reasm_readable(r));
        if (n > 0) {
            ring_read(&r->ring, m->rings.size, r->read, to, n);
            reasm_consume(r, m, runs, n);
        }
        return n;
    }
    while ((n = reasm_peek(r, m, max - done, &at)) > 0) {
        memcpy((uint8_t *)to + done, at, n);
        reasm_consume(r, m, runs, n);
        done += n;
    }
    return done;
}

void reasm_consume(struct reasm *r, struct reasm_memory *m, const struct ranges *runs, uint32_t len)
{
    UT_ASSERT(len <= reasm_readable(r));
    r->read += len;
    r->lent = 0;
    if (UT_UNLIKELY(r->held != 0))
        release_read(r, &m->posted);
    reasm_settle(r, m, runs);
}

void reasm_free_all(struct reasm *r, struct reasm_memory *m)
{
    r->read = r->nxt;
    r->lent = 0;
    release_read(r, &m->posted);
    if (ring_is_open(&r->ring))
        ring_release(&r->ring, &m->rings);
}

void reasm_check(const struct reasm *r, struct reasm_memory *m, const struct ranges *runs)
{
    UT_CHECK(r->read <= r->nxt);
    uint64_t at = r->read;
    for (uint32_t held = r->held; UT_CHECKS_ON && held != 0;) {
        const struct posted_buffer *b = posted_at(&m->posted, held);
        UT_CHECK(!posted_is_free(&m->posted, held) && b->memory != NULL);
        UT_CHECK(held == r->held ? b->offset + b->size > at : b->offset >= at);
        at = b->offset + b->size;
        held = b->next;
    }
    UT_CHECK(at <= r->nxt);
    if (runs != NULL) {
        ranges_check(runs);
        if (!ranges_is_empty(runs))
            UT_CHECK(runs->run[0].lo > r->nxt);
    }
    UT_CHECK(ring_is_open(&r->ring) ||
             ((r->held != 0 || r->read == r->nxt) && (runs == NULL || !runs->count)));
    (void)m;
    (void)at;
    (void)runs;
}
