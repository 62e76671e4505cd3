/* recovery.c: episodes: how fast recovery (RFC 5681 3.2, 6582, 6675, 8985) and time-out recovery
 * (RFC 5681 3.1, 6675 5.1) begin, go on and end.
 *
 * Called by ack.c, timeout.c and output.c. Offsets are sequence space: the FIN takes the one after
 * the last byte.
 */
#include "tcp/recovery.h"

#include "tcp/ecn.h"
#include "tcp/frto.h"
#include "tcp/mtu.h"
#include "tcp/nextseg.h"
#include "tcp/note.h"
#include "tcp/prr.h"
#include "tcp/rack.h"
#include "tcp/sack.h"
#include "tcp/sent.h"
#include "tcp/tlp.h"
#include "tcp/undo.h"

/* -- how much is in the network, and what goes next ------------------------------------------- */

/* RACK: all that is neither SACKed nor lost, what was sent again included. */
static uint32_t rack_pipe(const struct tcb *t)
{
    const struct tcp_trouble *o = t->trouble;
    uint64_t una = tcb_una_offset(t), nxt = tcb_nxt_offset(t);
    if (frto_holds_back(t))
        return (uint32_t)(nxt - u64_max(una, u64_min(t->recovery_point, nxt)));
    return tcb_flight(t) - (uint32_t)ranges_bytes_in(&o->sacked, una, nxt) -
           (uint32_t)ranges_bytes_in(&o->lost, una, nxt);
}

uint32_t recovery_pipe(const struct tcb *t)
{
    uint32_t flight = tcb_flight(t);
    if (t->rack_on)
        return t->trouble != NULL ? rack_pipe(t) : flight;
    if (t->recovery_mode == RECOVERY_NONE) {
        uint32_t lent = u32_min(t->dup_acks, 2) * t->snd_mss; /* RFC 3042 2 */
        return flight > lent ? flight - lent : 0;
    }
    if (frto_holds_back(t))
        return (uint32_t)(tcb_nxt_offset(t) - t->recovery_point);
    return nextseg_pipe(t);
}

/* The first of what is lost, as far as cwnd allows (8985-18, MUST). */
static bool rack_next(struct tcb *t, uint32_t mss, uint32_t limit, struct range *out)
{
    const struct tcp_trouble *o = t->trouble;
    if (o == NULL || ranges_is_empty(&o->lost))
        return false;
    *out = o->lost.run[0];
    uint32_t pipe = rack_pipe(t), least = (uint32_t)u64_min(mss, out->hi - out->lo);
    if (t->cc.cwnd < pipe + least) {
        t->was_cwnd_limited = true;
        return false;
    }
    uint32_t room = u32_min(u32_max(limit, mss), t->cc.cwnd - pipe);
    room = room > mss ? room - room % mss : mss;
    out->hi = u64_min(out->hi, out->lo + room);
    return true;
}

bool recovery_next(struct tcb *t, uint32_t mss, uint32_t limit, struct range *out)
{
    if (t->rexmt_now) {
        uint64_t una = tcb_una_offset(t), nxt = tcb_nxt_offset(t);
        *out = (struct range){una, u64_min(una + mtu_again(t, mss), nxt)};
        return una < nxt;
    }
    if (t->recovery_mode == RECOVERY_NONE || frto_holds_back(t))
        return false;
    return t->rack_on ? rack_next(t, mss, limit, out) : nextseg(t, mss, limit, out);
}

void recovery_sent(struct tcb *t, const struct range *run, ns_t now)
{
    uint32_t len = (uint32_t)(run->hi - run->lo);
    if (!t->rack_on) {
        nextseg_sent(t, run);
    } else if (tcb_trouble(t) != NULL) {
        struct resent_run again = {run->lo, run->hi, now, now};
        ranges_remove(&t->trouble->lost, run->lo, run->hi);
        resent_add(&t->trouble->resent, &again, rack_quantum(t));
    }
    prr_on_sent(t, len);
    undo_on_sent(t, len, now);
    t->rexmt_now = false;
    t->rtt.timed_since = TIME_NEVER; /* Karn (RFC 6298 3, MUST): the answer would be ambiguous */
}

/* -- beginning and ending --------------------------------------------------------------------- */

/* RFC 9937 6: RecoverFS is what was in flight and not SACKed. The ACKs of one instant are one, as
 * if the network had thinned them out: nothing left between them, and what each delivered counts.
 * Returns the bytes that they delivered, 0 when it is this ACK alone. */
static uint32_t begin_prr(struct tcb *t, const struct tcp_news *n)
{
    uint32_t now = tcb_flight(t);
    if (!t->sack_ok) {
        prr_begin(t, now);
        return 0;
    }
    uint32_t left = now - (uint32_t)sack_bytes_in(t, tcb_una_offset(t), tcb_nxt_offset(t));
    uint32_t was = left + n->delivered;
    if (t->flight_before_at == n->now && t->trouble != NULL)
        was = u32_max(was, t->flight_before - t->trouble->sacked_before);
    prr_begin(t, was);
    return was - left;
}

