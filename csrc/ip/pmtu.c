/* pmtu.c: the cache of path MTUs. See pmtu.h.
 *
 * Called by stack/path.c.
 */
#include "ip/pmtu.h"

#define PMTU_SLAB 16u
#define PMTU_EVICTION_SAMPLE 16u

void pmtu_init(struct pmtu_cache *c, struct alloc *a, struct siphash_key key)
{
    *c = (struct pmtu_cache){.key = key};
    pool_init(&c->pool, a, sizeof(struct pmtu), PMTU_SLAB, PMTU_MAX);
    for (uint32_t i = 0; i < PMTU_BUCKETS; i++)
        c->bucket[i] = POOL_NONE;
}

void pmtu_fini(struct pmtu_cache *c) { pool_fini(&c->pool); }

static uint32_t pmtu_bucket(const struct pmtu_cache *c, const struct ipaddr *dst)
{
    return (uint32_t)(siphash13(&c->key, dst, sizeof *dst) % PMTU_BUCKETS);
}

struct pmtu *pmtu_find(const struct pmtu_cache *c, const struct ipaddr *dst)
{
    if (c->pool.in_use == 0)
        return NULL;
    uint32_t i = c->bucket[pmtu_bucket(c, dst)];
    while (i != POOL_NONE) {
        struct pmtu *p = pool_at(&c->pool, i);
        if (ipaddr_equal(&p->dst, dst))
            return p;
        i = p->bucket_next;
    }
    return NULL;
}

static void pmtu_free(struct pmtu_cache *c, struct pmtu *p)
{
    uint32_t *at = &c->bucket[pmtu_bucket(c, &p->dst)];
    while (*at != p->index)
        at = &((struct pmtu *)pool_at(&c->pool, *at))->bucket_next;
    *at = p->bucket_next;
    p->until = 0;
    pool_put(&c->pool, p->index);
}

static void pmtu_evict(struct pmtu_cache *c)
{
    struct pmtu *oldest = NULL;
    for (uint32_t i = 0; i < PMTU_EVICTION_SAMPLE; i++) {
        struct pmtu *p = pool_at(&c->pool, c->victim++ % PMTU_MAX);
        if (p->until != 0 && (oldest == NULL || p->until < oldest->until))
            oldest = p;
    }
    pmtu_free(c, oldest);
}

struct pmtu *pmtu_note(struct pmtu_cache *c, const struct ipaddr *dst, ns_t now)
{
    struct pmtu *p = pmtu_find(c, dst);
    if (p == NULL) {
        uint32_t index, *bucket = &c->bucket[pmtu_bucket(c, dst)];
        if (c->pool.in_use == PMTU_MAX)
            pmtu_evict(c); /* all are in use, so every sample has one */
        p = pool_get(&c->pool, &index);
        if (p == NULL)
            return NULL;
        p->dst = *dst;
        p->index = index;
        p->bucket_next = *bucket;
        *bucket = index;
    }
    p->until = time_after(now, PMTU_LIFE);
    return p;
}

ns_t pmtu_next(const struct pmtu_cache *c)
{
    ns_t next = TIME_NEVER;
    for (uint32_t i = 0; c->pool.in_use != 0 && i < c->pool.fresh; i++) {
        const struct pmtu *p = pool_at(&c->pool, i);
        if (p->until != 0)
            next = u64_min(next, p->until);
    }
    return next;
}

void pmtu_expire(struct pmtu_cache *c, ns_t now)
{
    for (uint32_t i = 0; i < c->pool.fresh; i++) {
        struct pmtu *p = pool_at(&c->pool, i);
        if (p->until != 0 && p->until <= now)
            pmtu_free(c, p);
    }
}

uint16_t pmtu_plateau(uint32_t len)
{
    /* RFC 1191 7.1, table 7-1, the right column. */
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};
    for (uint32_t i = 0; i < UT_COUNTOF(plateaus); i++)
        if (plateaus[i] < len)
            return plateaus[i];
    return plateaus[UT_COUNTOF(plateaus) - 1];
}
