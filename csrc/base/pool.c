/* pool.c: fixed-size objects in slabs.
 *
 * Used for connections, half-open and TIME-WAIT records. Fresh indices are handed out in order,
 * freed ones before them, the last freed first. The free list runs through the last four bytes of
 * the freed slots, so a generation kept near the start of an object survives pool_put.
 */
#include "base/pool.h"

#define POOL_MIN_SLAB_CAPACITY 8u

void pool_init(struct pool *p, struct alloc *a, uint32_t object_size, uint32_t slab_objects,
               uint32_t max_objects)
{
    UT_ASSERT(object_size != 0 && object_size <= UINT32_MAX - 7u);
    UT_ASSERT(slab_objects != 0 && (slab_objects & (slab_objects - 1u)) == 0);
    UT_ASSERT(max_objects != POOL_NONE);
    *p = (struct pool){
        .alloc = a,
        .object_size = (object_size + 7u) & ~UINT32_C(7),
        .slab_objects = slab_objects,
        .max_objects = max_objects,
        .free_head = POOL_NONE,
    };
}

static size_t pool_slab_bytes(const struct pool *p)
{
    return (size_t)p->object_size * p->slab_objects;
}

void pool_fini(struct pool *p)
{
    for (uint32_t i = 0; i < p->slab_count; i++)
        alloc_put(p->alloc, p->slabs[i], pool_slab_bytes(p));
    alloc_put(p->alloc, p->slabs, p->slab_capacity * sizeof *p->slabs);
    pool_init(p, p->alloc, p->object_size, p->slab_objects, p->max_objects);
}

/* `index` < fresh. The division is a shift: slab_objects is a power of two. */
static uint8_t *pool_slot(const struct pool *p, uint32_t index)
{
    uint32_t shift = (uint32_t)__builtin_ctz(p->slab_objects);
    uint32_t within = index & (p->slab_objects - 1u);
    return p->slabs[index >> shift] + (size_t)within * p->object_size;
}

static uint8_t *pool_link_of(const struct pool *p, uint32_t index)
{
    return pool_slot(p, index) + p->object_size - sizeof(uint32_t);
}

static bool pool_grow_table(struct pool *p)
{
    uint32_t capacity = u32_max(p->slab_capacity * 2, POOL_MIN_SLAB_CAPACITY);
    uint8_t **slabs = alloc_grow(p->alloc, p->slabs, p->slab_count * sizeof *slabs,
                                 p->slab_capacity * sizeof *slabs, capacity * sizeof *slabs);
    if (slabs == NULL)
        return false;
    p->slabs = slabs;
    p->slab_capacity = capacity;
    return true;
}

static bool pool_add_slab(struct pool *p)
{
    if (p->slab_count == p->slab_capacity && !pool_grow_table(p))
        return false;
    uint8_t *slab = alloc_get(p->alloc, pool_slab_bytes(p));
    if (slab == NULL)
        return false;
    p->slabs[p->slab_count++] = slab;
    return true;
}

void *pool_take(struct pool *p, uint32_t *index)
{
    if (p->free_head != POOL_NONE) {
        uint32_t i = p->free_head;
        memcpy(&p->free_head, pool_link_of(p, i), sizeof p->free_head);
        p->in_use++;
        *index = i;
        return pool_slot(p, i);
    }
    if (p->fresh == p->max_objects)
        return NULL;
    if (p->fresh == (uint64_t)p->slab_count * p->slab_objects && !pool_add_slab(p))
        return NULL;
    p->in_use++;
    *index = p->fresh++;
    return pool_slot(p, *index);
}

void *pool_get(struct pool *p, uint32_t *index)
{
    bool is_fresh = p->free_head == POOL_NONE; /* alloc_get zeroed the slab */
    void *object = pool_take(p, index);
    return object == NULL || is_fresh ? object : memset(object, 0, p->object_size);
}

void pool_put(struct pool *p, uint32_t index)
{
    UT_ASSERT(index < p->fresh && p->in_use != 0);
    UT_ASSERT(index != p->free_head); /* the likeliest way to give back twice */
    memcpy(pool_link_of(p, index), &p->free_head, sizeof p->free_head);
    p->free_head = index;
    p->in_use--;
}

void pool_trim(struct pool *p)
{
    if (UT_LIKELY(p->in_use != 0 || p->slab_count < 2))
        return;
    while (p->slab_count > 1)
        alloc_put(p->alloc, p->slabs[--p->slab_count], pool_slab_bytes(p));
    memset(p->slabs[0], 0, pool_slab_bytes(p)); /* fresh slots are zero */
    p->fresh = 0;
    p->free_head = POOL_NONE;
}

void *pool_at(const struct pool *p, uint32_t index)
{
    return index < p->fresh ? pool_slot(p, index) : NULL;
}
