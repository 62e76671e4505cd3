/* ranges.h: a sorted set of disjoint half-open runs [lo, hi) of stream offsets, bounded.
 *
 * Used for what arrived out of order (reasm) and for what the peer reported by SACK (sack). It
 * begins in the room it is given, and takes more, twice as much each time, when it has an
 * allocator to take it from.
 *
 *   1. 0 <= count <= room <= RANGES_MAX
 *   2. lo < hi for each run
 *   3. run i ends strictly before run i + 1 begins (touching runs are merged)
 */
#ifndef UT_BASE_RANGES_H
#define UT_BASE_RANGES_H

#include "base/alloc.h"

#define RANGES_MAX 512 /* bounds memory and the work of one ACK, whatever the peer reports */

struct range {
    uint64_t lo, hi;
};

struct ranges {
    uint32_t count, room, first_room;
    struct range *run, *first;
    struct alloc *alloc; /* NULL: it does not grow */
};

/* Empty, with room for `room` runs at `first`, which outlives it. */
void ranges_init(struct ranges *r, struct range *first, uint32_t room, struct alloc *a);
/* Empty, in its first room again. */
void ranges_fini(struct ranges *r);
/* Bytes it took beyond its first room. */
static inline size_t ranges_memory(const struct ranges *r)
{
    return r->run != r->first ? r->room * sizeof r->run[0] : 0;
}
/* Could one more run be added now? Takes the room for it. */
bool ranges_has_room(struct ranges *r);
static inline void ranges_clear(struct ranges *r) { r->count = 0; }
/* Adds [lo, hi), lo < hi. False: it would need one run more than fit, or memory is out;
 * nothing changed then. */
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
