/* nextseg.c: SetPipe() and NextSeg() of RFC 6675, and their like for NewReno. Called by recovery.c.
 */
#include "tcp/nextseg.h"

#include "tcp/sack.h"

static uint64_t lost_edge(const struct tcb *t) { return u64_max(t->lost_below, sack_lost_edge(t)); }

static uint64_t unsacked_in(const struct tcb *t, uint64_t lo, uint64_t hi)
{
    return lo < hi ? hi - lo - sack_bytes_in(t, lo, hi) : 0;
}

uint32_t nextseg_pipe(const struct tcb *t)
{
    uint32_t flight = tcb_flight(t);
    uint64_t una = tcb_una_offset(t), nxt = tcb_nxt_offset(t);
    if (t->recovery_mode == RECOVERY_FAST && !t->sack_ok) {
        uint32_t gone = t->reno_sacked + (t->rexmt_now ? t->snd_mss : 0);
        return flight > gone ? flight - gone : 0;
    }
    /* RFC 6675 4, SetPipe: not lost, plus retransmitted. */
    uint64_t edge = u64_min(u64_max(lost_edge(t), una), nxt);
    uint64_t pipe = unsacked_in(t, edge, nxt) + unsacked_in(t, una, u64_min(t->high_rxt, nxt));
    return (uint32_t)pipe;
}

uint32_t nextseg_reno_delivered(const struct tcb *t, const struct tcp_news *n)
{
    if (n->acked == 0)
        return n->duplicate ? t->snd_mss : 0;
    return n->acked > t->reno_sacked ? n->acked - t->reno_sacked : 0;
}

/* Rule 4 of NextSeg: the last un-SACKed segment, once per recovery, when nothing else may go; not
 * when it is new data that has only just left. */
static bool rescue_due(const struct tcb *t)
{
    return t->recovery_mode == RECOVERY_FAST && t->sack_ok && !t->rescued &&
           t->sendq.end <= tcb_nxt_offset(t) && sack_highest(t) < t->recovery_point &&
           tcb_nxt_offset(t) == t->recovery_point;
}

bool nextseg(struct tcb *t, uint32_t mss, uint32_t limit, struct range *out)
{
    uint64_t nxt = tcb_nxt_offset(t);
    if (t->recovery_mode == RECOVERY_NONE || (t->recovery_mode == RECOVERY_FAST && !t->sack_ok))
        return false;
    uint32_t pipe = nextseg_pipe(t);
    if (t->cc.cwnd < pipe + mss) {
        t->was_cwnd_limited = true;
        return false; /* RFC 6675 5 (C): cwnd - pipe >= 1 SMSS */
    }
    uint32_t room = u32_max(mss, u32_min(limit, (t->cc.cwnd - pipe) / mss * mss));
    uint64_t from = u64_max(t->high_rxt, tcb_una_offset(t));
    /* Rule 1: lost and not yet sent again. */
    if (sack_next_hole(t, from, u64_min(lost_edge(t), nxt), out)) {
        out->hi = u64_min(out->hi, out->lo + room);
        return true;
    }
    if (t->sendq.end > nxt)
        return false; /* rule 2: new data */
    /* Rule 3: not lost by the book, but below what arrived. */
    if (sack_next_hole(t, from, u64_min(sack_highest(t), nxt), out)) {
        out->hi = u64_min(out->hi, out->lo + mss);
        return true;
    }
    if (rescue_due(t) && nxt > tcb_una_offset(t)) {
        *out = (struct range){nxt - u64_min(mss, nxt - sack_highest(t)), nxt};
        return out->lo < out->hi;
    }
    return false;
}

void nextseg_sent(struct tcb *t, const struct range *run)
{
    bool is_rescue = t->recovery_mode == RECOVERY_FAST && t->sack_ok && !t->rexmt_now &&
                     run->hi > sack_highest(t);
    if (is_rescue)
        t->rescued = true; /* RFC 6675 4, NextSeg (4): HighRxt stays (MUST NOT) */
    else
        t->high_rxt = u64_max(t->high_rxt, run->hi);
}
