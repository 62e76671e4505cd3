/* whitebox_base.c: the seams through which tests/unit reaches base/ (whitebox_wire.c: wire/);
 * never in the shipped module. Translation only: whatever is tested is done by the functions
 * themselves.
 */
#include "api/whitebox_base.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "base/pool.h"
#include "base/rand.h"
#include "base/ranges.h"
#include "base/ring.h"
#include "base/siphash.h"

static void *wb_new(size_t size)
{
    void *p = calloc(1, size);
    UT_ASSERT(p != NULL);
    return p;
}

uint8_t *wb_bytes_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len); /* of 0 bytes too: not NULL, nothing to read */
    UT_ASSERT(copy != NULL);
    memcpy(copy, data, len);
    return copy;
}

void wb_bytes_free(uint8_t *copy) { free(copy); }

/* -- base/alloc */

struct wb_alloc {
    struct alloc a;
};

struct wb_alloc *wb_alloc_new(uint64_t limit)
{
    struct wb_alloc *w = wb_new(sizeof *w);
    alloc_init(&w->a, limit);
    return w;
}

void wb_alloc_free(struct wb_alloc *a) { free(a); }
uint64_t wb_alloc_in_use(const struct wb_alloc *a) { return a->a.in_use; }
uint64_t wb_alloc_peak(const struct wb_alloc *a) { return a->a.peak; }
uint64_t wb_alloc_calls(const struct wb_alloc *a) { return a->a.calls; }
void wb_alloc_fail_after(struct wb_alloc *a, uint64_t successes) { a->a.fail_after = successes; }
void *wb_alloc_get(struct wb_alloc *a, size_t size) { return alloc_get(&a->a, size); }
void wb_alloc_put(struct wb_alloc *a, void *p, size_t size) { alloc_put(&a->a, p, size); }

/* -- base/pool */

struct wb_pool {
    struct pool p;
};

struct wb_pool *wb_pool_new(struct wb_alloc *a, uint32_t object_size, uint32_t slab_objects,
                            uint32_t max_objects)
{
    struct wb_pool *w = wb_new(sizeof *w);
    pool_init(&w->p, &a->a, object_size, slab_objects, max_objects);
    return w;
}

void wb_pool_free(struct wb_pool *p)
{
    pool_fini(&p->p);
    free(p);
}

void *wb_pool_get(struct wb_pool *p, uint32_t *index) { return pool_get(&p->p, index); }
void wb_pool_put(struct wb_pool *p, uint32_t index) { pool_put(&p->p, index); }
void *wb_pool_at(const struct wb_pool *p, uint32_t index) { return pool_at(&p->p, index); }
uint32_t wb_pool_in_use(const struct wb_pool *p) { return p->p.in_use; }

/* -- base/ring */

struct wb_rings {
    struct ring_cache cache;
    uint32_t count;
    struct ring ring[];
};

struct wb_rings *wb_rings_new(struct wb_alloc *a, uint32_t size, uint32_t max_rings, uint32_t keep,
                              uint32_t rings)
{
    struct wb_rings *w = wb_new(sizeof *w + rings * sizeof w->ring[0]);
    ring_cache_init(&w->cache, &a->a, size, max_rings, keep);
    w->count = rings;
    return w;
}

void wb_rings_free(struct wb_rings *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        ring_release(&r->ring[i], &r->cache);
    ring_cache_fini(&r->cache);
    free(r);
}

bool wb_ring_open(struct wb_rings *r, uint32_t which, uint64_t offset)
{
    return ring_open(&r->ring[which], &r->cache, offset);
}

void wb_ring_release(struct wb_rings *r, uint32_t which)
{
    ring_release(&r->ring[which], &r->cache);
}

bool wb_ring_is_open(const struct wb_rings *r, uint32_t which)
{
    return ring_is_open(&r->ring[which]);
}

void wb_ring_write(struct wb_rings *r, uint32_t which, uint64_t offset, const void *from,
                   uint32_t len)
{
    ring_write(&r->ring[which], r->cache.size, offset, from, len);
}

void wb_ring_read(const struct wb_rings *r, uint32_t which, uint64_t offset, void *to, uint32_t len)
{
    ring_read(&r->ring[which], r->cache.size, offset, to, len);
}

struct wb_view wb_ring_view(const struct wb_rings *r, uint32_t which, uint64_t offset, uint32_t len)
{
    struct ring_span s = ring_view(&r->ring[which], r->cache.size, offset, len);
    return (struct wb_view){
        .at = {s.at[0], s.at[1]},
        .len = {s.len[0], s.len[1]},
        .place = (uint32_t)(s.at[0] - r->ring[which].memory),
    };
}

uint32_t wb_rings_in_use(const struct wb_rings *r) { return r->cache.in_use; }
uint32_t wb_rings_kept(const struct wb_rings *r) { return r->cache.free_count; }

/* -- base/ranges */

struct wb_ranges {
    struct ranges r;
    struct range first[WB_RANGES_MAX];
    struct alloc alloc;
};

struct wb_ranges *wb_ranges_new(uint32_t room, bool grows)
{
    struct wb_ranges *w = wb_new(sizeof *w);
    alloc_init(&w->alloc, 0);
    ranges_init(&w->r, w->first, u32_min(room, WB_RANGES_MAX), grows ? &w->alloc : NULL);
    return w;
}

