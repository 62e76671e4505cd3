/* resent.h: which bytes were retransmitted and not acknowledged since, and when last.
 *
 *   1. 0 <= count <= RESENT_MAX; runs are sorted and disjoint (they may touch)
 *
 * A fixed number of runs: neighbours that left within a quantum are one, and when there are too
 * many, the two touching ones nearest in time become one. Both times are kept: a run counts as
 * delivered at the first and as outstanding since the last, so that merging delays a second
 * retransmission and never hastens it.
 */
#ifndef UT_TCP_RESENT_H
#define UT_TCP_RESENT_H

#include "base/time.h"

#define RESENT_MAX 96

struct resent_run {
    uint64_t lo, hi;
    ns_t first, at; /* when it left: first and last of its bytes */
};

struct resent {
    uint32_t count;
    struct resent_run run[RESENT_MAX];
};

/* [lo, hi) leaves again now. */
void resent_add(struct resent *r, const struct resent_run *run, ns_t quantum);
/* [lo, hi) is acknowledged, or not of interest any more. */
void resent_cut(struct resent *r, uint64_t lo, uint64_t hi);
/* The first run that ends after `offset`; NULL = none. */
const struct resent_run *resent_from(const struct resent *r, uint64_t offset);
void resent_check(const struct resent *r);

#endif
