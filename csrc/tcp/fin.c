/* fin.c: eighth, check the FIN bit (RFC 9293 3.10.7.4).
 *
 * Called by arrive.c once a FIN is known; it takes effect when every byte before it is here
 * (EV-13).
 */
#include "tcp/arrive.h"
#include "tcp/steps.h"
#include "tcp/timers.h"

struct tcp_verdict arrive_fin(struct tcb *t, const struct arrival *a)
{
    if (!seq_eq(t->rcv_nxt, t->peer_fin)) {
        /* At once, as for any gap; but bare ACKs meanwhile are not answered, or two ends that each
         * miss something would never stop (SEC-13). */
        t->ack_now |= a->fin;
        return verdict_continue();
    }
    t->fin_received = true;
    t->rcv_nxt = seq_add(t->rcv_nxt, 1);
    t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt);
    t->ack_now = true;
    t->events |= TCP_EV_READABLE;
    switch (t->state) {
    case TCP_ESTABLISHED:
        tcp_set_state(t, TCP_CLOSE_WAIT);
        break;
    case TCP_FIN_WAIT_1: /* our FIN is not acknowledged, or ack.c would have moved on */
        tcp_set_state(t, TCP_CLOSING);
        break;
    case TCP_FIN_WAIT_2:
        t->events |= TCP_EV_CLOSED;
        timers_stop_all(t);
        tcp_set_state(t, TCP_TIME_WAIT);
        break;
    default:
        break;
    }
    return verdict_continue();
}
