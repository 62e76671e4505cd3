/* alloc.h: memory as a parameter: a counting allocator with a limit.
 *
 * Everything a stack owns is taken here, so tests can cap it, make it fail on schedule
 * (fail_after) and see that it returns to zero. Memory comes zeroed.
 */
#ifndef UT_BASE_ALLOC_H
#define UT_BASE_ALLOC_H

#include "base/base.h"

struct alloc {
    uint64_t limit;      /* bytes; 0 = none */
    uint64_t in_use;     /* bytes */
    uint64_t peak;       /* bytes */
    uint64_t calls;      /* allocations ever made */
    uint64_t fail_after; /* test hook: allocations still allowed to succeed; UINT64_MAX = all */
};

void alloc_init(struct alloc *a, uint64_t limit);
/* Zeroed memory or NULL (limit reached, schedule, or the system has none). */
void *alloc_get(struct alloc *a, size_t size);
/* `size` must be what alloc_get was given. NULL is allowed. */
void alloc_put(struct alloc *a, void *p, size_t size);
/* `to` bytes that begin with the first `used` of `old`, which goes back; `size` as in alloc_put, 0:
 * `old` was not taken here, and stays. NULL: there is no more, and nothing has changed. */
void *alloc_grow(struct alloc *a, void *old, size_t used, size_t size, size_t to);
/* Page-aligned, lazily backed by the system; for rings. NULL as above. */
void *alloc_map(struct alloc *a, size_t size);
void alloc_unmap(struct alloc *a, void *p, size_t size);

#endif