/* Returns the bytes that begin_prr does. */
static uint32_t enter_fast_recovery(struct tcb *t, const struct tcp_news *n)
{
    if (t->rack.mtu_probe_out && mtu_lost_probe(t))
        return 0;
    /* RFC 5681 3.2 (2) (MUST): FlightSize without what limited transmit added. */
    uint32_t flight = t->flight_at_dup != 0 ? t->flight_at_dup : tcb_flight(t);
    if (t->flight_before_at == n->now)
        flight = u32_max(flight, t->flight_before);
    undo_begin(t);
    tlp_stop(t);
    t->recovery_mode = RECOVERY_FAST;
    t->had_recovery = true;
    t->rescued = false;
    t->recovery_point = tcb_nxt_offset(t);
    t->lost_below = 0;
    t->high_rxt = tcb_una_offset(t);
    t->reno_sacked = t->sack_ok ? 0 : t->dup_acks * (uint32_t)t->snd_mss;
    /* 3168-06: marks of the same window have had their reduction. */
    if (!t->ecn.reduced || cc_owns_cwnd(&t->cc))
        cc_on_recovery(&t->cc, &(struct cc_loss){n->now, flight, t->snd_mss});
    ecn_on_reduction(t);
    if (!t->rack_on && t->cc.wants_log)
        sent_note_lost(t, tcb_una_offset(t), tcb_una_offset(t) + u32_min(t->snd_mss, flight),
                       n->now);
    t->rexmt_now = !t->rack_on;
    t->fast_recoveries++;
    tcp_note(t, NOTE_RECOVERY, 0, 0);
    if (!t->rack_on)
        tcp_note(t, NOTE_LOST, tcb_una_offset(t), tcb_una_offset(t) + u32_min(t->snd_mss, flight));
    return begin_prr(t, n);
}

static void leave_recovery(struct tcb *t, ns_t now)
{
    if (t->recovery_mode == RECOVERY_FAST) {
        prr_end(t); /* 9937-06: cwnd = ssthresh */
        cc_on_recovered(&t->cc, &(struct cc_loss){now, tcb_flight(t), t->snd_mss});
    }
    t->recovery_mode = RECOVERY_NONE;
    t->reno_sacked = 0;
    t->lost_below = 0;
    t->high_rxt = 0;
    t->rexmt_now = false;
    rack_on_recovered(t);
    mtu_on_recovered(t);
    tcp_note(t, NOTE_RECOVERED, 0, 0);
}

void recovery_on_mtu(struct tcb *t, const struct range *run)
{
    if (run->lo >= run->hi)
        return;
    tlp_stop(t);
    if (t->recovery_mode == RECOVERY_FAST && !t->rack_on)
        leave_recovery(t, t->last_sent); /* by counting, the two cannot go on at once */
    if (t->recovery_mode == RECOVERY_NONE) {
        undo_end(t);
        t->recovery_mode = RECOVERY_MTU;
        t->had_recovery = true;
        t->recovery_point = tcb_nxt_offset(t);
        t->dup_acks = 0;
        t->reno_sacked = 0;
    }
    if (t->rack_on && tcb_trouble(t) != NULL) {
        rack_lose(t, run);
    } else {
        t->high_rxt = tcb_una_offset(t);
        t->lost_below = run->hi;
    }
    t->rexmt_now = true;
}

/* -- ACKs ------------------------------------------------------------------------------------- */

/* Whether this ACK says that data is lost. */
static bool finds_loss(struct tcb *t, const struct tcp_news *n)
{
    if (t->rack_on)
        return rack_detect(t, n->now);
    uint64_t una = tcb_una_offset(t);
    if (n->acked > 0) /* SACKed runs may still say that what is now first is lost. */
        return t->sack_ok && tcb_flight(t) > 0 && sack_lost_edge(t) > una;
    if (!n->duplicate && !n->sacked)
        return false;
    /* RFC 6582 3.2 (2): duplicates caused by our own retransmissions start nothing. */
    if (!t->sack_ok && t->had_recovery && una <= t->recovery_point)
        return false;
    return t->dup_acks >= DUP_THRESH || (n->sacked && sack_lost_edge(t) > una);
}

static void count_duplicate(struct tcb *t)
{
    if (t->dup_acks == 0)
        t->flight_at_dup = tcb_flight(t);
    if (t->dup_acks < UINT8_MAX)
        t->dup_acks++;
    /* RFC 6582 3.2 (4): one more segment has left. */
    if (t->recovery_mode == RECOVERY_FAST && !t->sack_ok && t->reno_sacked < tcb_flight(t))
        t->reno_sacked += t->snd_mss;
}

