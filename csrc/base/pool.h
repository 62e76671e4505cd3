/* pool.h: fixed-size objects by index, in slabs, freed to a LIFO list.
 *
 * An index is stable for the life of the object and small enough to pack into a handle; slabs are
 * added up to `max_objects` and freed only by pool_fini and pool_trim. Objects come zeroed from
 * pool_get.
 *
 * A freed object keeps its bytes as the owner left them, but for the last four of its slot
 * (object_size rounded up to 8), which link the free list: a generation kept before those can be
 * read through a stale handle. pool_get zeroes the whole slot: an owner that keeps generations
 * saves the old one across, from pool_at(p, p->free_head) just before (none there: a fresh slot).
 */
#ifndef UT_BASE_POOL_H
#define UT_BASE_POOL_H

#include "base/alloc.h"

#define POOL_NONE UINT32_MAX

struct pool {
    struct alloc *alloc;
    uint8_t **slabs;
    uint32_t object_size;  /* bytes, rounded up to 8 */
    uint32_t slab_objects; /* a power of two */
    uint32_t slab_count;
    uint32_t slab_capacity;
    uint32_t max_objects;
    uint32_t in_use;
    uint32_t free_head; /* index or POOL_NONE */
    uint32_t fresh;     /* first index never handed out */
};

/* Takes no memory yet. `slab_objects` must be a power of two. */
void pool_init(struct pool *p, struct alloc *a, uint32_t object_size, uint32_t slab_objects,
               uint32_t max_objects);
void pool_fini(struct pool *p);
/* The object, its index in *index; NULL when max_objects are in use or memory is out. */
void *pool_get(struct pool *p, uint32_t *index);
/* The same, not zeroed: for large objects that say themselves how much of them is meant. */
void *pool_take(struct pool *p, uint32_t *index);
void pool_put(struct pool *p, uint32_t index);
/* When nothing is in use, gives back all slabs but one. For pools whose indices nobody keeps. */
void pool_trim(struct pool *p);
/* The object of an index; NULL when the index was never handed out (a freed one still answers:
 * whoever hands out handles checks the generation kept in the object). */
void *pool_at(const struct pool *p, uint32_t index);

#endif
