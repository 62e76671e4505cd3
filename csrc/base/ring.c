/* ring.c: byte rings by stream offset, and the cache their memory comes from.
 *
 * Called by sendq and reasm for every byte that moves. Capacities are powers of two, so an
 * offset's place is a subtraction and a mask; a run wraps at most once.
 */
#include "base/ring.h"

void ring_cache_init(struct ring_cache *c, struct alloc *a, uint32_t size, uint32_t max_rings,
                     uint32_t keep)
{
    UT_ASSERT(size >= 4096 && (size & (size - 1u)) == 0);
    *c = (struct ring_cache){.alloc = a, .size = size, .max_rings = max_rings, .keep = keep};
}

/* The hottest free ring, which must exist. */
static void *ring_cache_pop(struct ring_cache *c)
{
    void *memory = c->free_head;
    memcpy(&c->free_head, memory, sizeof c->free_head);
    c->free_count--;
    return memory;
}

void ring_cache_fini(struct ring_cache *c)
{
    UT_ASSERT(c->in_use == 0);
    while (c->free_head != NULL)
        alloc_unmap(c->alloc, ring_cache_pop(c), c->size);
}

uint8_t *ring_cache_get(struct ring_cache *c)
{
    if (c->in_use >= c->max_rings)
        return NULL;
    void *memory = c->free_head != NULL ? ring_cache_pop(c) : alloc_map(c->alloc, c->size);
    if (memory != NULL)
        c->in_use++;
    return memory;
}

void ring_cache_put(struct ring_cache *c, uint8_t *memory)
{
    UT_ASSERT(memory != NULL && c->in_use != 0);
    c->in_use--;
    if (c->free_count >= c->keep) {
        alloc_unmap(c->alloc, memory, c->size);
        return;
    }
    memcpy(memory, &c->free_head, sizeof c->free_head);
    c->free_head = memory;
    c->free_count++;
}

bool ring_open(struct ring *r, struct ring_cache *c, uint64_t offset)
{
    if (r->memory != NULL)
        return true;
    r->memory = ring_cache_get(c);
    r->base = offset;
    return r->memory != NULL;
}

void ring_release(struct ring *r, struct ring_cache *c)
{
    if (r->memory == NULL)
        return;
    ring_cache_put(c, r->memory);
    r->memory = NULL;
}

struct ring_span ring_view(const struct ring *r, uint32_t capacity, uint64_t offset, uint32_t len)
{
    UT_ASSERT(r->memory != NULL && len <= capacity);
    uint32_t place = (uint32_t)((offset - r->base) & (capacity - 1u));
    uint32_t first = u32_min(len, capacity - place);
    return (struct ring_span){
        .at = {r->memory + place, r->memory},
        .len = {first, len - first},
    };
}

void ring_write(struct ring *r, uint32_t capacity, uint64_t offset, const void *from, uint32_t len)
{
    if (len == 0)
        return; /* `from` may be NULL then */
    struct ring_span s = ring_view(r, capacity, offset, len);
    memcpy(s.at[0], from, s.len[0]);
    if (s.len[1] != 0)
        memcpy(s.at[1], (const uint8_t *)from + s.len[0], s.len[1]);
}

void ring_read(const struct ring *r, uint32_t capacity, uint64_t offset, void *to, uint32_t len)
{
    if (len == 0)
        return;
    struct ring_span s = ring_view(r, capacity, offset, len);
    memcpy(to, s.at[0], s.len[0]);
    if (s.len[1] != 0)
        memcpy((uint8_t *)to + s.len[0], s.at[1], s.len[1]);
}
