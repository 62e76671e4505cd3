/* rack.c: the RACK half of RFC 8985 over ranges. Called by sack.c, recovery.c and timeout.c.
 *
 * At most RANGES_MAX SACKed runs, SENDLOG_MARKS marks and RESENT_MAX retransmitted runs bound the
 * work of one ACK, whatever the peer reports (attack 14). They take memory as they come.
 */
#include "tcp/rack.h"

#include "tcp/note.h"
#include "tcp/options.h"
#include "tcp/sent.h"
#include "tcp/times.h"

/* Bytes [offset, hi) were last sent between `first` and `last`: what shares a mark or a run is not
 * told apart. As delivered they count from the first, as outstanding from the last: so coarseness
 * delays a verdict and never hastens it. */
struct stretch {
    uint64_t hi;
    ns_t first, last;
    bool again; /* it was a retransmission */
};

/* `place`: resent.h. */
static struct stretch stretch_at(const struct tcb *t, uint32_t *place, uint64_t offset,
                                 uint64_t end)
{
    UT_WORK(1);
    const struct resent_run *run = resent_next(&t->trouble->resent, place, offset);
    if (run != NULL && run->lo <= offset)
        return (struct stretch){u64_min(run->hi, end), run->first, run->at, true};
    if (run != NULL)
        end = u64_min(end, run->lo);
    static const struct sendlog none;
    const struct sendlog *log = t->times != NULL ? &t->times->sendlog : &none;
    struct sendlog_time m = sendlog_time(log, tcb_snd_seq(t, offset));
    return (struct stretch){u64_min(end, offset + m.left), m.at, m.last, false};
}

/* RACK_sent_after(): `end` breaks the tie of what left together. */
static bool sent_after(ns_t at, uint64_t end, ns_t than_at, uint64_t than_end)
{
    return at > than_at || (at == than_at && end > than_end);
}

/* Step 2 (8985-04, MUST): the ACK of a retransmission may be that of the original. */
static bool is_ambiguous(const struct tcb *t, ns_t at, const struct tcp_news *n)
{
    const struct tcp_opts *o = &n->seg->opt;
    if (time_between(at, n->now) < (t->rtt.min == TIME_NEVER ? 0 : t->rtt.min))
        return true;
    return t->ts_ok && o->has_ts && (int32_t)(o->ts_ecr - options_ts_now(t->ts_offset, at)) < 0;
}

#define REORDERING_MAX 127u /* of 7 bits */

static void note_reordering(struct tcb *t, uint32_t extent, struct tcp_news *n)
{
    if (!n->reordered && t->rack.reordering_seen < REORDERING_MAX)
        t->rack.reordering_seen++;
    n->reordered = true;
    t->rack.reordering = u32_max(t->rack.reordering, extent);
}

/* Step 2: RACK.rtt is of what this ACK delivers, and of that of what was sent last.
 *
 * DEVIATES RFC 8985 6.2: where the path was seen to reorder, of what was sent first, because what
 * came late tells how late things come, and what has not come yet is else taken for lost. */
static void take_rtt(struct tcb *t, ns_t sent, struct tcp_news *n)
{
    bool is_first = n->rack_sent == 0;
    if (!is_first && (t->rack.reordering_seen ? sent >= n->rack_sent : sent <= n->rack_sent))
        return;
    n->rack_sent = sent;
    t->trouble->rack_rtt = time_between(sent, n->now);
}

void rack_delivered(struct tcb *t, const struct range *run, struct tcp_news *n)
{
    struct tcp_trouble *o = t->trouble;
    for (uint64_t at = run->lo; at < run->hi;) {
        struct stretch s = stretch_at(t, &n->place, at, run->hi);
        /* Step 3: what was sent once and comes after later ones was reordered. */
        if (s.hi > o->fack)
            o->fack = s.hi;
        else if (s.hi < o->fack && !s.again)
            note_reordering(t, (uint32_t)(o->fack - at), n);
        n->original |= !s.again && s.hi <= t->recovery_point;
        at = s.hi;
        if (s.again && is_ambiguous(t, s.first, n))
            continue;
        if (!s.again)
            o->once_end = u64_max(o->once_end, s.hi);
        take_rtt(t, s.first, n);
        if (o->rack_at == 0 || sent_after(s.first, s.hi, o->rack_at, o->rack_end)) {
            o->rack_at = s.first; /* step 1 (8985-03): the latest sent that was delivered */
            o->rack_end = s.hi;
            o->rack_again = s.again;
        }
    }
}

