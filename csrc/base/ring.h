/* ring.h: a byte ring addressed by stream offset, whose memory exists only while it is needed.
 *
 * A stream offset counts bytes since the connection began and never wraps (64 bits). The ring maps
 * offset o to memory[(o - base) mod capacity]; `base` is set when memory is taken, so a ring that
 * was empty starts at its first byte again and small exchanges stay within one hot page.
 *
 *     offset   base           lo                  hi        lo + capacity
 *               |.............|###################|............|
 *                              held by the owner      writable
 *
 * The ring does not know lo and hi: sendq and reasm do, and only ever touch [lo, lo + capacity).
 * Memory comes from a ring_cache: equal-sized mappings, LIFO, so the hottest is used first.
 */
#ifndef UT_BASE_RING_H
#define UT_BASE_RING_H

#include "base/alloc.h"

struct ring_cache {
    struct alloc *alloc;
    uint32_t size;      /* bytes of one ring: a power of two, at least a page */
    uint32_t max_rings; /* taken at once */
    uint32_t keep;      /* free ones kept mapped */
    uint32_t in_use;
    uint32_t free_count;
    void *free_head; /* linked through the first word of each free ring */
};

void ring_cache_init(struct ring_cache *c, struct alloc *a, uint32_t size, uint32_t max_rings,
                     uint32_t keep);
void ring_cache_fini(struct ring_cache *c);
/* Memory of c->size bytes (contents undefined), or NULL at max_rings or out of memory. */
uint8_t *ring_cache_get(struct ring_cache *c);
void ring_cache_put(struct ring_cache *c, uint8_t *memory);

struct ring {
    uint8_t *memory; /* NULL while no byte is held */
    uint64_t base;   /* stream offset of memory[0], modulo the capacity */
};

/* One or two pieces of memory that hold a run of the stream. */
struct ring_span {
    uint8_t *at[2];
    uint32_t len[2];
};

/* Takes memory if there is none, with `offset` at its start. False: none to be had. */
bool ring_open(struct ring *r, struct ring_cache *c, uint64_t offset);
void ring_release(struct ring *r, struct ring_cache *c);
static inline bool ring_is_open(const struct ring *r) { return r->memory != NULL; }
void ring_write(struct ring *r, uint32_t capacity, uint64_t offset, const void *from, uint32_t len);
void ring_read(const struct ring *r, uint32_t capacity, uint64_t offset, void *to, uint32_t len);
struct ring_span ring_view(const struct ring *r, uint32_t capacity, uint64_t offset, uint32_t len);

#endif
