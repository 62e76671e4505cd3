/* ecn.c: RFC 3168 6.1, both roles. Called by the opening steps, ack.c, output.c and recovery.c.
 */
#include "tcp/ecn.h"

#include "tcp/output.h"
#include "tcp/steps.h"

#define SETUP_SYN (TCP_ECE | TCP_CWR)
#define SETUP_SYNACK TCP_ECE

static uint8_t setup_flags(const struct tcp_seg *seg) { return seg->flags & (TCP_ECE | TCP_CWR); }

/* ---- opening (6.1.1) ------------------------------------------------------------------------- */

bool ecn_may_accept(const struct tcp_params *p, const struct tcp_seg *syn)
{
    /* A SYN never has a codepoint (3168-02): on that way the field says nothing of routers. */
    return p->ecn != ECN_OFF && setup_flags(syn) == SETUP_SYN && syn->ip_ecn == ECN_NOT_ECT;
}

uint8_t ecn_syn_flags(struct tcb *t, bool with_ack)
{
    if (with_ack)
        return t->ecn.on ? SETUP_SYNACK : 0;
    if (!t->ecn.asks)
        return 0; /* 3168-04 */
    /* 6.1.1.1 (MAY): there are boxes that drop a SYN with these flags; without them from the first
     * retransmission on, as Linux does. */
    t->ecn.fell_back = t->syn_retransmitted;
    return t->ecn.fell_back ? 0 : SETUP_SYN;
}

void ecn_begin(struct tcb *t)
{
    t->ecn.on = true;
    t->ecn.ect = !t->ecn.fell_back;
}

void ecn_learn(struct tcb *t, const struct tcp_seg *seg)
{
    if (!t->ecn.asks)
        return;
    /* 3168-01, 3168-03 (MUST): a SYN,ACK with both flags only reflects ours. Who sent a SYN without
     * them sets no ECT, but goes on answering marks. */
    bool agreed = seg->flags & TCP_ACK ? setup_flags(seg) == SETUP_SYNACK
                                       : setup_flags(seg) == SETUP_SYN && !t->ecn.fell_back;
    if (agreed)
        ecn_begin(t);
}

void ecn_learn_again(struct tcb *t, const struct tcp_seg *syn)
{
    if (setup_flags(syn) != SETUP_SYN)
        t->ecn.on = t->ecn.ect = false; /* who does not ask any more is believed, as in half.c */
}

void ecn_learn_crossing(struct tcb *t, const struct tcp_seg *seg)
{
    if (setup_flags(seg) != SETUP_SYNACK)
        t->ecn.on = t->ecn.ect = false; /* SHOULD NOT set ECT */
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
        t->ecn.ce_in += seg->gso_size != 0 ? (seg->len + seg->gso_size - 1) / seg->gso_size : 1;
        t->ack_flags = TCP_ACK | TCP_ECE; /* 3168-09 (MUST): until CWR comes */
        t->ack_now |= !echoing;
    }
}

/* ---- sender (6.1.2) -------------------------------------------------------------------------- */

void ecn_on_reduction(struct tcb *t)
{
    if (!t->ecn.on)
        return;
    t->ecn.cwr_due = !t->ecn.fell_back; /* who never sets ECT owes none */
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
    ecn_on_reduction(t);
    if (!is_least)
        return;
    /* 3168-07 (MUST): a window of one segment cannot shrink; the next leaves an RTO later. */
    t->rack.ecn_waits = true;
    t->pace_next = time_after(now, rtt_timeout(&t->rtt, t->env->params.rto_max));
}

static void hear(struct tcb *t, const struct arrival *a)
{
    struct tcp_ecn *e = &t->ecn;
    bool echo = a->seg->flags & TCP_ECE;
    /* What answers a reduction is known once something sent after it is acknowledged. */
    if (e->reduced && seq_gt(a->seg->ack, e->cwr_end))
        e->reduced = false;
    t->rack.ecn_echoed = echo; /* SHOULD NOT: cwnd does not grow by such an ACK */
    if (!echo)
        return;
    e->ece_in++;
    if (t->recovery_mode != RECOVERY_NONE)
        t->cc.may_undo = false; /* RFC 4015 3: an explicit report is never spurious */
    /* 3168-06: once per window, whether drops or marks began it. */
    bool in_episode = t->recovery_mode == RECOVERY_FAST || t->recovery_mode == RECOVERY_RTO;
    if (!e->reduced && !in_episode && tcb_flight(t) > 0)
        reduce(t, a->now);
}

void ecn_arrive(struct tcb *t, const struct arrival *a)
{
    if (a->seg->len > 0)
        receive(t, a->seg);
    if (seq_geq(a->seg->ack, t->snd_una))
        hear(t, a);
}

void ecn_mark_new(struct tcb *t, struct tcp_out *out)
{
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
    if (t->rack.ecn_waits && now < t->pace_next && t->recovery_mode == RECOVERY_NONE) {
        t->pace_deadline = t->pace_next;
        return true;
    }
    t->rack.ecn_waits = false;
    return false;
}
