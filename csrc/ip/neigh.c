/* neigh.c: the neighbour cache: resolution, reachability, eviction. See neigh.h for the picture.
 *
 * Called by stack/resolve.c (packets, deadlines) and stack/egress.c (use).
 */
#include "ip/neigh.h"

#define NEIGH_SLAB 32u
#define NEIGH_EVICTION_SAMPLE 16u

_Static_assert(NEIGH_MAX < UINT16_MAX, "an index fits half a neigh_ref");

void neigh_init(struct neigh_cache *c, struct alloc *a, struct deadline_heap *heap,
                uint32_t deadline_kind, struct siphash_key key)
{
    *c = (struct neigh_cache){.heap = heap, .key = key, .deadline_kind = deadline_kind};
    pool_init(&c->pool, a, sizeof(struct neigh), NEIGH_SLAB, NEIGH_MAX);
    for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
        c->bucket[i] = POOL_NONE;
}

void neigh_fini(struct neigh_cache *c) { pool_fini(&c->pool); }

static uint32_t *neigh_bucket(struct neigh_cache *c, const struct ipaddr *ip)
{
    return &c->bucket[siphash13(&c->key, ip, sizeof *ip) % NEIGH_BUCKETS];
}

struct neigh *neigh_find(const struct neigh_cache *c, const struct ipaddr *ip)
{
    uint32_t i = c->bucket[siphash13(&c->key, ip, sizeof *ip) % NEIGH_BUCKETS];
    while (i != POOL_NONE) {
        struct neigh *n = pool_at(&c->pool, i);
        if (ipaddr_equal(&n->ip, ip))
            return n;
        i = n->bucket_next;
    }
    return NULL;
}

static void neigh_free(struct neigh_cache *c, struct neigh *n)
{
    uint32_t *at = neigh_bucket(c, &n->ip);
    while (*at != n->index)
        at = &((struct neigh *)pool_at(&c->pool, *at))->bucket_next;
    *at = n->bucket_next;
    deadline_remove(c->heap, &n->timer);
    n->phase = NEIGH_FREE;
    pool_put(&c->pool, n->index);
}

/* Frees the least recently used of a sample. What is being resolved stays: somebody waits for it,
 * and it ends by itself within seconds. */
static void neigh_evict(struct neigh_cache *c)
{
    struct neigh *oldest = NULL;
    for (uint32_t i = 0; i < NEIGH_EVICTION_SAMPLE; i++) {
        struct neigh *n = pool_at(&c->pool, c->victim++ % NEIGH_MAX);
        if (n == NULL || n->phase == NEIGH_FREE || !neigh_is_resolved(n))
            continue;
        if (oldest == NULL || n->used < oldest->used)
            oldest = n;
    }
    if (oldest == NULL)
        return;
    c->evicted++;
    neigh_free(c, oldest);
}

static struct neigh *neigh_new(struct neigh_cache *c, const struct ipaddr *ip, ns_t now)
{
    if (c->pool.in_use == NEIGH_MAX)
        neigh_evict(c);
    const struct neigh *former = pool_at(&c->pool, c->pool.free_head);
    uint16_t generation = former != NULL ? former->generation : 0;
    uint32_t index;
    struct neigh *n = pool_get(&c->pool, &index);
    if (n == NULL)
        return NULL;
    uint32_t *bucket = neigh_bucket(c, ip);
    *n = (struct neigh){
        .ip = *ip,
        .timer = {.at = TIME_NEVER, .kind = c->deadline_kind},
        .used = now,
        .generation = (uint16_t)(generation + 1),
        .index = index,
        .bucket_next = *bucket,
    };
    *bucket = index;
    return n;
}

static void neigh_ask_everyone(struct neigh_cache *c, struct neigh *n, ns_t now,
                               struct neigh_ask *ask)
{
    n->tries++;
    *ask = (struct neigh_ask){.is_due = true, .target = n->ip};
    deadline_set(c->heap, &n->timer, time_after(now, NEIGH_RETRANSMIT));
}

struct neigh *neigh_get(struct neigh_cache *c, const struct ipaddr *ip, ns_t now,
                        struct neigh_ask *ask)
{
    *ask = (struct neigh_ask){0};
    struct neigh *n = neigh_find(c, ip);
    if (n != NULL)
        return n;
    n = neigh_new(c, ip, now);
    if (n == NULL)
        return NULL;
    n->phase = NEIGH_INCOMPLETE;
    neigh_ask_everyone(c, n, now, ask);
    return n;
}

const struct macaddr *neigh_use(struct neigh_cache *c, struct neigh *n, ns_t now)
{
    n->used = now;
    if (UT_LIKELY(n->phase == NEIGH_REACHABLE)) {
        if (UT_LIKELY(time_between(n->confirmed, now) < NEIGH_REACHABLE_TIME))
            return &n->mac;
        n->phase = NEIGH_STALE;
    }
    /* RFC 4861 7.3.3: the first use of a doubtful entry starts a delay in which TCP's progress may
     * confirm it; only then is the station asked. */
    if (n->phase == NEIGH_STALE) {
        n->phase = NEIGH_DELAY;
        n->tries = 0;
        deadline_set(c->heap, &n->timer, time_after(now, NEIGH_DELAY_TIME));
    }
    return neigh_is_resolved(n) ? &n->mac : NULL;
}

bool neigh_learn(struct neigh_cache *c, const struct neigh_news *news, ns_t now)
{
    struct neigh *n = neigh_find(c, &news->ip);
    if (n == NULL) {
        if (!news->may_create)
            return false;
        n = neigh_new(c, &news->ip, now);
        if (n == NULL)
            return false;
    }
    bool was_resolved = neigh_is_resolved(n);
    bool is_other = was_resolved && !macaddr_equal(&n->mac, &news->mac);
    /* RFC 4861 7.2.5: without the override flag another address only casts doubt. */
    if (is_other && news->keep_mac) {
        if (n->phase == NEIGH_REACHABLE)
            n->phase = NEIGH_STALE;
        return false;
    }
    n->mac = news->mac;
    if (news->confirms) {
        n->phase = NEIGH_REACHABLE;
        n->confirmed = now;
        n->tries = 0;
        deadline_set(c->heap, &n->timer, TIME_NEVER);
    } else if (!was_resolved || is_other) {
        n->phase = NEIGH_STALE;
        n->tries = 0;
        deadline_set(c->heap, &n->timer, TIME_NEVER);
    }
    return !was_resolved;
}

bool neigh_timeout(struct neigh_cache *c, struct neigh *n, ns_t now, struct neigh_ask *ask)
{
    *ask = (struct neigh_ask){0};
    if (n->phase == NEIGH_REACHABLE || n->phase == NEIGH_STALE)
        return true;
    if (n->tries >= NEIGH_TRIES) {
        c->failed++;
        neigh_free(c, n);
        return false;
    }
    bool is_probe = n->phase != NEIGH_INCOMPLETE;
    neigh_ask_everyone(c, n, now, ask);
    if (is_probe) {
        n->phase = NEIGH_PROBE;
        ask->is_unicast = true;
        ask->to = n->mac;
    }
    return true;
}
