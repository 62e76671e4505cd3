/* pmtu.h: what is known of the MTU of paths, by destination (RFC 1191 6.2, RFC 8201 5.2).
 *
 * Only destinations whose path carries less than the link are here. An entry is forgotten ten
 * minutes after it was made or confirmed, so that a larger MTU is found again.
 *
 *   1. Entries are bounded; when full, the one of a sample that is forgotten first gives way.
 *   2. An entry is made by whoever has checked the report (stack/path.c); nothing is checked here.
 */
#ifndef UT_IP_PMTU_H
#define UT_IP_PMTU_H

#include "base/pool.h"
#include "base/siphash.h"
#include "base/time.h"
#include "wire/addr.h"

#define PMTU_MAX 1024u
#define PMTU_BUCKETS 256u
#define PMTU_LIFE \
    (600 * NS_PER_S) /* RFC 1191 6.3, RFC 8201 5.3: twice the least that is allowed \
                      */

struct pmtu {
    struct ipaddr dst;
    ns_t until; /* 0: free */
    uint16_t mtu;
    bool is_guess;     /* found by sizes that did and did not arrive: RFC 4821 */
    bool may_fragment; /* the path carries even less: packets leave without DF */
    uint32_t index;
    uint32_t bucket_next; /* POOL_NONE = last */
    uint32_t reserved;    /* pool.h: not the last word */
};

struct pmtu_cache {
    struct pool pool;
    struct siphash_key key;
    uint32_t victim; /* where the search for one to evict goes on */
    uint32_t bucket[PMTU_BUCKETS];
};

/* Takes no memory yet. */
void pmtu_init(struct pmtu_cache *c, struct alloc *a, struct siphash_key key);
void pmtu_fini(struct pmtu_cache *c);
/* NULL: nothing is known, the link's MTU holds. */
struct pmtu *pmtu_find(const struct pmtu_cache *c, const struct ipaddr *dst);
/* Finds or makes the entry; its life begins anew. The caller fills in the rest. NULL: no memory. */
struct pmtu *pmtu_note(struct pmtu_cache *c, const struct ipaddr *dst, ns_t now);
/* When the first entry is to be forgotten; TIME_NEVER. */
ns_t pmtu_next(const struct pmtu_cache *c);
/* Forgets those whose time is over. */
void pmtu_expire(struct pmtu_cache *c, ns_t now);
/* RFC 1191 7.1: what to try after a packet of `len` bytes was too large for a router that does not
 * say how large it may be. */
uint16_t pmtu_plateau(uint32_t len);

#endif
