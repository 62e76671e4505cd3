/* ranges.c: the sorted set of runs; invariants 1 to 3 stand in ranges.h.
 *
 * Called by reasm (receiver) and sack (sender) once per out-of-order segment or SACK block. Two
 * binary searches find the runs an interval meets; what follows them moves once.
 */
#include "base/ranges.h"

void ranges_init(struct ranges *r, struct range *first, uint32_t room, struct alloc *a)
{
    *r =
        (struct ranges){.room = room, .first_room = room, .run = first, .first = first, .alloc = a};
}

void ranges_fini(struct ranges *r)
{
    r->count = 0;
    if (r->run != r->first) {
        alloc_put(r->alloc, r->run, ranges_memory(r));
        r->run = r->first;
        r->room = r->first_room;
    }
}

bool ranges_has_room(struct ranges *r)
{
    if (r->count < r->room)
        return true;
    uint32_t room = u32_min(2 * r->room, RANGES_MAX);
    if (r->alloc == NULL || room <= r->count)
        return false;
    struct range *run = alloc_grow(r->alloc, r->run, r->count * sizeof run[0], ranges_memory(r),
                                   room * sizeof run[0]);
    if (run == NULL)
        return false;
    r->run = run;
    r->room = room;
    return true;
}

/* First run that ends at or after `offset`; count if none. */
static uint32_t ranges_first_ending_from(const struct ranges *r, uint64_t offset)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (r->run[mid].hi >= offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* First run that ends after `offset`, that is: holds it or lies beyond it. */
static uint32_t ranges_first_beyond(const struct ranges *r, uint64_t offset)
{
    return offset == UINT64_MAX ? r->count : ranges_first_ending_from(r, offset + 1);
}

/* First run that begins at or after `offset`; count if none. */
static uint32_t ranges_first_starting_from(const struct ranges *r, uint64_t offset)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (r->run[mid].lo >= offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Replaces runs [from, to) by the `n` runs at `with`; the caller has seen to the room. */
static void ranges_replace(struct ranges *r, uint32_t from, uint32_t to, const struct range *with,
                           uint32_t n)
{
    UT_WORK(from + n == to ? 0 : r->count - to);
    memmove(&r->run[from + n], &r->run[to], (r->count - to) * sizeof r->run[0]);
    for (uint32_t i = 0; i < n; i++)
        r->run[from + i] = with[i];
    r->count = r->count - (to - from) + n;
    UT_CHECK((ranges_check(r), true));
}

bool ranges_add(struct ranges *r, uint64_t lo, uint64_t hi)
{
    UT_ASSERT(lo < hi);
    uint32_t from = ranges_first_ending_from(r, lo);
    uint32_t to = from;
    while (to < r->count && r->run[to].lo <= hi)
        to++;
    struct range merged = {lo, hi};
    if (from < to) {
        merged.lo = u64_min(lo, r->run[from].lo);
        merged.hi = u64_max(hi, r->run[to - 1].hi);
    } else if (!ranges_has_room(r)) {
        return false;
    }
    ranges_replace(r, from, to, &merged, 1);
    return true;
}

bool ranges_remove(struct ranges *r, uint64_t lo, uint64_t hi)
{
    if (lo >= hi)
        return true;
    uint32_t from = ranges_first_beyond(r, lo);
    uint32_t to = ranges_first_starting_from(r, hi);
    if (from >= to)
        return true;
    struct range rest[2];
    uint32_t n = 0;
    if (r->run[from].lo < lo)
        rest[n++] = (struct range){r->run[from].lo, lo};
    if (r->run[to - 1].hi > hi)
        rest[n++] = (struct range){hi, r->run[to - 1].hi};
    if (n > to - from && !ranges_has_room(r))
        return false;
    ranges_replace(r, from, to, rest, n);
    return true;
}

void ranges_trim_below(struct ranges *r, uint64_t lo)
{
    uint32_t first = ranges_first_beyond(r, lo);
    if (first != 0)
        ranges_replace(r, 0, first, NULL, 0);
    if (r->count != 0 && r->run[0].lo < lo)
        r->run[0].lo = lo;
}

const struct range *ranges_find(const struct ranges *r, uint64_t offset)
{
    uint32_t i = ranges_first_beyond(r, offset);
    return i < r->count && r->run[i].lo <= offset ? &r->run[i] : NULL;
}

bool ranges_has(const struct ranges *r, uint64_t offset) { return ranges_find(r, offset) != NULL; }

bool ranges_covers(const struct ranges *r, uint64_t lo, uint64_t hi)
{
    if (lo >= hi)
        return true;
    const struct range *run = ranges_find(r, lo);
    return run != NULL && run->hi >= hi;
}

bool ranges_touches(const struct ranges *r, uint64_t lo, uint64_t hi)
{
    if (lo >= hi)
        return false;
    uint32_t i = ranges_first_beyond(r, lo);
    return i < r->count && r->run[i].lo < hi;
}

bool ranges_next_gap(const struct ranges *r, uint64_t from, uint64_t to, struct range *gap)
{
    for (uint32_t i = ranges_first_beyond(r, from); i < r->count; i++) {
        if (r->run[i].lo > from) {
            to = u64_min(to, r->run[i].lo);
            break;
        }
        from = r->run[i].hi;
    }
    if (from >= to)
        return false;
    *gap = (struct range){from, to};
    return true;
}

uint64_t ranges_bytes_in(const struct ranges *r, uint64_t lo, uint64_t hi)
{
    uint64_t bytes = 0;
    for (uint32_t i = ranges_first_beyond(r, lo); i < r->count && r->run[i].lo < hi; i++)
        bytes += u64_min(hi, r->run[i].hi) - u64_max(lo, r->run[i].lo);
    return bytes;
}

void ranges_check(const struct ranges *r)
{
    UT_ASSERT(r->count <= r->room && r->room <= RANGES_MAX);
    for (uint32_t i = 0; i < r->count; i++) {
        UT_ASSERT(r->run[i].lo < r->run[i].hi);
        UT_ASSERT(i == 0 || r->run[i - 1].hi < r->run[i].lo);
    }
}
