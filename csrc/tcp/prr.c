/* prr.c: RFC 9937 6. Called by recovery.c.
 */
#include "tcp/prr.h"

#include "tcp/sack.h"

void prr_begin(struct tcb *t, uint32_t flight)
{
    struct tcp_trouble *o = tcb_trouble(t);
    if (o == NULL || cc_owns_cwnd(&t->cc))
        return;
    o->recover_fs = u32_max(flight, 1); /* 9937-01 */
    o->prr_delivered = o->prr_out = 0;
}

void prr_on_ack(struct tcb *t, uint32_t delivered, bool safe)
{
    struct tcp_trouble *o = t->trouble;
    if (o == NULL || o->recover_fs == 0 || delivered == 0)
        return;
    uint32_t mss = t->snd_mss, inflight = recovery_pipe(t), ssthresh = t->cc.ssthresh;
    uint64_t send;
    o->prr_delivered += delivered;
    if (inflight > ssthresh) {
        /* 9937-02: the flight shrinks by ssthresh / RecoverFS per byte delivered. */
        uint64_t due = (o->prr_delivered * ssthresh + o->recover_fs - 1) / o->recover_fs;
        send = due > o->prr_out ? due - o->prr_out : 0;
    } else {
        /* 9937-03: as much as was delivered, and one more when all goes well. */
        uint64_t behind = o->prr_delivered > o->prr_out ? o->prr_delivered - o->prr_out : 0;
        send = u64_max(behind, delivered);
        if (safe) /* 9937-04 */
            send += mss;
        send = u64_min(send, ssthresh - inflight);
    }
    if (o->prr_out == 0 && t->recovery_mode == RECOVERY_FAST)
        send = u64_max(send, mss); /* 9937-05: the first retransmission does not wait */
    t->cc.cwnd = inflight + (uint32_t)send;
}

void prr_begin_marks(struct tcb *t, uint32_t flight)
{
    if (t->cc.cwnd != t->cc.ssthresh || cc_wants_rate(&t->cc))
        return;
    prr_begin(t, flight - (uint32_t)sack_bytes_in(t, tcb_una_offset(t), tcb_nxt_offset(t)));
}

void prr_on_ack_marks(struct tcb *t, const struct tcp_news *n)
{
    if (!prr_has_marks(t))
        return;
    if (seq_lt(t->snd_una, t->ecn.cwr_end)) {
        /* One that reports marks is no sign that all goes well (9937-04). */
        prr_on_ack(t, n->delivered, n->acked > 0 && !t->rack.ecn_echoed);
        return;
    }
    prr_end(t);
    t->cc.cwnd = t->cc.ssthresh; /* 9937-06 */
}
