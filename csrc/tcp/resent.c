/* resent.c: times of retransmissions (RFC 8985 4 and 6.1). Called by rack.c and recovery.c.
 */
#include "tcp/resent.h"

static void take_out(struct resent *r, uint32_t i)
{
    r->count--;
    memmove(&r->run[i], &r->run[i + 1], (r->count - i) * sizeof r->run[0]);
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
        take_out(r, oldest); /* as if sent once: at worst it is sent again too early */
        return;
    }
    r->run[best - 1].hi = r->run[best].hi;
    r->run[best - 1].at = u64_max(r->run[best - 1].at, r->run[best].at);
    r->run[best - 1].first = u64_min(r->run[best - 1].first, r->run[best].first);
    take_out(r, best);
}

static void put_at(struct resent *r, uint32_t i, const struct resent_run *run)
{
    memmove(&r->run[i + 1], &r->run[i], (r->count - i) * sizeof r->run[0]);
    r->run[i] = *run;
    r->count++;
}

void resent_cut(struct resent *r, uint64_t lo, uint64_t hi)
{
    for (uint32_t i = 0; i < r->count;) {
        struct resent_run *run = &r->run[i];
        if (run->hi <= lo || run->lo >= hi) {
            i++;
        } else if (run->lo >= lo && run->hi <= hi) {
            take_out(r, i);
        } else if (run->lo < lo && run->hi > hi) {
            struct resent_run rest = {hi, run->hi, run->first, run->at};
            if (r->count == RESENT_MAX)
                return; /* it stays whole: what is cut out is acknowledged, and not asked for */
            run->hi = lo;
            put_at(r, i + 1, &rest);
            return;
        } else {
            if (run->lo < lo)
                run->hi = lo;
            else
                run->lo = hi;
            i++;
        }
    }
}

void resent_add(struct resent *r, const struct resent_run *run, ns_t quantum)
{
    while (r->count > RESENT_MAX - 2) /* a cut may add one, and so does this */
        make_room(r);
    resent_cut(r, run->lo, run->hi);
    uint32_t i = 0;
    while (i < r->count && r->run[i].lo < run->lo)
        i++;
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

const struct resent_run *resent_from(const struct resent *r, uint64_t offset)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->run[i].hi > offset)
            return &r->run[i];
    return NULL;
}

void resent_check(const struct resent *r)
{
    UT_ASSERT(r->count <= RESENT_MAX);
    for (uint32_t i = 0; i < r->count; i++)
        UT_ASSERT(r->run[i].lo < r->run[i].hi && (i == 0 || r->run[i - 1].hi <= r->run[i].lo));
}
