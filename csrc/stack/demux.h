/* demux.h: from the four values of a segment to the record it belongs to.
 *
 * Open addressing with linear probing over 8-byte entries (hash, kind and index), keyed by
 * SipHash-1-3 so that nobody can aim at one bucket; deletion shifts back, so there are no
 * tombstones. The key itself lies in the record and is compared there.
 *
 *   1. at most 3/4 of the entries are taken
 *   2. from an entry's home (its hash) to the entry, no place is free
 */
#ifndef UT_STACK_DEMUX_H
#define UT_STACK_DEMUX_H

#include "base/pool.h"
#include "base/siphash.h"
#include "stack/flow.h"

enum record_kind { RECORD_NONE, RECORD_CONN, RECORD_HALF, RECORD_TIME_WAIT };

#define RECORD_KINDS 4
#define DEMUX_INDEX_MAX ((UINT32_C(1) << 30) - 1)

struct demux_entry {
    uint32_t hash;
    uint32_t ref; /* kind << 30 | index; 0 = free */
};

struct demux {
    struct alloc *alloc;
    struct siphash_key key;
    struct demux_entry *entry;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t count;
    const struct pool *pool[RECORD_KINDS]; /* where records of a kind lie */
    /* The key hashed last: what one segment leads to is all about the same one. */
    struct flow_key hashed;
    uint32_t hash;
};

static inline enum record_kind demux_kind(uint32_t ref) { return (enum record_kind)(ref >> 30); }
static inline uint32_t demux_index(uint32_t ref) { return ref & DEMUX_INDEX_MAX; }
static inline uint32_t demux_ref(enum record_kind kind, uint32_t index)
{
    return (uint32_t)kind << 30 | index;
}

/* Takes no memory yet. The pools are set by the owner. */
void demux_init(struct demux *d, struct alloc *a, struct siphash_key key);
void demux_fini(struct demux *d);
/* The keyed hash of a name. */
uint32_t demux_hash(struct demux *d, const struct flow_key *key);
/* RFC 6437 3: one label per flow, which tells an observer nothing more. */
static inline uint32_t demux_flow_label(struct demux *d, const struct flow_key *key)
{
    return demux_hash(d, key) & 0xfffff;
}
/* Its reference, 0 when there is none. */
uint32_t demux_find(struct demux *d, const struct flow_key *key);
/* Room for one more; false: out of memory. */
bool demux_reserve(struct demux *d);
/* The record must carry the key already, and must not be there; demux_reserve came before. */
void demux_insert(struct demux *d, const struct flow_key *key, uint32_t ref);
/* The same key is held by another record from now on. */
void demux_replace(struct demux *d, const struct flow_key *key, uint32_t from, uint32_t to);
/* Does nothing when it is not there. */
void demux_remove(struct demux *d, const struct flow_key *key, uint32_t ref);

#endif
