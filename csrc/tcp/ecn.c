/* ecn.c: RFC 3168 6.1, both roles; what differs with RFC 9768 is in accecn.c. Called by the opening
 * steps, ack.c, output.c and recovery.c.
 */
#include "tcp/ecn.h"

#include "tcp/accecn.h"
#include "tcp/accecn_option.h"
#include "tcp/half.h"
#include "tcp/note.h"
#include "tcp/output.h"
#include "tcp/prr.h"
#include "tcp/steps.h"

#define SETUP_SYN (TCP_ECE | TCP_CWR)
#define SETUP_SYNACK TCP_ECE

static uint16_t setup_flags(const struct tcp_seg *seg) { return seg->flags & (TCP_ECE | TCP_CWR); }

/* ---- opening (6.1.1; RFC 9768 3.1) ----------------------------------------------------------- */

enum ecn_mode ecn_wish(const struct tcp_params *p)
{
    if (p->ecn == ECN_ACCURATE_ASK)
        return ECN_ACCURATE;
    return p->ecn == ECN_ASK || p->ecn == ECN_ACCURATE_ACCEPT ? ECN_CLASSIC : ECN_NONE;
}

enum ecn_mode ecn_best(const struct tcp_params *p)
{
    return ecn_knows_accurate(p->ecn) ? ECN_ACCURATE : ECN_CLASSIC;
}

enum ecn_mode ecn_accept(const struct tcp_params *p, const struct tcp_seg *syn)
{
    uint16_t flags = syn->flags & TCP_FLAGS_ECN;
    if (p->ecn == ECN_OFF || flags == 0)
        return ECN_NONE;
    /* 9768-01, 9768-06, 9768-08 (MUST): AE or a combination not known asks for RFC 9768. */
    if (ecn_knows_accurate(p->ecn) && flags != SETUP_SYN)
        return ECN_ACCURATE;
    /* A SYN never has a codepoint (3168-02): on that way the field says nothing of routers. With
     * RFC 9768 it may have one. */
    return setup_flags(syn) == SETUP_SYN && (syn->ip_ecn == ECN_NOT_ECT || (flags & TCP_AE))
               ? ECN_CLASSIC
               : ECN_NONE;
}

uint16_t ecn_syn_flags(struct tcb *t, bool with_ack)
{
    if (with_ack) {
        if (t->ecn.accurate)
            return accecn_code(t->ecn.syn_ecn);
        return t->ecn.on ? SETUP_SYNACK : 0;
    }
    if (t->ecn.asks == ECN_NONE)
        return 0; /* 3168-04 */
    /* RFC 3168 6.1.1.1 (MAY): there are boxes that drop a SYN with these flags; without them from
     * the first retransmission on, as Linux does. 9768-09: the first retransmission has them. */
    t->ecn.fell_back = t->ecn.asks == ECN_ACCURATE ? t->syn_tries > 1 : t->syn_retransmitted;
    if (t->ecn.fell_back)
        return 0;
    return t->ecn.asks == ECN_ACCURATE ? TCP_FLAGS_ECN : SETUP_SYN;
}

static void begin(struct tcb *t, bool ect)
{
    t->ecn.on = true;
    t->ecn.ect = ect;
    t->ecn.barred = !ect;
}

void ecn_begin_from_half(struct tcb *t, const struct tcp_half *half)
{
    if (half->ecn == ECN_CLASSIC)
        begin(t, !half->barred);
    if (half->ecn != ECN_ACCURATE)
        return;
    accecn_begin(t, !half->barred);
    t->ecn.opening = true;
    t->ecn.syn_ecn = half->syn_ecn & 3u; /* with Fast Open the SYN,ACK is still to leave */
    accecn_options_begin(t, false);
    if (half->no_option)
        accecn_option_give_up(t); /* 9768-26 */
}

