/* steps.h: the steps of SEGMENT ARRIVES in the RFC's order (9293 3.10.7.3 and .4), private to tcp/.
 */
#ifndef UT_TCP_STEPS_H
#define UT_TCP_STEPS_H

#include "tcp/tcb.h"
#include "tcp/verdict.h"
#include "wire/tcp.h"

/* A segment on its way through the steps: `seg` as it came, the rest trimmed to the window. */
struct arrival {
    const struct tcp_seg *seg;
    seq32 seq; /* of data[0] */
    const uint8_t *data;
    uint32_t len;
    bool fin;
    bool owes_ack; /* once its own ACK is believed */
    ns_t now;
};

struct tcp_verdict arrive_syn_sent(struct tcb *t, const struct tcp_seg *seg, ns_t now);
struct tcp_verdict arrive_ack(struct tcb *t, const struct arrival *a);  /* fifth */
void arrive_urgent(struct tcb *t, const struct arrival *a);             /* sixth */
struct tcp_verdict arrive_text(struct tcb *t, const struct arrival *a); /* seventh */
struct tcp_verdict arrive_fin(struct tcb *t, const struct arrival *a);  /* eighth */
/* To CLOSED, with the reason the user will be told. */
struct tcp_verdict close_with(struct tcb *t, int error);
/* [lo, hi) came once more: the next ACK says so, if SACK was agreed (RFC 2883). */
void note_duplicate(struct tcb *t, seq32 lo, seq32 hi);
/* RFC 5961 7: may one more challenge ACK leave? Counts it. */
bool challenge_may_leave(struct tcb *t, ns_t now);

#endif
