/* alloc.c: counted memory with a limit, from calloc and mmap.
 *
 * The only file that takes memory from the system for a stack. Sizes are counted as asked for;
 * the caller repeats the size when it gives memory back, so no header is kept before it.
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <sys/mman.h>

void alloc_init(struct alloc *a, uint64_t limit)
{
    *a = (struct alloc){.limit = limit, .fail_after = UINT64_MAX};
}

/* Does the budget allow `size` more? Uses up one success of the test schedule if so. */
static bool alloc_may_take(struct alloc *a, size_t size)
{
    if (a->limit != 0 && (a->in_use > a->limit || size > a->limit - a->in_use))
        return false;
    if (a->fail_after != UINT64_MAX) {
        if (a->fail_after == 0)
            return false;
        a->fail_after--;
    }
    return true;
}

static void alloc_count(struct alloc *a, size_t size)
{
    a->in_use += size;
    a->peak = u64_max(a->peak, a->in_use);
    a->calls++;
}

static void alloc_uncount(struct alloc *a, size_t size)
{
    UT_ASSERT(size <= a->in_use);
    a->in_use -= size;
}

void *alloc_get(struct alloc *a, size_t size)
{
    if (!alloc_may_take(a, size))
        return NULL;
    /* calloc(0) may answer NULL, which would read as "out of memory". */
    void *p = calloc(1, size != 0 ? size : 1);
    if (p != NULL)
        alloc_count(a, size);
    return p;
}

void alloc_put(struct alloc *a, void *p, size_t size)
{
    if (p == NULL)
        return;
    alloc_uncount(a, size);
    free(p);
}

void *alloc_grow(struct alloc *a, void *old, size_t used, size_t size, size_t to)
{
    void *p = alloc_get(a, to);
    if (p == NULL)
        return NULL;
    if (used != 0)
        memcpy(p, old, used);
    if (size != 0)
        alloc_put(a, old, size);
    return p;
}

void *alloc_map(struct alloc *a, size_t size)
{
    if (!alloc_may_take(a, size))
        return NULL;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    /* Whoever writes a byte into a ring of 2 MiB shall not pay for a huge page. */
    (void)madvise(p, size, MADV_NOHUGEPAGE);
    alloc_count(a, size);
    return p;
}

void alloc_unmap(struct alloc *a, void *p, size_t size)
{
    if (p == NULL)
        return;
    alloc_uncount(a, size);
    int failed = munmap(p, size);
    UT_ASSERT(!failed);
}
