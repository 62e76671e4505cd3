/* text.c: sixth and seventh, the urgent pointer and the segment text (RFC 9293 3.10.7.4), and the
 * decision when to acknowledge (RFC 5681 4.2).
 *
 * Called by arrive.c with a segment trimmed to the window.
 */
#include "tcp/arrive.h"
#include "tcp/steps.h"

void arrive_urgent(struct tcb *t, const struct arrival *a)
{
    if (!(a->seg->flags & TCP_URG) || t->fin_received)
        return;
    /* RFC 9293 3.8.5 (MUST-30, MUST-32): kept in line, the pointer tracked, the user told when it
     * moves forward. A pointer of zero or behind says nothing (attack 2). */
    seq32 up = seq_add(a->seg->seq, a->seg->urp);
    if (!t->urgent_pending)
        t->rcv_up = t->rcv_nxt; /* pulled along, so that it is never half the space behind */
    if (seq_gt(up, t->rcv_up)) {
        t->rcv_up = up;
        t->urgent_pending = true;
        t->events |= TCP_EV_URGENT;
    }
}

/* RFC 2018 4: the run this segment belongs to is told first. */
static void note_recent(struct tcp_trouble *trouble, uint64_t offset)
{
    const struct range *run = ranges_find(&trouble->runs, offset);
    uint64_t kept[UT_COUNTOF(trouble->recent)] = {offset};
    uint32_t n = 1;
    for (uint32_t i = 0; i < trouble->recent_count && n < UT_COUNTOF(kept); i++) {
        const struct range *other = ranges_find(&trouble->runs, trouble->recent[i]);
        if (other != NULL && other != run)
            kept[n++] = trouble->recent[i];
    }
    memcpy(trouble->recent, kept, sizeof kept);
    trouble->recent_count = n;
}

/* RFC 2883 4: of a segment that reaches into what waits out of order, the first part held. */
static void note_overlap(struct tcb *t, const struct arrival *a, uint64_t offset)
{
    const struct ranges *runs = &t->trouble->runs;
    for (uint32_t i = 0; i < runs->count && runs->run[i].lo < offset + a->len; i++) {
        if (runs->run[i].hi <= offset)
            continue;
        uint64_t lo = u64_max(runs->run[i].lo, offset), end = offset + a->len;
        uint64_t hi = u64_min(runs->run[i].hi, end);
        note_duplicate(t, seq_add(a->seq, (uint32_t)(lo - offset)),
                       seq_add(a->seq, (uint32_t)(hi - offset)));
        return;
    }
}

static void owe_ack(struct tcb *t, const struct arrival *a, bool at_once)
{
    uint32_t size = a->seg->gso_size != 0 ? a->seg->gso_size : a->seg->len;
    if (size > t->seen_mss)
        t->seen_mss = (uint16_t)u32_min(size, t->rcv_mss);
    /* RFC 5681 4.2: at once on a gap or when one is filled; at least every second full-sized
     * segment (SHLD-19); else within the delay (MUST-40). */
    bool quick = t->quick_acks > 0;
    t->quick_acks -= quick;
    if (at_once || quick || seq_len(t->rcv_nxt, t->last_ack_sent) >= 2u * t->seen_mss)
        t->ack_now = true;
    else if (t->delack_deadline == TIME_NEVER)
        t->delack_deadline = time_after(a->now, t->env->params.delack);
}

struct tcp_verdict arrive_text(struct tcb *t, const struct arrival *a)
{
    if (t->state != TCP_ESTABLISHED && t->state != TCP_FIN_WAIT_1 && t->state != TCP_FIN_WAIT_2 &&
        t->state != TCP_SYN_RECEIVED)            /* a SYN's text: fast_open_accept */
        return verdict_drop(DROP_tcp_after_fin); /* the peer has sent FIN: there is no more text */
    if (t->user_gone) {
        /* RFC 9293 3.6.1: nobody will read it; the peer is told by RST. */
        struct tcp_verdict v = close_with(t, UT_E_ABORTED);
        v.reason = DROP_tcp_after_close;
        v.reset = true;
        return v;
    }
    struct reasm *r = &t->reasm;
    bool in_order = seq_eq(a->seq, t->rcv_nxt);
    bool had_runs = UT_UNLIKELY(t->trouble != NULL) && !ranges_is_empty(&t->trouble->runs);
    if (UT_UNLIKELY(!in_order) && tcb_trouble(t) == NULL) {
        t->ack_now = true;
        return verdict_drop(DROP_tcp_reasm_full);
    }
    uint64_t before = r->nxt;
    struct reasm_text text = {r->nxt + seq_len(a->seq, t->rcv_nxt), a->data, a->len};
    struct ranges *runs = t->trouble != NULL ? &t->trouble->runs : NULL;
    if (had_runs)
        note_overlap(t, a, text.offset);
    enum drop_reason why = DROP_none;
    if (a->seg->posted == 0 || !reasm_hold(r, &t->env->rcv.posted, runs, &text, a->seg->posted))
        why = reasm_insert(r, &t->env->rcv, runs, &text);
    if (why != DROP_none) {
        t->ack_now = true;
        return verdict_drop(why);
    }
    uint32_t advanced = (uint32_t)(r->nxt - before);
    t->rcv_nxt = seq_add(t->rcv_nxt, advanced);
    if (advanced > 0)
        t->events |= TCP_EV_READABLE;
    else
        note_recent(t->trouble, text.offset);
    owe_ack(t, a, !in_order || had_runs);
    if (had_runs)
        tcb_trouble_release(t);
    return verdict_continue();
}
