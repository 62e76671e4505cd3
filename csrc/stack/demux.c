/* demux.c: the hash table of demux.h.
 *
 * Called once per segment by ingress.c (unless it is of the same flow as the one before), and when
 * records come and go.
 */
#include "stack/demux.h"

#define DEMUX_MIN_CAPACITY 256u

void demux_init(struct demux *d, struct alloc *a, struct siphash_key key)
{
    *d = (struct demux){.alloc = a, .key = key};
    d->hash = (uint32_t)siphash13(&d->key, &d->hashed, FLOW_KEY_LEN);
}

void demux_fini(struct demux *d)
{
    alloc_put(d->alloc, d->entry, d->capacity * sizeof *d->entry);
    d->entry = NULL;
    d->capacity = d->count = 0;
}

uint32_t demux_hash(struct demux *d, const struct flow_key *key)
{
    if (!flow_equal(&d->hashed, key)) {
        d->hashed = *key;
        d->hash = (uint32_t)siphash13(&d->key, key, FLOW_KEY_LEN);
    }
    return d->hash;
}

static const struct flow_key *demux_key_of(const struct demux *d, uint32_t ref)
{
    return pool_at(d->pool[demux_kind(ref)], demux_index(ref));
}

uint32_t demux_find(struct demux *d, const struct flow_key *key)
{
    if (d->count == 0)
        return 0;
    uint32_t hash = demux_hash(d, key), mask = d->capacity - 1;
    for (uint32_t i = hash & mask; d->entry[i].ref != 0; i = (i + 1) & mask)
        if (d->entry[i].hash == hash && flow_equal(demux_key_of(d, d->entry[i].ref), key))
            return d->entry[i].ref;
    return 0;
}

static void demux_place(struct demux *d, struct demux_entry e)
{
    uint32_t mask = d->capacity - 1, i = e.hash & mask;
    while (d->entry[i].ref != 0)
        i = (i + 1) & mask;
    d->entry[i] = e;
}

/* Doubling moves every entry once per doubling: constant work per insertion in the long run. */
bool demux_reserve(struct demux *d)
{
    if ((uint64_t)(d->count + 1) * 4 <= (uint64_t)d->capacity * 3)
        return true;
    uint32_t old_capacity = d->capacity;
    uint32_t capacity = u32_max(old_capacity * 2, DEMUX_MIN_CAPACITY);
    struct demux_entry *old = d->entry;
    struct demux_entry *entry = alloc_get(d->alloc, capacity * sizeof *entry);
    if (entry == NULL)
        return d->count + 1 < old_capacity; /* slower, but there is room */
    d->entry = entry;
    d->capacity = capacity;
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i].ref != 0)
            demux_place(d, old[i]);
    alloc_put(d->alloc, old, old_capacity * sizeof *old);
    return true;
}

void demux_insert(struct demux *d, const struct flow_key *key, uint32_t ref)
{
    UT_ASSERT(d->count + 1 < d->capacity);
    demux_place(d, (struct demux_entry){demux_hash(d, key), ref});
    d->count++;
}

/* Where `ref` stands; capacity when it does not. */
static uint32_t demux_place_of(struct demux *d, const struct flow_key *key, uint32_t ref)
{
    if (d->count == 0)
        return d->capacity;
    uint32_t mask = d->capacity - 1;
    for (uint32_t i = demux_hash(d, key) & mask; d->entry[i].ref != 0; i = (i + 1) & mask)
        if (d->entry[i].ref == ref)
            return i;
    return d->capacity;
}

void demux_replace(struct demux *d, const struct flow_key *key, uint32_t from, uint32_t to)
{
    uint32_t i = demux_place_of(d, key, from);
    UT_ASSERT(i != d->capacity);
    d->entry[i].ref = to;
}

void demux_remove(struct demux *d, const struct flow_key *key, uint32_t ref)
{
    uint32_t hole = demux_place_of(d, key, ref);
    if (hole == d->capacity)
        return;
    /* What stands behind the hole moves up unless its home lies behind the hole too. */
    uint32_t mask = d->capacity - 1;
    for (uint32_t i = (hole + 1) & mask; d->entry[i].ref != 0; i = (i + 1) & mask) {
        uint32_t home = d->entry[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            d->entry[hole] = d->entry[i];
            hole = i;
        }
    }
    d->entry[hole] = (struct demux_entry){0, 0};
    d->count--;
}