void rack_forget(struct tcb *t, uint64_t lo, uint64_t hi)
{
    ranges_remove(&t->trouble->lost, lo, hi);
    resent_cut(&t->trouble->resent, lo, hi);
}

void rack_on_dsack(struct tcb *t, const struct tcp_news *n)
{
    struct tcp_rack *r = &t->rack;
    if (r->has_dsack_round && seq_geq(t->snd_una, r->dsack_round))
        r->has_dsack_round = false;
    if (!n->has_dsack || r->has_dsack_round)
        return;
    /* 8985-08: one step per round, kept for 16 recoveries. */
    r->has_dsack_round = true;
    r->dsack_round = t->snd_nxt;
    if (r->reo_wnd_mult < UINT8_MAX)
        r->reo_wnd_mult++;
    r->reo_wnd_persist = 16;
}

void rack_on_recovered(struct tcb *t)
{
    struct tcp_rack *r = &t->rack;
    if (r->reo_wnd_persist > 0 && --r->reo_wnd_persist == 0)
        r->reo_wnd_mult = 1;
}

/* How many segments the SACKed bytes are, at least. */
static uint32_t segs_sacked(const struct tcb *t)
{
    const struct ranges *s = &t->trouble->sacked;
    uint32_t mss = t->snd_mss, segs = 0;
    for (uint32_t i = 0; i < s->count && segs < DUP_THRESH; i++)
        segs += (uint32_t)u64_min(DUP_THRESH, (s->run[i].hi - s->run[i].lo + mss - 1) / mss);
    return u32_max(segs, t->dup_acks); /* small segments: each was reported by an ACK of its own */
}

ns_t rack_reo_wnd(const struct tcb *t)
{
    /* 8985-05 */
    if (!t->rack.reordering_seen) {
        if (t->recovery_mode != RECOVERY_NONE)
            return 0;
        if (t->trouble != NULL && segs_sacked(t) >= DUP_THRESH)
            return 0;
    }
    if (t->rtt.min == TIME_NEVER)
        return 0;
    /* 8985-06, 8985-07 */
    return u64_min(t->rack.reo_wnd_mult * (t->rtt.min / 4), t->rtt.srtt);
}

/* Nothing of [lo, hi) is SACKed. */
static bool take_for_lost(struct tcb *t, const struct range *run, enum tcp_note why, ns_t now)
{
    uint64_t lo = run->lo, hi = run->hi;
    if (!ranges_add(&t->trouble->lost, lo, hi))
        return false;
    if (t->cc.wants_log)
        sent_note_lost(t, lo, hi, now);
    tcp_note(t, why, lo, hi);
    return true;
}

/* Sent before RACK.segment, as far as the clock can tell: what left together goes by the order of
 * bytes, as does what was sent once. Shortens *s to what was. */
static bool sent_before(const struct tcp_trouble *o, uint64_t lo, struct stretch *s)
{
    if (s->again != o->rack_again) {
        if (s->last < o->rack_at)
            return true;
        /* A retransmission that left while this mark was filled: the order of bytes still tells. */
        s->hi = u64_min(s->hi, o->once_end);
        return !s->again && lo < s->hi;
    }
    if (s->first == o->rack_at || (s->again && s->last == o->rack_at)) {
        s->hi = u64_min(s->hi, o->rack_end);
        s->last = s->again ? s->last : s->first;
        return lo < s->hi;
    }
    return s->last <= o->rack_at;
}

/* Through what is in flight, in order. */
struct walk {
    ns_t now, wait;
    uint32_t place; /* resent.h */
};

