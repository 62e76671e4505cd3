/* arrive.c: SEGMENT ARRIVES for synchronized states and SYN-RECEIVED: the walk, and steps one to
 * four (sequence, RST, SYN; with RFC 5961 and RFC 7323's PAWS). RFC 9293 3.10.7.4.
 */
#include "tcp/arrive.h"

#include "tcp/accecn.h"
#include "tcp/ecn.h"
#include "tcp/steps.h"
#include "tcp/timers.h"

#define PAWS_STALE (24 * 24 * 3600 * NS_PER_S) /* RFC 7323 5.5: ts_recent of an idle connection */

struct tcp_verdict close_with(struct tcb *t, int error)
{
    t->error = error;
    t->events |= TCP_EV_CLOSED | TCP_EV_READABLE;
    timers_stop_all(t);
    t->ack_now = t->syn_queued = t->rexmt_now = t->probe_now = t->rack.tlp_now = false;
    /* What the peer will never acknowledge is given back at once; what it sent stays readable. */
    sendq_free_all(&t->sendq, &t->env->snd_rings);
    tcp_set_state(t, TCP_CLOSED);
    return verdict_of(VERDICT_CLOSED);
}

void note_duplicate(struct tcb *t, seq32 lo, seq32 hi)
{
    if (!t->sack_ok || t->dsack_due)
        return; /* RFC 2883 4: one block; the oldest not yet told */
    uint32_t back = seq_lt(lo, t->rcv_nxt) ? seq_len(t->rcv_nxt, lo) : 0;
    if (back > t->reasm.nxt)
        return; /* before the first byte there was */
    t->dsack_lo = lo;
    t->dsack_hi = seq_lt(lo, t->rcv_nxt) && seq_gt(hi, t->rcv_nxt) ? t->rcv_nxt : hi;
    t->dsack_due = true;
}

bool challenge_may_leave(struct tcb *t, ns_t now)
{
    /* RFC 5961 7: per connection, so that one connection's budget says nothing of another's
     * (attack 18); the limit varies per window. */
    if (t->challenge_count == 0 || time_between(t->challenge_since, now) >= NS_PER_S) {
        t->challenge_since = now;
        uint32_t limit = t->env->params.challenge_ack_limit;
        t->challenge_count = limit / 2 + rand_below(t->env->rand, limit + 1) + 1;
    }
    if (t->challenge_count == 1)
        return false;
    t->challenge_count--;
    return true;
}

static struct tcp_verdict challenge(struct tcb *t, ns_t now, enum drop_reason why)
{
    if (!challenge_may_leave(t, now)) {
        tcp_count_drop(t->env, DROP_tcp_challenge_limited);
        return verdict_drop(why);
    }
    t->challenge_acks++;
    t->ack_now = true;
    return verdict_drop(why);
}

/* An unacceptable segment is answered with an ACK (RFC 9293 3.10.7.4, first); segments without data
 * share the challenge budget, or two desynchronised ends would never stop (attack 44). */
static struct tcp_verdict not_acceptable(struct tcb *t, const struct arrival *a,
                                         enum drop_reason why)
{
    if (a->seg->flags & TCP_RST)
        return verdict_drop(why == DROP_tcp_seq_outside ? DROP_tcp_rst_outside : why);
    if (a->seg->len == 0 && !(a->seg->flags & (TCP_SYN | TCP_FIN)) &&
        !challenge_may_leave(t, a->now)) {
        tcp_count_drop(t->env, DROP_tcp_ack_limited);
        return verdict_drop(why);
    }
    if (why == DROP_tcp_seq_outside && a->seg->len > 0 && seq_lt(a->seg->seq, t->rcv_nxt))
        note_duplicate(t, a->seg->seq, seq_add(a->seg->seq, a->seg->len));
    if (a->seg->flags & TCP_SYN)
        accecn_synack_again(t, a->seg);
    t->ack_now = true;
    return verdict_drop(why);
}

/* RFC 7323 5.3 R1: before the sequence number is looked at. */
static struct tcp_verdict arrive_paws(struct tcb *t, const struct arrival *a)
{
    const struct tcp_seg *seg = a->seg;
    if (!t->ts_ok || (seg->flags & TCP_RST))
        return verdict_continue();
    if (!seg->opt.has_ts)
        return verdict_drop(DROP_tcp_no_timestamp); /* RFC 7323 3.2 */
    if ((int32_t)(seg->opt.ts_val - t->ts_recent) >= 0)
        return verdict_continue();
    if (time_between(t->ts_recent_at, a->now) > PAWS_STALE) {
        t->ts_recent = seg->opt.ts_val;
        t->ts_recent_at = a->now;
        return verdict_continue();
    }
    return not_acceptable(t, a, DROP_tcp_paws);
}

