/* prr.c: RFC 9937 6. Called by recovery.c.
 */
#include "tcp/prr.h"

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
    if (o->prr_out == 0)
        send = u64_max(send, mss); /* 9937-05: the first retransmission does not wait */
    t->cc.cwnd = inflight + (uint32_t)send;
}
