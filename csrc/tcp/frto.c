/* frto.c: RFC 5682 2.1 without SACK, 3.1 with. Called by recovery.c.
 */
#include "tcp/frto.h"

void frto_begin(struct tcb *t, bool in_recovery)
{
    /* 5682-02 (MUST): a further time-out begins anew, if it is the same data's. */
    if (t->trouble != NULL)
        t->trouble->frto = in_recovery ? FRTO_OFF : FRTO_WAIT;
}

static bool may_send_new(const struct tcb *t)
{
    if (t->fin_sent || t->sendq.end <= tcb_nxt_offset(t))
        return false;
    uint64_t avail = t->sendq.end - tcb_nxt_offset(t);
    return t->snd_wnd >= tcb_flight(t) + u64_min(avail, t->snd_mss) &&
           (t->nodelay || avail >= t->snd_mss);
}

/* Step 2. */
static void on_first_ack(struct tcb *t, const struct tcp_news *n)
{
    if (n->acked == 0)
        return; /* stay, and wait for a new acknowledgment */
    if (!may_send_new(t)) {
        t->trouble->frto = FRTO_OFF;
        return;
    }
    t->trouble->frto = FRTO_NEW;
    t->recovery_point = tcb_nxt_offset(t);
    t->cc.cwnd = u32_max(t->cc.cwnd, 2u * t->snd_mss); /* (b): up to two new segments */
}

bool frto_on_ack(struct tcb *t, const struct tcp_news *n)
{
    struct tcp_trouble *o = t->trouble;
    if (o == NULL || o->frto == FRTO_OFF || t->recovery_mode != RECOVERY_RTO)
        return false;
    if (o->frto == FRTO_WAIT) {
        on_first_ack(t, n);
        return false;
    }
    if (n->acked == 0 && !n->sacked && !n->duplicate)
        return false; /* other types of ACKs are ignored */
    o->frto = FRTO_OFF;
    /* Step 3 (b): data sent once only, before the time-out, has arrived. Without SACK what follows
     * the one retransmission was sent once. */
    bool original = t->rack_on ? n->original : n->acked > 0 || n->sacked;
    if (original && !n->beyond)
        return true;
    t->cc.cwnd = 3u * t->snd_mss; /* (a): the two new ones, and the next of the old */
    return false;
}