/* Step 5 for bytes neither SACKed nor lost. */
static bool judge(struct tcb *t, const struct range *gap, struct walk *w)
{
    struct tcp_trouble *o = t->trouble;
    bool found = false;
    for (uint64_t at = gap->lo; at < gap->hi;) {
        struct stretch s = stretch_at(t, &w->place, at, gap->hi);
        uint64_t lo = at;
        at = s.hi;
        if (!sent_before(o, lo, &s))
            continue;
        /* Where a round trip takes no time, what was sent again this instant would be lost with
         * every ACK, and sent again: two ends could go on so for ever. */
        ns_t due = time_after(s.last, s.again && w->wait == 0 ? NS_PER_MS : w->wait);
        if (due > w->now)
            o->reorder_due = u64_max(o->reorder_due, due); /* 8985-09 */
        else
            found |= take_for_lost(t, &(struct range){lo, s.hi}, NOTE_LOST, w->now);
    }
    return found;
}

bool rack_detect(struct tcb *t, ns_t now)
{
    struct tcp_trouble *o = t->trouble;
    if (o == NULL)
        return false;
    o->reorder_due = 0;
    if (o->rack_at == 0)
        return false;
    bool found = false;
    struct walk w = {now, time_after(o->rack_rtt, rack_reo_wnd(t)), 0};
    /* One walk through both sets: there may be hundreds of holes, and every ACK looks at them. */
    const struct ranges *sacked = &o->sacked, *lost = &o->lost;
    uint64_t from = tcb_una_offset(t), end = tcb_nxt_offset(t);
    for (uint32_t i = 0, j = 0; i <= sacked->count; i++) {
        uint64_t hi = i < sacked->count ? sacked->run[i].lo : end;
        while (from < hi) {
            UT_WORK(1);
            while (j < lost->count && lost->run[j].hi <= from)
                j++;
            bool is_known = j < lost->count && lost->run[j].lo <= from;
            struct range gap = {from, hi};
            if (is_known)
                gap.hi = u64_min(hi, lost->run[j].hi);
            else if (j < lost->count)
                gap.hi = u64_min(hi, lost->run[j].lo);
            from = gap.hi;
            if (is_known)
                continue;
            found |= judge(t, &gap, &w);
            j = j > 0 ? j - 1 : 0; /* what it found may have joined the run before */
        }
        from = i < sacked->count ? sacked->run[i].hi : end;
    }
    return found;
}

/* More is lost than there are runs for: what is beyond is forgotten as SACKed and sent again as a
 * whole (RFC 2018 5.1 would forget all of it). */
static void give_up_from(struct tcp_trouble *o, uint64_t end)
{
    uint64_t from = o->lost.run[o->lost.count - 1].hi;
    while (o->sacked.count > 0 && o->sacked.run[o->sacked.count - 1].hi > from)
        o->sacked.count--;
    o->lost.run[o->lost.count - 1].hi = end;
    o->fack = u64_min(o->fack, from);
    o->once_end = u64_min(o->once_end, from);
}

void rack_lose(struct tcb *t, const struct range *run)
{
    struct tcp_trouble *o = t->trouble;
    struct range hole;
    for (uint64_t at = run->lo; ranges_next_gap(&o->sacked, at, run->hi, &hole); at = hole.hi) {
        if (ranges_add(&o->lost, hole.lo, hole.hi))
            continue;
        give_up_from(o, run->hi);
        return;
    }
}

void rack_on_rto(struct tcb *t, ns_t now)
{
    struct tcp_trouble *o = t->trouble;
    if (o == NULL)
        return;
    /* 8985-11: the first, and of the others those sent long enough ago. */
    ns_t rtt = o->rack_at != 0 ? o->rack_rtt : t->rtt.srtt;
    ns_t wait = time_after(rtt, rack_reo_wnd(t));
    uint64_t una = tcb_una_offset(t), end = tcb_nxt_offset(t);
    struct range hole;
    uint32_t place = 0;
    o->reorder_due = 0;
    for (uint64_t at = una; ranges_next_gap(&o->sacked, at, end, &hole); at = hole.hi) {
        for (uint64_t from = hole.lo; from < hole.hi;) {
            struct stretch s = stretch_at(t, &place, from, hole.hi);
            bool is_old = time_after(s.last, wait) <= now;
            uint64_t hi = is_old ? s.hi : u64_min(s.hi, una + t->snd_mss);
            if ((is_old || from == una) &&
                !take_for_lost(t, &(struct range){from, hi}, NOTE_LOST_BY_RTO, now)) {
                give_up_from(o, end);
                return;
            }
            from = s.hi;
        }
    }
}
