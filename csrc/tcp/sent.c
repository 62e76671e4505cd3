/* sent.c: keeping the log of what is in flight. Invariants in sent.h.
 *
 * Called by output.c (what leaves), ack.c and sack.c (what arrived), recovery.c (what is lost).
 */
#include "tcp/sent.h"

#include "tcp/recovery.h"

static struct sent_log *log_open(struct tcb *t, uint64_t lo)
{
    if (UT_LIKELY(t->log != NULL))
        return t->log;
    t->log = pool_take(&t->env->sent, &t->log_index);
    if (t->log != NULL) {
        t->log->lo = lo;
        t->log->head = t->log->count = 0;
        t->log->has_newest = false;
        t->log->newest_once = 0;
    }
    return t->log;
}

void sent_forget(struct tcb *t)
{
    if (t->log == NULL)
        return;
    pool_put(&t->env->sent, t->log_index);
    pool_trim(&t->env->sent);
    t->log = NULL;
    t->log_index = POOL_NONE;
}

/* What the sampler wants to know when the run is acknowledged: draft-ietf-ccwg-bbr-06 4.1.2.2. */
static void stamp(const struct tcb *t, struct sent_run *run, uint32_t len, ns_t now)
{
    const struct tcp_rate *r = &t->rate;
    run->sent_at = now;
    run->first_sent_at = r->first_sent_at;
    run->delivered_at = r->delivered_at;
    run->delivered = r->delivered;
    run->lost = (uint32_t)r->lost;
    run->app_limited = r->app_limited != 0;
    run->is_lost = run->is_spread = run->is_delivered = false;
    run->tx_in_flight = cc_wants_rate(&t->cc) ? recovery_pipe(t) + len : 0;
}

/* Whether bytes leaving now may join the last run: of the same instant, or when room gets short. */
static bool may_join(const struct tcb *t, const struct sent_log *log, uint64_t hi, ns_t now)
{
    if (log->count == 0)
        return false;
    if (log->count == SENT_RUNS)
        return true;
    const struct sent_run *last = &log->at[(log->head + log->count - 1) % SENT_RUNS];
    if (last->retransmitted || last->is_lost || last->is_delivered ||
        last->app_limited != (t->rate.app_limited != 0))
        return false;
    if (last->sent_at == now)
        return true;
    return log->count >= SENT_RUNS / 2 &&
           hi - sent_lo(log, log->count - 1) <= (hi - log->lo) / (SENT_RUNS / 2);
}

void sent_note_new(struct tcb *t, uint64_t lo, uint64_t hi, ns_t now)
{
    struct sent_log *log = log_open(t, lo);
    if (tcb_flight(t) == 0)
        t->rate.first_sent_at = t->rate.delivered_at = now; /* a new flight: 4.1.2.2 */
    if (log == NULL)
        return;
    if (may_join(t, log, hi, now)) {
        struct sent_run *last = sent_at(log, log->count - 1);
        last->hi = hi;
        last->is_spread |= last->sent_at != now;
        last->sent_at = now;
        return;
    }
    struct sent_run *run = sent_at(log, log->count++);
    run->hi = hi;
    run->retransmitted = false;
    stamp(t, run, (uint32_t)(hi - lo), now);
}

/* Run i ends at `at` and a copy of it begins there. False: no room. */
static bool split(struct sent_log *log, uint32_t i, uint64_t at)
{
    if (log->count == SENT_RUNS)
        return false;
    log->head = (log->head + SENT_RUNS - 1) % SENT_RUNS;
    log->count++;
    for (uint32_t k = 0; k <= i; k++)
        *sent_at(log, k) = *sent_at(log, k + 1);
    sent_at(log, i)->hi = at;
    return true;
}

/* Run i and the one before it become one, as run i is. */
static void join_before(struct sent_log *log, uint32_t i)
{
    for (uint32_t k = i - 1; k > 0; k--)
        *sent_at(log, k) = *sent_at(log, k - 1);
    log->head = (log->head + 1) % SENT_RUNS;
    log->count--;
}