/* A SYN of a simultaneous open: as who is asked (9768-07, MUST). */
static void learn_from_syn(struct tcb *t, const struct tcp_seg *syn)
{
    uint16_t flags = syn->flags & TCP_FLAGS_ECN;
    if (t->ecn.asks == ECN_CLASSIC) {
        if (setup_flags(syn) == SETUP_SYN && !t->ecn.fell_back)
            begin(t, true);
    } else if (flags == SETUP_SYN) {
        begin(t, !t->ecn.fell_back);
    } else if (flags != 0) {
        accecn_begin(t, !t->ecn.fell_back);
        t->ecn.opening = true;
        accecn_options_begin(t, false);
        t->ecn.syn_ecn = syn->ip_ecn & 3u;
    }
}

void ecn_learn(struct tcb *t, const struct tcp_seg *seg)
{
    uint16_t flags = seg->flags & TCP_FLAGS_ECN;
    if (t->ecn.asks == ECN_NONE)
        return;
    if (!(seg->flags & TCP_ACK)) {
        learn_from_syn(t, seg);
        return;
    }
    /* 3168-01, 3168-03 (MUST), 9768-05: a SYN,ACK with all the flags only reflects ours. Who sent
     * a SYN without them sets no ECT, but goes on answering marks. */
    if (t->ecn.asks == ECN_CLASSIC ? setup_flags(seg) == SETUP_SYNACK : flags == SETUP_SYNACK)
        begin(t, !t->ecn.fell_back);
    else if (t->ecn.asks == ECN_ACCURATE && flags != 0 && flags != TCP_FLAGS_ECN)
        accecn_learn(t, seg);
}

bool ecn_learn_again(struct tcb *t, const struct tcp_seg *syn)
{
    uint16_t flags = syn->flags & TCP_FLAGS_ECN;
    if (!t->ecn.on)
        return true;
    if (!ecn_knows_accurate(t->env->params.ecn)) {
        if (setup_flags(syn) != SETUP_SYN)
            t->ecn.on = t->ecn.ect = false; /* believed, as in half.c */
        return true;
    }
    if (flags != 0 && t->ecn.accurate == (flags == SETUP_SYN))
        return false; /* 9768-11 (MUST) */
    if (flags == 0) {
        t->ecn.ect = false; /* 9768-12 (MUST) */
        t->ecn.barred = true;
    }
    t->ecn.syn_ecn = syn->ip_ecn & 3u; /* RFC 9768 3.1.5 (MUST): of the latest */
    if (t->ecn.accurate)
        accecn_option_give_up(t);
    return true;
}

bool ecn_learn_crossing(struct tcb *t, const struct tcp_seg *seg)
{
    uint16_t flags = seg->flags & TCP_FLAGS_ECN;
    if (t->ecn.asks == ECN_ACCURATE && t->ecn.on && flags != 0 &&
        t->ecn.accurate == (flags == SETUP_SYNACK))
        return false; /* 9768-11 (MUST) */
    if (t->ecn.accurate)
        accecn_judge(t, seg); /* 9768-12: without flags, no ECT */
    else if (setup_flags(seg) != SETUP_SYNACK)
        t->ecn.on = t->ecn.ect = false; /* SHOULD NOT set ECT */
    return true;
}

uint32_t ecn_packets(const struct tcp_seg *seg)
{
    if (seg->gso_size == 0 || seg->len == 0)
        return 1;
    return (seg->len + seg->gso_size - 1) / seg->gso_size;
}

/* ---- receiver (6.1.3) ------------------------------------------------------------------------ */

static void receive(struct tcb *t, const struct tcp_seg *seg)
{
    bool echoing = t->ack_flags & TCP_ECE;
    if ((seg->flags & TCP_CWR) && echoing) {
        t->ack_flags = TCP_ACK;
        t->ack_now = true;
    }
    /* 3168-12: what lies outside the window did not get here. Both changes are told at once: the
     * sender's window may be too small to fill a delayed ACK. */
    if (seg->ip_ecn == ECN_CE) {
        t->ecn.ce_in += ecn_packets(seg);
        t->ack_flags = TCP_ACK | TCP_ECE; /* 3168-09 (MUST): until CWR comes */
        t->ack_now |= !echoing;
    }
}