void wb_ranges_free(struct wb_ranges *r)
{
    ranges_fini(&r->r);
    UT_ASSERT(r->alloc.in_use == 0);
    free(r);
}

uint64_t wb_ranges_memory(const struct wb_ranges *r)
{
    UT_ASSERT(r->alloc.in_use == ranges_memory(&r->r));
    return r->alloc.in_use;
}

void wb_ranges_clear(struct wb_ranges *r) { ranges_clear(&r->r); }

bool wb_ranges_add(struct wb_ranges *r, uint64_t lo, uint64_t hi)
{
    return ranges_add(&r->r, lo, hi);
}

bool wb_ranges_remove(struct wb_ranges *r, uint64_t lo, uint64_t hi)
{
    return ranges_remove(&r->r, lo, hi);
}

void wb_ranges_trim_below(struct wb_ranges *r, uint64_t lo) { ranges_trim_below(&r->r, lo); }
bool wb_ranges_has(const struct wb_ranges *r, uint64_t at) { return ranges_has(&r->r, at); }

bool wb_ranges_covers(const struct wb_ranges *r, uint64_t lo, uint64_t hi)
{
    return ranges_covers(&r->r, lo, hi);
}

bool wb_ranges_touches(const struct wb_ranges *r, uint64_t lo, uint64_t hi)
{
    return ranges_touches(&r->r, lo, hi);
}

bool wb_ranges_find(const struct wb_ranges *r, uint64_t offset, uint64_t run[2])
{
    const struct range *found = ranges_find(&r->r, offset);
    if (found == NULL)
        return false;
    run[0] = found->lo;
    run[1] = found->hi;
    return true;
}

uint64_t wb_ranges_bytes_in(const struct wb_ranges *r, uint64_t lo, uint64_t hi)
{
    return ranges_bytes_in(&r->r, lo, hi);
}

uint32_t wb_ranges_list(const struct wb_ranges *r, uint64_t out[128])
{
    ranges_check(&r->r);
    for (uint32_t i = 0; i < r->r.count; i++) {
        out[2 * i] = r->r.run[i].lo;
        out[2 * i + 1] = r->r.run[i].hi;
    }
    return r->r.count;
}

/* -- base/deadline */

struct wb_heap {
    struct deadline_heap h;
    struct deadline_node node[];
};

struct wb_heap *wb_heap_new(struct wb_alloc *a, uint32_t nodes)
{
    struct wb_heap *w = wb_new(sizeof *w + nodes * sizeof w->node[0]);
    deadline_heap_init(&w->h, &a->a);
    for (uint32_t i = 0; i < nodes; i++)
        w->node[i].at = TIME_NEVER;
    return w;
}

void wb_heap_free(struct wb_heap *h)
{
    deadline_heap_fini(&h->h);
    free(h);
}

bool wb_heap_reserve(struct wb_heap *h, uint32_t nodes) { return deadline_reserve(&h->h, nodes); }

void wb_heap_set(struct wb_heap *h, uint32_t node, uint64_t at)
{
    deadline_set(&h->h, &h->node[node], at);
}

void wb_heap_remove(struct wb_heap *h, uint32_t node) { deadline_remove(&h->h, &h->node[node]); }
uint64_t wb_heap_next(const struct wb_heap *h) { return deadline_next(&h->h); }

uint32_t wb_heap_pop_due(struct wb_heap *h, uint64_t now)
{
    struct deadline_node *n = deadline_pop_due(&h->h, now);
    return n == NULL ? WB_NOWHERE : (uint32_t)(n - h->node);
}

uint64_t wb_heap_at(const struct wb_heap *h, uint32_t node) { return h->node[node].at; }
bool wb_heap_is_queued(const struct wb_heap *h, uint32_t node) { return h->node[node].slot != 0; }

bool wb_heap_is_sound(const struct wb_heap *h)
{
    for (uint32_t i = 0; i < h->h.count; i++) {
        const struct deadline_node *n = h->h.node[i];
        if (n->slot != i + 1 || n->key > n->at)
            return false;
        if (i != 0 && h->h.node[(i - 1) / 4]->key > n->key)
            return false;
    }
    return true;
}

/* -- base/siphash, base/rand */

uint64_t wb_siphash24(uint64_t k0, uint64_t k1, const void *data, size_t len)
{
    return siphash24(&(struct siphash_key){k0, k1}, data, len);
}

uint64_t wb_siphash13(uint64_t k0, uint64_t k1, const void *data, size_t len)
{
    return siphash13(&(struct siphash_key){k0, k1}, data, len);
}

void wb_rand_u64(uint64_t seed0, uint64_t seed1, uint64_t *out, uint32_t count)
{
    struct rand r;
    rand_init(&r, seed0, seed1);
    for (uint32_t i = 0; i < count; i++)
        out[i] = rand_u64(&r);
}

void wb_rand_below(uint64_t seed0, uint64_t seed1, uint32_t n, uint32_t *out, uint32_t count)
{
    struct rand r;
    rand_init(&r, seed0, seed1);
    for (uint32_t i = 0; i < count; i++)
        out[i] = rand_below(&r, n);
}

void wb_rand_key(uint64_t seed0, uint64_t seed1, const char *purpose, uint64_t key[2])
{
    struct rand r;
    rand_init(&r, seed0, seed1);
    struct siphash_key k = rand_key(&r, purpose);
    key[0] = k.k0;
    key[1] = k.k1;
}
