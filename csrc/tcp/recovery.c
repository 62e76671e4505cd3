/* recovery.c: fast retransmit and fast recovery with SACK (RFC 6675) or without (RFC 6582), and
 * what follows a time-out (RFC 5681 3.1, RFC 6675 5.1).
 *
 * Called by ack.c, timeout.c and output.c. Offsets are sequence space: the FIN takes the one after
 * the last byte.
 */
#include "tcp/recovery.h"

#include "tcp/sack.h"

static uint64_t nxt_offset(const struct tcb *t) { return tcb_snd_offset(t, t->snd_nxt); }

static uint64_t una_offset(const struct tcb *t) { return tcb_snd_offset(t, t->snd_una); }

static uint64_t lost_edge(const struct tcb *t) { return u64_max(t->lost_below, sack_lost_edge(t)); }

static uint64_t unsacked_in(const struct tcb *t, uint64_t lo, uint64_t hi)
{
    return lo < hi ? hi - lo - sack_bytes_in(t, lo, hi) : 0;
}

static uint32_t limited_transmit(const struct tcb *t)
{
    return u32_min(t->dup_acks, 2) * t->snd_mss; /* RFC 3042 2 */
}

uint32_t recovery_pipe(const struct tcb *t)
{
    uint32_t flight = tcb_flight(t);
    if (t->recovery_mode == RECOVERY_NONE) {
        uint32_t lent = limited_transmit(t);
        return flight > lent ? flight - lent : 0;
    }
    uint64_t una = una_offset(t), nxt = nxt_offset(t);
    if (t->recovery_mode == RECOVERY_FAST && !t->sack_ok)
        return flight > t->reno_sacked ? flight - t->reno_sacked : 0;
    /* RFC 6675 4, SetPipe: not lost, plus retransmitted. */
    uint64_t edge = u64_min(u64_max(lost_edge(t), una), nxt);
    uint64_t pipe = unsacked_in(t, edge, nxt) + unsacked_in(t, una, u64_min(t->high_rxt, nxt));
    return (uint32_t)pipe;
}

static void enter_fast_recovery(struct tcb *t, ns_t now)
{
    t->recovery_mode = RECOVERY_FAST;
    t->had_recovery = true;
    t->rescued = false;
    t->recovery_point = nxt_offset(t);
    t->lost_below = 0;
    t->high_rxt = una_offset(t);
    t->reno_sacked = t->dup_acks * (uint32_t)t->snd_mss;
    /* RFC 5681 3.2 (2) (MUST): FlightSize without what limited transmit added. */
    uint32_t flight = t->flight_at_dup != 0 ? t->flight_at_dup : tcb_flight(t);
    cc_on_recovery(&t->cc, &(struct cc_loss){now, flight, t->snd_mss});
    t->rexmt_now = true;
    t->fast_recoveries++;
}

static void leave_recovery(struct tcb *t, ns_t now)
{
    if (t->recovery_mode == RECOVERY_FAST)
        cc_on_recovered(&t->cc, &(struct cc_loss){now, tcb_flight(t), t->snd_mss});
    else
        cc_on_rto_over(&t->cc);
    t->recovery_mode = RECOVERY_NONE;
    t->reno_sacked = 0;
    t->lost_below = 0;
    t->high_rxt = 0;
    t->rexmt_now = false;
}

void recovery_on_dup_ack(struct tcb *t, bool new_sack, ns_t now)
{
    if (t->dup_acks == 0)
        t->flight_at_dup = tcb_flight(t);
    if (t->dup_acks < UINT8_MAX)
        t->dup_acks++;
    if (t->recovery_mode == RECOVERY_FAST) {
        /* RFC 6582 3.2 (4): one more segment has left. */
        if (!t->sack_ok && t->reno_sacked < tcb_flight(t))
            t->reno_sacked += t->snd_mss;
        return;
    }
    if (t->recovery_mode != RECOVERY_NONE)
        return; /* RFC 6675 5.1 (MUST): no fast recovery until the time-out's data is through */
    /* RFC 6582 3.2 (2): duplicates caused by our own retransmissions start nothing. */
    if (!t->sack_ok && t->had_recovery && una_offset(t) <= t->recovery_point)
        return;
    bool lost = t->dup_acks >= DUP_THRESH || (new_sack && sack_lost_edge(t) > una_offset(t));
    if (lost)
        enter_fast_recovery(t, now);
}

