/* resent.h: which bytes were retransmitted and not acknowledged since, and when last.
 *
 *   1. 0 <= count <= room <= RESENT_MAX; runs are sorted and disjoint (they may touch)
 *
 * A bounded number of runs, in room that grows as that of ranges.h does: neighbours that left
 * within a quantum are one, and when there are too many, the two touching ones nearest in time
 * become one. Both times are kept: a run counts as delivered at the first and as outstanding since
 * the last, so that merging delays a second retransmission and never hastens it.
 */
#ifndef UT_TCP_RESENT_H
#define UT_TCP_RESENT_H

#include "base/alloc.h"
#include "base/time.h"

#define RESENT_MAX 512

struct resent_run {
    uint64_t lo, hi;
    ns_t first, at; /* when it left: first and last of its bytes */
};

#define RESENT_FIRST 16

struct resent {
    uint32_t count, room;
    struct resent_run *run; /* `first`, or of the allocator */
    struct alloc *alloc;
    struct resent_run first[RESENT_FIRST];
};

void resent_init(struct resent *r, struct alloc *a);
/* Empty, in its first room again. */
void resent_fini(struct resent *r);
/* Bytes it took beyond its first room. */
static inline size_t resent_memory(const struct resent *r)
{
    return r->run != r->first ? r->room * sizeof r->run[0] : 0;
}

/* [lo, hi) leaves again now. */
void resent_add(struct resent *r, const struct resent_run *run, ns_t quantum);
/* [lo, hi) is acknowledged, or not of interest any more. */
void resent_cut(struct resent *r, uint64_t lo, uint64_t hi);
/* Where a walk from `offset` on begins. */
uint32_t resent_place(const struct resent *r, uint64_t offset);
/* The first run that ends after `offset`, NULL = none; *place goes there. In a walk `offset` never
 * goes back, and nothing is added or cut. */
static inline const struct resent_run *resent_next(const struct resent *r, uint32_t *place,
                                                   uint64_t offset)
{
    while (*place < r->count && r->run[*place].hi <= offset)
        ++*place;
    return *place < r->count ? &r->run[*place] : NULL;
}
void resent_check(const struct resent *r);

#endif