/* RFC 9293 3.10.7.4, first: the four cases of acceptability, then trimming to the window. */
static struct tcp_verdict arrive_sequence(struct tcb *t, struct arrival *a)
{
    const struct tcp_seg *seg = a->seg;
    uint32_t len = seg_len(seg);
    uint32_t wnd = seq_len(t->rcv_adv, t->rcv_nxt);
    bool first_in = wnd > 0 ? seq_in(seg->seq, t->rcv_nxt, wnd) : seq_eq(seg->seq, t->rcv_nxt);
    bool last_in = len > 0 && wnd > 0 && seq_in(seq_add(seg->seq, len - 1), t->rcv_nxt, wnd);
    if (wnd == 0 && len > 0 && first_in && !(seg->flags & TCP_SYN)) {
        /* RFC 9293 3.4 (MUST-66): a closed window still takes ACK, URG and RST; EV-24: the probe is
         * answered. */
        a->len = 0;
        a->fin = false;
        a->owes_ack = true;
        return verdict_continue();
    }
    if (!first_in && !last_in) {
        /* A window crossed from end to end by one segment: neither edge inside, data is. Told by
         * lengths: half the sequence space away "before" and "after" mean nothing. */
        bool spans = wnd > 0 && seq_in(t->rcv_nxt, seg->seq, len) &&
                     seq_in(seq_sub(t->rcv_adv, 1), seg->seq, len);
        if (!spans)
            return not_acceptable(t, a, DROP_tcp_seq_outside);
    }
    if (seq_lt(a->seq, t->rcv_nxt)) { /* old bytes at the front, a SYN among them */
        uint32_t old = seq_len(t->rcv_nxt, a->seq);
        uint32_t syn = seg->flags & TCP_SYN ? 1 : 0;
        uint32_t cut = u32_min(a->len, old - syn);
        if (cut > 0)
            note_duplicate(t, seq_add(seg->seq, syn), seq_add(seg->seq, syn + cut));
        a->data += cut;
        a->len -= cut;
        a->seq = t->rcv_nxt;
        a->owes_ack = true; /* it is a duplicate in part: RFC 5681 4.2 */
    }
    if (a->len > 0 || a->fin) {
        uint32_t room = seq_len(t->rcv_adv, a->seq);
        if (a->len > room) { /* beyond the right edge, and the FIN with it */
            a->len = room;
            a->fin = false;
            tcp_count_drop(t->env, DROP_tcp_window_overrun);
        }
    }
    return verdict_continue();
}

/* Second: RST (RFC 9293 3.10.7.4 with RFC 5961 3.2). */
static struct tcp_verdict arrive_rst(struct tcb *t, const struct arrival *a)
{
    if (!(a->seg->flags & TCP_RST))
        return verdict_continue();
    if (!seq_eq(a->seg->seq, t->rcv_nxt)) {
        /* Its own number counts, not that of the text or SYN with it. */
        if (!seq_in(a->seg->seq, t->rcv_nxt, seq_len(t->rcv_adv, t->rcv_nxt)))
            return verdict_drop(DROP_tcp_rst_outside);
        return challenge(t, a->now, DROP_tcp_rst_challenged);
    }
    switch (t->state) {
    case TCP_SYN_RECEIVED:
        /* MUST-11: a passive open that gets here has a user already, RFC 7413. */
        return close_with(t, t->passive ? UT_E_RESET : UT_E_REFUSED);
    case TCP_CLOSING:
    case TCP_LAST_ACK:
        return close_with(t, 0); /* both sides had closed: nothing is lost */
    default:
        return close_with(t, UT_E_RESET);
    }
}

/* Fourth: SYN (RFC 5961 4.2). */
static struct tcp_verdict arrive_syn(struct tcb *t, struct arrival *a)
{
    if (!(a->seg->flags & TCP_SYN))
        return verdict_continue();
    return challenge(t, a->now, DROP_tcp_syn_challenged);
}

/* RFC 9293 3.5 figure 7: in a simultaneous open the SYN,ACK that crosses ours repeats the peer's
 * SYN, one left of the window, and completes the handshake. */
static bool completes_simultaneous_open(const struct tcb *t, const struct tcp_seg *seg)
{
    return !t->passive && (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK) &&
           seq_eq(seg->seq, t->irs) && seq_gt(seg->ack, t->iss) && seq_leq(seg->ack, t->snd_nxt);
}

