/* neigh.h: which station has which address: one cache for ARP (RFC 826) and NDP (RFC 4861 7.3).
 *
 *    (none) -> INCOMPLETE -> REACHABLE -> [30 s without a sign of life] -> DELAY -> PROBE
 *                  |                            used again: 5 s for TCP to confirm    |
 *                  +-- 3 s, no answer: gone                       3 s, no answer: gone +
 *
 * The cache sends nothing: what is to be asked comes back as a neigh_ask, which the stack puts on
 * the wire. Nothing here is per packet but neigh_use.
 *
 *   1. Entries are bounded; when full, a resolved one that has not been used for long gives way.
 *   2. Only what was asked for, or what asked us, makes an entry; unsolicited news changes existing
 *      ones only.
 *   3. A neigh_ref finds its entry again or nothing: entries carry generations.
 */
#ifndef UT_IP_NEIGH_H
#define UT_IP_NEIGH_H

#include "base/deadline.h"
#include "base/pool.h"
#include "base/siphash.h"
#include "wire/addr.h"

enum neigh_phase {
    NEIGH_FREE,
    NEIGH_INCOMPLETE,
    NEIGH_REACHABLE, /* confirmed less than NEIGH_REACHABLE_TIME ago, or not used since */
    NEIGH_STALE,     /* known, never confirmed */
    NEIGH_DELAY,     /* in doubt and in use: waits for upper layers to confirm */
    NEIGH_PROBE,     /* in doubt: asked directly */
};

#define NEIGH_MAX 1024
#define NEIGH_BUCKETS 256
#define NEIGH_TRIES 3                        /* RFC 4861 10: MAX_*_SOLICIT */
#define NEIGH_RETRANSMIT (NS_PER_S)          /* RFC 4861 10: RETRANS_TIMER */
#define NEIGH_REACHABLE_TIME (30 * NS_PER_S) /* RFC 4861 10 */
#define NEIGH_DELAY_TIME (5 * NS_PER_S)      /* RFC 4861 10: DELAY_FIRST_PROBE_TIME */

struct neigh {
    struct ipaddr ip;
    struct deadline_node timer;
    ns_t confirmed, used;
    struct macaddr mac;
    uint16_t generation;
    uint8_t phase; /* enum neigh_phase */
    uint8_t tries;
    uint32_t index;
    uint32_t bucket_next; /* POOL_NONE = last */
    uint32_t reserved;    /* pool.h: not the last word */
};

struct neigh_cache {
    struct pool pool;
    struct deadline_heap *heap;
    struct siphash_key key;
    uint32_t deadline_kind;
    uint32_t victim; /* where the search for one to evict goes on */
    uint64_t evicted, failed;
    uint32_t bucket[NEIGH_BUCKETS];
};

/* A question for the link. */
struct neigh_ask {
    bool is_due;
    bool is_unicast; /* to that station; else broadcast, or multicast to the solicited node */
    struct ipaddr target;
    struct macaddr to;
};

typedef uint32_t neigh_ref; /* 0 = none */

/* Entries' deadline nodes go on `heap` with this kind. Takes no memory yet. */
void neigh_init(struct neigh_cache *c, struct alloc *a, struct deadline_heap *heap,
                uint32_t deadline_kind, struct siphash_key key);
void neigh_fini(struct neigh_cache *c);

struct neigh *neigh_find(const struct neigh_cache *c, const struct ipaddr *ip);
/* Finds it or begins to resolve it. NULL: no room now. The heap must have room for one more node.
 */
struct neigh *neigh_get(struct neigh_cache *c, const struct ipaddr *ip, ns_t now,
                        struct neigh_ask *ask);
/* About to send to it: its station, or NULL while unresolved. */
const struct macaddr *neigh_use(struct neigh_cache *c, struct neigh *n, ns_t now);
/* Somebody says `ip` is at `mac`. `may_create`: it asked us. `confirms`: the answer to a question
 * of ours. True: an unresolved entry has its station now. */
struct neigh_news {
    struct ipaddr ip;
    struct macaddr mac;
    bool may_create, confirms, keep_mac; /* keep_mac: override flag clear (RFC 4861 7.2.5) */
};
bool neigh_learn(struct neigh_cache *c, const struct neigh_news *news, ns_t now);
/* The far end made progress through this station (RFC 4861 7.3.1). */
static inline void neigh_confirm(struct neigh *n, ns_t now)
{
    n->confirmed = now;
    if (n->phase > NEIGH_REACHABLE)
        n->phase = NEIGH_REACHABLE;
}
/* Its deadline has come. False: it failed and is gone; whoever waits for it must be told. */
bool neigh_timeout(struct neigh_cache *c, struct neigh *n, ns_t now, struct neigh_ask *ask);

static inline bool neigh_is_resolved(const struct neigh *n) { return n->phase > NEIGH_INCOMPLETE; }
static inline neigh_ref neigh_ref_of(const struct neigh *n)
{
    return (uint32_t)n->generation << 16 | (n->index + 1);
}
/* NULL when the entry has gone since. */
static inline struct neigh *neigh_at(const struct neigh_cache *c, neigh_ref ref)
{
    if ((ref & 0xffff) == 0)
        return NULL;
    struct neigh *n = pool_at(&c->pool, (ref & 0xffff) - 1);
    return n != NULL && n->phase != NEIGH_FREE && n->generation == ref >> 16 ? n : NULL;
}

#endif