/* A new ACK short of the recovery point, without RACK. */
static void partial_ack(struct tcb *t, const struct tcp_news *n)
{
    t->high_rxt = u64_max(t->high_rxt, tcb_una_offset(t));
    /* What followed is in flight and would keep the rest of a segment that was cut waiting. */
    if (t->recovery_mode == RECOVERY_MTU && t->high_rxt == tcb_una_offset(t))
        t->rexmt_now = t->high_rxt < t->lost_below;
    if (t->recovery_mode != RECOVERY_FAST || t->sack_ok)
        return;
    /* RFC 6582 3.2 (3): the next hole is lost too; what the advance covered no longer counts as
     * gone, but for the retransmitted segment itself. */
    uint32_t gone = n->acked > t->snd_mss ? n->acked - t->snd_mss : 0;
    t->reno_sacked = t->reno_sacked > gone ? t->reno_sacked - gone : 0;
    t->high_rxt = tcb_una_offset(t);
    t->rexmt_now = true;
}

static void go_on(struct tcb *t, const struct tcp_news *n, uint32_t delivered, bool found)
{
    if (n->acked > 0 && !t->rack_on)
        partial_ack(t, n);
    else if (n->acked > 0 && t->recovery_mode != RECOVERY_FAST && t->trouble == NULL)
        t->rexmt_now = true; /* no memory to know what is lost: one after the other */
    if (t->recovery_mode == RECOVERY_FAST)
        prr_on_ack(t, delivered, n->acked > 0 && !found);
}

static void judge_past(struct tcb *t, const struct tcp_news *n)
{
    if (n->has_dsack || t->rack.has_dsack_round)
        rack_on_dsack(t, n);
    if (t->rack.tlp_out)
        tlp_on_ack(t, n);
    bool spurious = undo_is_due(t, n);
    if (t->recovery_mode == RECOVERY_RTO)
        spurious |= frto_on_ack(t, n);
    if (spurious && t->trouble != NULL)
        undo_apply(t, n);
    else if (t->trouble != NULL && t->trouble->may_undo && t->recovery_mode == RECOVERY_NONE &&
             (tcb_una_offset(t) > t->trouble->undo_to || tcb_flight(t) == 0))
        undo_end(t);
}

void recovery_on_ack(struct tcb *t, const struct tcp_news *n)
{
    uint32_t delivered = t->sack_ok ? n->delivered : nextseg_reno_delivered(t, n);
    if (n->acked > 0) {
        t->dup_acks = 0;
        t->flight_at_dup = 0;
        t->rexmt_now = false;
        if (t->rack.mtu_probe_out)
            mtu_on_ack(t);
    } else if (n->sacked || (n->duplicate && !t->sack_ok)) {
        count_duplicate(t);
    }
    if (t->trouble != NULL || t->rack.tlp_out || n->has_dsack)
        judge_past(t, n);
    if (t->recovery_mode != RECOVERY_NONE && tcb_una_offset(t) >= t->recovery_point)
        leave_recovery(t, n->now);
    bool found = finds_loss(t, n);
    if (t->recovery_mode == RECOVERY_NONE && found)
        delivered = u32_max(delivered, enter_fast_recovery(t, n));
    if (t->recovery_mode != RECOVERY_NONE)
        go_on(t, n, delivered, found);
    prr_on_ack_marks(t, n);
    tcb_trouble_release(t);
}

/* -- timers ----------------------------------------------------------------------------------- */

void recovery_on_reorder(struct tcb *t, ns_t now)
{
    static const struct tcp_seg none;
    const struct tcp_news n = {.seg = &none, .now = now, .una = tcb_una_offset(t)};
    bool found = rack_detect(t, now);
    if (found && t->recovery_mode == RECOVERY_NONE) {
        enter_fast_recovery(t, &n);
        prr_on_ack(t, t->snd_mss, false); /* 9937-05 */
    }
}

void recovery_on_rto(struct tcb *t, ns_t now)
{
    uint64_t una = tcb_una_offset(t);
    /* RFC 5681 3.1: ssthresh is not lowered again for a segment that timed out before. */
    bool first = t->rto_una != una, same = !first && t->recovery_mode == RECOVERY_RTO;
    bool in_recovery = t->recovery_mode != RECOVERY_NONE && !same;
    t->rto_una = una;
    /* RFC 2018 8: a run at snd_una would have been acknowledged; the peer has let go of it. */
    if (t->trouble != NULL && ranges_touches(&t->trouble->sacked, una, una + 1))
        sack_clear(t);
    if (t->recovery_mode == RECOVERY_NONE)
        undo_begin(t);
    else if (!same)
        undo_end(t); /* there was a loss already */
    tlp_stop(t);
    cc_on_rto(&t->cc, &(struct cc_loss){now, tcb_flight(t), t->snd_mss}, first);
    ecn_on_reduction(t);
    t->recovery_mode = RECOVERY_RTO;
    t->had_recovery = true;
    t->recovery_point = t->lost_below = tcb_nxt_offset(t); /* RFC 6675 5.1 (MUST) */
    t->high_rxt = una;
    t->dup_acks = 0;
    t->reno_sacked = 0;
    prr_end(t);
    frto_begin(t, in_recovery);
    tcp_note(t, NOTE_RTO, 0, 0);
    if (t->rack_on)
        rack_on_rto(t, now);
    else
        tcp_note(t, NOTE_LOST_BY_RTO, una, t->lost_below);
    t->rexmt_now = true; /* RFC 2018 8 (MUST): the left edge, whatever was SACKed */
    t->rto_count++;
}
