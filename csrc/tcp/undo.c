/* undo.c: Eifel and D-SACK detection, and the response. Called by recovery.c.
 */
#include "tcp/undo.h"

#include "tcp/ecn.h"
#include "tcp/frto.h"
#include "tcp/note.h"
#include "tcp/options.h"
#include "tcp/prr.h"

void undo_begin(struct tcb *t)
{
    struct tcp_trouble *o = tcb_trouble(t);
    t->cc.may_undo = false;
    if (o == NULL)
        return;
    cc_keep(&t->cc, &o->prior);
    o->undo_from = tcb_una_offset(t);
    o->undo_to = tcb_nxt_offset(t);
    o->undo_rexmit = 0;
    /* What was sent again in an episode before and is still out would be taken for an original. */
    o->may_undo = o->resent.count == 0;
    o->has_first_ts = false;
    o->wants_first_ts = t->ts_ok && o->may_undo;
}

void undo_on_sent(struct tcb *t, uint32_t len, ns_t now)
{
    struct tcp_trouble *o = t->trouble;
    if (o == NULL || !o->may_undo)
        return;
    o->undo_rexmit += len;
    if (o->wants_first_ts) {
        o->first_ts = options_ts_now(t->ts_offset, now);
        o->has_first_ts = true;
        o->wants_first_ts = false;
    }
}

/* RFC 3522 3.2: the first ACK that advances tells whether the original had arrived. */
static bool eifel(struct tcp_trouble *o, const struct tcp_news *n)
{
    if (!o->has_first_ts || n->acked == 0)
        return false;
    o->has_first_ts = false;
    return n->seg->opt.has_ts && (int32_t)(n->seg->opt.ts_ecr - o->first_ts) < 0;
}

bool undo_is_due(struct tcb *t, const struct tcp_news *n)
{
    struct tcp_trouble *o = t->trouble;
    if (o == NULL || !o->may_undo)
        return false;
    if (eifel(o, n))
        return true;
    if (n->has_dsack && o->undo_rexmit > 0 && n->dsack.lo >= o->undo_from &&
        n->dsack.hi <= o->undo_to) {
        uint64_t twice = n->dsack.hi - n->dsack.lo;
        o->undo_rexmit -= (uint32_t)u64_min(twice, o->undo_rexmit);
        return o->undo_rexmit == 0; /* all that was sent again arrived twice */
    }
    return false;
}

void undo_apply(struct tcb *t, const struct tcp_news *n)
{
    struct tcp_trouble *o = t->trouble;
    uint32_t mss = t->snd_mss;
    /* RFC 4015 3.2 (5), (8): as before, but no burst larger than an initial window. */
    uint32_t burst = tcb_flight(t) + u32_max(n->acked, cc_initial_window(mss));
    if (t->cc.may_undo)
        ecn_on_undo(t);
    cc_undo(&t->cc, &o->prior, &(struct cc_loss){n->now, tcb_flight(t), mss}, burst);
    o->frto = FRTO_OFF;
    o->recover_fs = 0;
    ranges_clear(&o->lost); /* what is in flight is on its way */
    o->reorder_due = 0;
    t->recovery_mode = RECOVERY_NONE;
    t->rexmt_now = false;
    t->rtt.backoff = 0;
    t->reno_sacked = 0;
    t->lost_below = t->high_rxt = 0;
    t->dup_acks = 0;
    t->flight_at_dup = 0;
    t->undos++;
    undo_end(t);
    tcp_note(t, NOTE_UNDO, 0, 0);
}

void undo_end(struct tcb *t)
{
    struct tcp_trouble *o = t->trouble;
    if (o != NULL)
        o->may_undo = o->has_first_ts = o->wants_first_ts = false;
}
