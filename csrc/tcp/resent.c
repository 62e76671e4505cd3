/* resent.c: times of retransmissions (RFC 8985 4 and 6.1). Called by rack.c and recovery.c.
 */
#include "tcp/resent.h"

void resent_init(struct resent *r, struct alloc *a)
{
    r->count = 0;
    r->room = RESENT_FIRST;
    r->run = r->first;
    r->alloc = a;
}

void resent_fini(struct resent *r)
{
    if (r->run != r->first)
        alloc_put(r->alloc, r->run, resent_memory(r));
    resent_init(r, r->alloc);
}

/* Twice the room; false: there is no more to be had. */
static bool grow(struct resent *r)
{
    if (r->room >= RESENT_MAX)
        return false;
    uint32_t room = 2 * r->room;
    struct resent_run *run = alloc_grow(r->alloc, r->run, r->count * sizeof run[0],
                                        resent_memory(r), room * sizeof run[0]);
    if (run == NULL)
        return false;
    r->run = run;
    r->room = room;
    return true;
}

/* The first run that ends after `offset`; count if none. */
static uint32_t first_beyond(const struct resent *r, uint64_t offset)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (r->run[mid].hi > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Takes `n` runs out, from the one at `i`. */
static void take_out(struct resent *r, uint32_t i, uint32_t n)
{
    if (n == 0)
        return;
    r->count -= n;
    UT_WORK(r->count - i);
    memmove(&r->run[i], &r->run[i + n], (r->count - i) * sizeof r->run[0]);
}

/* Makes room for one more run. */
static void make_room(struct resent *r)
{
    uint32_t best = 0, oldest = 0;
    ns_t least = TIME_NEVER;
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->run[i].at < r->run[oldest].at)
            oldest = i;
        if (i == 0 || r->run[i - 1].hi != r->run[i].lo)
            continue;
        ns_t a = r->run[i - 1].at, b = r->run[i].at, gap = a > b ? a - b : b - a;
        if (gap < least) {
            least = gap;
            best = i;
        }
    }
    if (best == 0) {
        take_out(r, oldest, 1); /* as if sent once: at worst it is sent again too early */
        return;
    }
    r->run[best - 1].hi = r->run[best].hi;
    r->run[best - 1].at = u64_max(r->run[best - 1].at, r->run[best].at);
    r->run[best - 1].first = u64_min(r->run[best - 1].first, r->run[best].first);
    take_out(r, best, 1);
}

static void put_at(struct resent *r, uint32_t i, const struct resent_run *run)
{
    UT_WORK(r->count - i);
    memmove(&r->run[i + 1], &r->run[i], (r->count - i) * sizeof r->run[0]);
    r->run[i] = *run;
    r->count++;
}

void resent_cut(struct resent *r, uint64_t lo, uint64_t hi)
{
    uint32_t i = first_beyond(r, lo);
    if (i < r->count && r->run[i].lo < lo) {
        struct resent_run rest = {hi, r->run[i].hi, r->run[i].first, r->run[i].at};
        bool splits = rest.hi > hi;
        if (splits && r->count == r->room && !grow(r))
            return; /* it stays whole: what is cut out is acknowledged, and not asked for */
        r->run[i++].hi = lo;
        if (splits) {
            put_at(r, i, &rest);
            return;
        }
    }
    uint32_t whole = i;
    while (whole < r->count && r->run[whole].hi <= hi)
        whole++;
    take_out(r, i, whole - i);
    if (i < r->count && r->run[i].lo < hi)
        r->run[i].lo = hi;
}

void resent_add(struct resent *r, const struct resent_run *run, ns_t quantum)
{
    while (r->count > r->room - 2 && !grow(r)) /* a cut may add one, and so does this */
        make_room(r);
    resent_cut(r, run->lo, run->hi);
    uint32_t i = first_beyond(r, run->lo); /* after the cut none holds it */
    struct resent_run *before = i > 0 ? &r->run[i - 1] : NULL;
    if (before != NULL && before->hi == run->lo &&
        time_between(before->first, run->at) <= quantum) {
        before->hi = run->hi;
        before->at = u64_max(before->at, run->at);
    } else {
        put_at(r, i, run);
    }
    UT_CHECK((resent_check(r), true));
}

uint32_t resent_place(const struct resent *r, uint64_t offset) { return first_beyond(r, offset); }

void resent_check(const struct resent *r)
{
    UT_ASSERT(r->count <= r->room && r->room <= RESENT_MAX);
    for (uint32_t i = 0; i < r->count; i++)
        UT_ASSERT(r->run[i].lo < r->run[i].hi && (i == 0 || r->run[i - 1].hi <= r->run[i].lo));
}