void recovery_on_ack(struct tcb *t, uint32_t acked, ns_t now)
{
    t->dup_acks = 0;
    t->flight_at_dup = 0;
    t->rexmt_now = false;
    if (t->recovery_mode == RECOVERY_NONE) {
        /* SACKed runs may still say that what is now first is lost. */
        if (t->trouble != NULL && sack_lost_edge(t) > una_offset(t) && tcb_flight(t) > 0)
            enter_fast_recovery(t, now);
        return;
    }
    uint64_t una = una_offset(t);
    t->high_rxt = u64_max(t->high_rxt, una);
    if (una >= t->recovery_point) {
        leave_recovery(t, now);
        return;
    }
    if (t->recovery_mode == RECOVERY_FAST && !t->sack_ok) {
        /* RFC 6582 3.2 (3), partial ACK: the next hole is lost too; what the advance covered no
         * longer counts as gone, but for the retransmitted segment itself. */
        uint32_t gone = acked > t->snd_mss ? acked - t->snd_mss : 0;
        t->reno_sacked = t->reno_sacked > gone ? t->reno_sacked - gone : 0;
        t->high_rxt = una;
        t->rexmt_now = true;
    }
}

void recovery_on_rto(struct tcb *t, ns_t now)
{
    /* RFC 5681 3.1: ssthresh is not lowered again for a segment that timed out before. */
    bool first = t->rto_una != una_offset(t);
    t->rto_una = una_offset(t);
    cc_on_rto(&t->cc, &(struct cc_loss){now, tcb_flight(t), t->snd_mss}, first);
    /* RFC 2018 8: a run at snd_una would have been acknowledged; the peer has let go of it. */
    if (t->trouble != NULL && ranges_touches(&t->trouble->sacked, una_offset(t), una_offset(t) + 1))
        sack_clear(t);
    t->recovery_mode = RECOVERY_RTO;
    t->had_recovery = true;
    t->recovery_point = t->lost_below = nxt_offset(t); /* RFC 6675 5.1 (MUST) */
    t->high_rxt = una_offset(t);
    t->dup_acks = 0;
    t->reno_sacked = 0;
    t->rexmt_now = true; /* RFC 2018 8 (MUST): the left edge, whatever was SACKed */
    t->rto_count++;
}

/* Rule 4 of NextSeg: the last un-SACKed segment, once per recovery, when nothing else may go; not
 * when it is new data that has only just left. */
static bool rescue_due(const struct tcb *t)
{
    return t->recovery_mode == RECOVERY_FAST && t->sack_ok && !t->rescued &&
           t->sendq.end <= nxt_offset(t) && sack_highest(t) < t->recovery_point &&
           nxt_offset(t) == t->recovery_point;
}

bool recovery_next(const struct tcb *t, uint32_t mss, uint32_t limit, struct range *out)
{
    uint64_t nxt = nxt_offset(t);
    if (t->rexmt_now) {
        uint64_t una = una_offset(t);
        *out = (struct range){una, u64_min(una + mss, nxt)};
        return una < nxt;
    }
    if (t->recovery_mode == RECOVERY_NONE || (t->recovery_mode == RECOVERY_FAST && !t->sack_ok))
        return false;
    uint32_t pipe = recovery_pipe(t);
    if (t->cc.cwnd < pipe + mss)
        return false; /* RFC 6675 5 (C): cwnd - pipe >= 1 SMSS */
    uint32_t room = u32_max(mss, u32_min(limit, (t->cc.cwnd - pipe) / mss * mss));
    uint64_t from = u64_max(t->high_rxt, una_offset(t));
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
    if (rescue_due(t) && nxt > una_offset(t)) {
        *out = (struct range){nxt - u64_min(mss, nxt - sack_highest(t)), nxt};
        return out->lo < out->hi;
    }
    return false;
}

void recovery_sent(struct tcb *t, const struct range *run)
{
    bool is_rescue = t->recovery_mode == RECOVERY_FAST && t->sack_ok && !t->rexmt_now &&
                     run->hi > sack_highest(t);
    if (is_rescue)
        t->rescued = true; /* RFC 6675 4, NextSeg (4): HighRxt stays (MUST NOT) */
    else
        t->high_rxt = u64_max(t->high_rxt, run->hi);
    t->rexmt_now = false;
    t->rtt.timed_since = TIME_NEVER; /* Karn (RFC 6298 3, MUST): the answer would be ambiguous */
}
