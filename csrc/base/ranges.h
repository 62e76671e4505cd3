/* ranges.h: a sorted set of disjoint half-open runs [lo, hi) of stream offsets, fixed capacity.
 *
 * Used for what arrived out of order (reasm) and for what the peer reported by SACK (sack).
 *
 *   1. 0 <= count <= RANGES_MAX
 *   2. lo < hi for each run
 *   3. run i ends strictly before run i + 1 begins (touching runs are merged)
 */
#ifndef UT_BASE_RANGES_H
#define UT_BASE_RANGES_H

#include "base/base.h"

#define RANGES_MAX 64

struct range {
    uint64_t lo, hi;
};

struct ranges {
    uint32_t count;
    struct range run[RANGES_MAX];
};

static inline void ranges_clear(struct ranges *r) { r->count = 0; }
/* Adds [lo, hi), lo < hi. False: it would need one run more than fit, and nothing changed. */
bool ranges_add(struct ranges *r, uint64_t lo, uint64_t hi);
/* Takes [lo, hi) away. False: a split would need one run more than fit, and nothing changed. */
bool ranges_remove(struct ranges *r, uint64_t lo, uint64_t hi);
/* Forgets everything below `lo`. */
void ranges_trim_below(struct ranges *r, uint64_t lo);
bool ranges_has(const struct ranges *r, uint64_t offset);
/* All of [lo, hi) held? */
bool ranges_covers(const struct ranges *r, uint64_t lo, uint64_t hi);
/* Any of [lo, hi) held? */
bool ranges_touches(const struct ranges *r, uint64_t lo, uint64_t hi);
/* The run that holds `offset`, or NULL. */
const struct range *ranges_find(const struct ranges *r, uint64_t offset);
/* The first stretch of [from, to) that is not held, in *gap; false when all of it is. */
bool ranges_next_gap(const struct ranges *r, uint64_t from, uint64_t to, struct range *gap);
/* Bytes held in [lo, hi). */
uint64_t ranges_bytes_in(const struct ranges *r, uint64_t lo, uint64_t hi);
static inline bool ranges_is_empty(const struct ranges *r) { return r->count == 0; }
/* Asserts the invariants above (test builds). */
void ranges_check(const struct ranges *r);

#endif