/* RFC 7413: the SYN again, so our answer was lost; with or without its data. */
static bool repeats_syn(const struct tcb *t, const struct tcp_seg *seg)
{
    return t->passive && (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
           seq_eq(seg->seq, t->irs);
}

/* RFC 7323 4.3 (3): a segment that reaches back to the last ACK carries the timestamp to echo. */
static void note_timestamp(struct tcb *t, const struct arrival *a)
{
    const struct tcp_opts *o = &a->seg->opt;
    if (t->ts_ok && o->has_ts && (int32_t)(o->ts_val - t->ts_recent) >= 0 &&
        seq_leq(a->seg->seq, t->last_ack_sent)) {
        t->ts_recent = o->ts_val;
        t->ts_recent_at = a->now;
    }
}

static struct tcp_verdict arrive_checked(struct tcb *t, struct arrival *a)
{
    struct tcp_verdict v = arrive_paws(t, a);
    if (v.kind != VERDICT_CONTINUE)
        return v;
    v = arrive_sequence(t, a);
    if (v.kind != VERDICT_CONTINUE)
        return v;
    v = arrive_rst(t, a);
    if (v.kind != VERDICT_CONTINUE)
        return v;
    return arrive_syn(t, a);
}

/* A FIN before text that is held contradicts what came first; believed, the text would carry
 * RCV.NXT past it, and the stream would never end. */
static bool fin_is_the_end(const struct tcb *t, seq32 fin)
{
    if (t->trouble == NULL || ranges_is_empty(&t->trouble->runs))
        return true;
    const struct ranges *runs = &t->trouble->runs;
    uint64_t held = runs->run[runs->count - 1].hi;
    return seq_geq(fin, seq_add(t->irs, (uint32_t)(held + 1)));
}

/* 9768-11 (MUST) */
static struct tcp_verdict ecn_mixed(struct tcb *t)
{
    struct tcp_verdict v = close_with(t, UT_E_RESET);
    v.reason = DROP_tcp_ecn_mixed;
    v.reset = true;
    return v;
}

static struct tcp_verdict syn_again(struct tcb *t, const struct tcp_seg *syn)
{
    if (!ecn_learn_again(t, syn))
        return ecn_mixed(t);
    t->syn_queued = true;
    return verdict_drop(DROP_tcp_syn_again);
}

static struct tcp_verdict arrive_walk(struct tcb *t, struct arrival *a)
{
    struct tcp_verdict v;
    bool opening = UT_UNLIKELY(t->state == TCP_SYN_RECEIVED);
    if (opening && repeats_syn(t, a->seg))
        return syn_again(t, a->seg);
    if (opening && completes_simultaneous_open(t, a->seg)) {
        if (!ecn_learn_crossing(t, a->seg))
            return ecn_mixed(t);
        a->seq = t->rcv_nxt;
        v = verdict_continue();
    } else {
        v = arrive_checked(t, a);
    }
    if (v.kind != VERDICT_CONTINUE)
        return v;
    if (!(a->seg->flags & TCP_ACK))
        return verdict_drop(DROP_tcp_no_ack_bit);
    v = arrive_ack(t, a);
    if (v.kind != VERDICT_CONTINUE)
        return v;
    if (UT_UNLIKELY(a->owes_ack))
        t->ack_now = true;
    note_timestamp(t, a); /* not before the ACK is believed: attack 31 */
    arrive_urgent(t, a);
    if (a->fin && !t->peer_fin_known && fin_is_the_end(t, seq_add(a->seq, a->len))) {
        t->peer_fin_known = true; /* kept, should bytes before it be missing (SHLD-31) */
        t->peer_fin = seq_add(a->seq, a->len);
    }
    if (a->len > 0 && t->peer_fin_known && seq_gt(seq_add(a->seq, a->len), t->peer_fin)) {
        /* Bytes after the end of the stream are nobody's. */
        a->len = seq_lt(a->seq, t->peer_fin) ? seq_len(t->peer_fin, a->seq) : 0;
        tcp_count_drop(t->env, DROP_tcp_after_fin);
    }
    if (a->len > 0) {
        v = arrive_text(t, a);
        if (v.kind != VERDICT_CONTINUE)
            return v;
    }
    return t->peer_fin_known && !t->fin_received ? arrive_fin(t, a) : v;
}

struct tcp_verdict tcp_arrive(struct tcb *t, const struct tcp_seg *seg, ns_t now)
{
    struct tcp_verdict v;
    t->segs_in++;
    t->keepalive.heard = now;
    if (seg->len > 0)
        t->data_segs_in++;
    if (t->state == TCP_SYN_SENT) {
        v = arrive_syn_sent(t, seg, now);
    } else {
        UT_ASSERT(t->state >= TCP_SYN_RECEIVED && t->state != TCP_TIME_WAIT);
        struct arrival a = {seg, seg->seq, seg->data, seg->len, seg->flags & TCP_FIN, false, now};
        v = arrive_walk(t, &a);
    }
    if (v.reason != DROP_none)
        tcp_count_drop(t->env, v.reason);
    tcb_check(t);
    return v;
}

bool tcp_icmp_error(struct tcb *t, seq32 seq, int error, bool hard)
{
    /* RFC 5927 4.1: the quoted segment must be in flight. */
    if (!seq_in(seq, t->snd_una, tcb_flight(t)))
        return false;
    bool opening = t->state == TCP_SYN_SENT || (t->state == TCP_SYN_RECEIVED && !t->passive);
    if (!hard || !opening) {
        t->soft_error = error; /* RFC 5927 5.2: soft once synchronized; RFC 9293 MUST-47 */
        return false;
    }
    close_with(t, error);
    return true;
}