uint32_t sent_find(const struct sent_log *log, uint64_t offset)
{
    uint32_t lo = 0, hi = log->count;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (log->at[(log->head + mid) % SENT_RUNS].hi <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

void sent_note_again(struct tcb *t, uint64_t lo, uint64_t hi, ns_t now)
{
    struct sent_log *log = t->log;
    for (uint32_t i = sent_find(log, lo); i < log->count && sent_lo(log, i) < hi; i++) {
        if (sent_lo(log, i) < lo && split(log, i, lo))
            continue; /* what is sent again is the next */
        struct sent_run *run = sent_at(log, i);
        bool whole = sent_lo(log, i) >= lo && (run->hi <= hi || split(log, i, hi));
        run = sent_at(log, i);
        run->retransmitted = true;
        if (whole)
            stamp(t, run, (uint32_t)(run->hi - sent_lo(log, i)), now);
    }
}

/* Part of a run has reached the peer. */
static void run_delivered(struct sent_log *log, const struct sent_run *run, uint64_t upto)
{
    if (!run->retransmitted && (upto == run->hi || !run->is_spread))
        log->newest_once = u64_max(log->newest_once, run->sent_at);
    /* IsNewestPacket of 4.1.2.3: the latest sent, then the highest. */
    if (!log->has_newest || run->sent_at > log->newest.sent_at ||
        (run->sent_at == log->newest.sent_at && run->hi > log->newest.hi)) {
        log->has_newest = true;
        log->newest = *run;
    }
}

/* [lo, hi) within run i is at the peer, above what is missing. Returns the run that follows. */
static uint32_t set_delivered(struct sent_log *log, uint32_t i, uint64_t lo, uint64_t hi)
{
    if (lo > sent_lo(log, i)) {
        if (!split(log, i, lo))
            return i + 1;
        i++;
    }
    bool follows = i > 0 && sent_at(log, i - 1)->is_delivered;
    if (hi < sent_at(log, i)->hi) {
        if (follows)
            sent_at(log, i - 1)->hi = hi;
        if (follows || !split(log, i, hi))
            return i + 1;
    }
    sent_at(log, i)->is_delivered = true;
    if (follows)
        join_before(log, i--);
    if (i + 1 < log->count && sent_at(log, i + 1)->is_delivered)
        join_before(log, i + 1);
    return i + 1;
}

void sent_note_delivered(struct tcb *t, uint64_t lo, uint64_t hi)
{
    struct sent_log *log = t->log;
    bool in_order = lo <= log->lo; /* sent_advance follows */
    for (uint32_t i = in_order ? 0 : sent_find(log, lo); i < log->count;) {
        const struct sent_run *run = sent_at(log, i);
        uint64_t from = u64_max(lo, sent_lo(log, i)), upto = u64_min(hi, run->hi);
        if (from >= hi)
            return;
        bool known = !run->is_delivered;
        if (known)
            run_delivered(log, run, upto);
        i = known && !in_order ? set_delivered(log, i, from, upto) : i + 1;
    }
}

ns_t sent_rtt(struct tcb *t, ns_t now)
{
    struct sent_log *log = t->log;
    if (log == NULL || log->newest_once == 0)
        return 0;
    ns_t rtt = time_between(log->newest_once, now);
    log->newest_once = 0;
    return rtt;
}

void sent_note_lost(struct tcb *t, uint64_t lo, uint64_t hi, ns_t now)
{
    struct sent_log *log = t->log;
    uint32_t i = log != NULL ? sent_find(log, lo) : 0;
    for (uint64_t at = lo; at < hi;) {
        struct sent_run *run = log != NULL && i < log->count ? sent_at(log, i++) : NULL;
        uint64_t upto = run != NULL ? u64_min(hi, run->hi) : hi;
        uint64_t bytes = upto - at;
        at = upto;
        t->rate.lost += bytes;
        if (run == NULL || bytes == 0 || run->is_delivered)
            continue;
        run->is_lost = true;
        cc_on_lost(&t->cc, &(struct cc_lost){.now = now,
                                             .bytes = (uint32_t)bytes,
                                             .mss = t->snd_mss,
                                             .lost_since = (uint32_t)t->rate.lost - run->lost,
                                             .tx_in_flight = run->tx_in_flight,
                                             .is_app_limited = run->app_limited});
    }
}

void sent_advance(struct tcb *t, uint64_t una)
{
    struct sent_log *log = t->log;
    while (log->count > 0 && sent_at(log, 0)->hi <= una) {
        log->head = (log->head + 1) % SENT_RUNS;
        log->count--;
    }
    log->lo = u64_max(log->lo, una);
}

void sent_check(const struct tcb *t)
{
    const struct sent_log *log = t->log;
    if (log == NULL || t->state == TCP_CLOSED)
        return;
    UT_CHECK(log->count <= SENT_RUNS && log->head < SENT_RUNS);
    for (uint32_t i = 0; i < log->count; i++)
        UT_CHECK(sent_lo(log, i) < log->at[(log->head + i) % SENT_RUNS].hi);
    for (uint32_t i = 1; i < log->count; i++)
        UT_CHECK(!log->at[(log->head + i) % SENT_RUNS].is_delivered ||
                 !log->at[(log->head + i - 1) % SENT_RUNS].is_delivered);
    UT_CHECK(log->lo >= tcb_una_offset(t) && sent_lo(log, log->count) <= tcb_nxt_offset(t));
}
