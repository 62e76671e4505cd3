/* tlp.c: the TLP half of RFC 8985. Called by timers.c, timeout.c, output.c and recovery.c.
 */
#include "tcp/tlp.h"

#include "tcp/ecn.h"
#include "tcp/note.h"

struct range tlp_last(const struct tcb *t, uint32_t mss)
{
    uint64_t nxt = tcb_nxt_offset(t);
    if (t->fin_was_alone)
        mss = 1; /* the segment sent last */
    return (struct range){nxt - u32_min(mss, tcb_flight(t)), nxt};
}

void tlp_sent(struct tcb *t, bool resent)
{
    t->rack.tlp_out = true; /* 8985-14 (MUST): one at a time */
    t->rack.tlp_end = t->snd_nxt;
    t->rack.tlp_resent = resent;
    t->rack.tlp_sampled = false;
    t->tlp_probes++;
    tcp_note(t, NOTE_PROBE, 0, 0);
}

void tlp_on_ack(struct tcb *t, const struct tcp_news *n)
{
    struct tcp_rack *r = &t->rack;
    if (!r->tlp_out || seq_lt(n->seg->ack, r->tlp_end))
        return;
    bool matches = n->has_dsack && n->dsack.hi == tcb_snd_offset(t, r->tlp_end);
    if (!r->tlp_resent || matches) {
        r->tlp_out = false; /* new data arrived, or both copies did: nothing was lost */
    } else if (seq_gt(n->seg->ack, r->tlp_end)) {
        /* 8985-17 (MUST): the probe has repaired a loss nobody else saw. */
        r->tlp_out = false;
        struct cc_loss loss = {n->now, tcb_flight(t) + n->acked, t->snd_mss};
        cc_on_recovery(&t->cc, &loss);
        cc_on_recovered(&t->cc, &loss);
        ecn_on_reduction(t);
    } else if (n->duplicate && n->seg->opt.sack_count == 0) {
        r->tlp_out = false;
    }
}