/* ---- sender (6.1.2) -------------------------------------------------------------------------- */

void ecn_on_reduction(struct tcb *t)
{
    if (!t->ecn.on)
        return;
    /* Who never sets ECT owes none; 9768-13 (MUST NOT): nor does who has a counter there. */
    t->ecn.cwr_due = !t->ecn.barred && !t->ecn.accurate;
    t->ecn.reduced = true;
    t->ecn.cwr_end = t->snd_nxt;
}

void ecn_on_undo(struct tcb *t) { t->ecn.cwr_due = t->ecn.reduced = false; }

static void reduce(struct tcb *t, ns_t now)
{
    uint32_t flight = tcb_flight(t);
    if (t->flight_before_at == now) /* ACKs of one instant are one */
        flight = u32_max(flight, t->flight_before);
    bool is_least = t->cc.cwnd < 2u * t->snd_mss;
    cc_on_ecn(&t->cc, &(struct cc_loss){now, flight, t->snd_mss});
    t->ecn.reductions++;
    tcp_note(t, NOTE_ECN, 0, 0);
    ecn_on_reduction(t);
    prr_begin_marks(t, flight);
    if (!is_least)
        return;
    /* 3168-07 (MUST): a window of one segment cannot shrink; the next leaves an RTO later. */
    t->rack.ecn_waits = true;
    t->pace_next = time_after(now, rtt_timeout(&t->rtt, t->env->params.rto_max));
}

/* `echo`: the ACK reports marks. */
static void hear(struct tcb *t, const struct arrival *a, bool echo)
{
    struct tcp_ecn *e = &t->ecn;
    /* What answers a reduction is known once something sent after it is acknowledged. */
    if (e->reduced && seq_gt(a->seg->ack, e->cwr_end))
        e->reduced = false;
    t->rack.ecn_echoed = echo; /* SHOULD NOT: cwnd does not grow by such an ACK */
    if (!echo)
        return;
    e->ece_in += !e->accurate;
    if (t->recovery_mode != RECOVERY_NONE)
        t->cc.may_undo = false; /* RFC 4015 3: an explicit report is never spurious */
    /* 3168-06: once per window, whether drops or marks began it. */
    bool in_episode = t->recovery_mode == RECOVERY_FAST || t->recovery_mode == RECOVERY_RTO;
    if (!e->reduced && !in_episode && tcb_flight(t) > 0)
        reduce(t, a->now);
}

void ecn_arrive(struct tcb *t, const struct arrival *a)
{
    bool echo = a->seg->flags & TCP_ECE;
    if (t->ecn.accurate)
        echo = accecn_arrive(t, a);
    else if (a->seg->len > 0)
        receive(t, a->seg);
    if (seq_geq(a->seg->ack, t->snd_una))
        hear(t, a, echo);
}

void ecn_mark_new(struct tcb *t, struct tcp_out *out)
{
    if (UT_UNLIKELY(t->fast_open.again > 0)) { /* 3168-11 (MUST): the SYN has carried it */
        t->fast_open.again -= (uint16_t)u32_min(out->seg.len, t->fast_open.again);
        return;
    }
    if (out->seg.len == 0 || t->probe_now)
        return; /* 3168-10, 3168-13 (MUST): neither pure ACKs nor window probes */
    if (t->ecn.ect)
        out->seg.ip_ecn = ECN_ECT_0; /* 3168-05 */
    if (t->ecn.cwr_due)
        out->seg.flags |= TCP_CWR; /* 3168-08: the first new data, never a retransmission */
    t->ecn.cwr_due = false;
}

bool ecn_must_wait(struct tcb *t, ns_t now)
{
    if (UT_UNLIKELY(t->ecn.owes_handshake) && accecn_must_wait(t))
        return true;
    if (t->rack.ecn_waits && now < t->pace_next && t->recovery_mode == RECOVERY_NONE) {
        t->pace_deadline = t->pace_next;
        return true;
    }
    t->rack.ecn_waits = false;
    return false;
}
