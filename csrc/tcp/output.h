/* output.h: what to send next. Output is pulled: call until it says there is nothing.
 */
#ifndef UT_TCP_OUTPUT_H
#define UT_TCP_OUTPUT_H

#include "tcp/tcb.h"
#include "wire/tcp.h"

struct tcp_out {
    struct tcp_seg seg;    /* ports are the stack's to fill; data is NULL, len the payload's */
    struct ring_span data; /* payload, where it lies; stays until the next call on this tcb */
    uint16_t mss;          /* payload bytes per segment on the wire; len > mss: segment it */
};

/* Describes the next segment and counts it as sent (advances snd_nxt, arms timers). `limit` is the
 * most payload bytes one description may carry (at least one segment is always allowed). False:
 * nothing to send now; then the deadlines in the tcb tell when that changes. */
bool tcp_output_next(struct tcb *t, ns_t now, uint32_t limit, struct tcp_out *out);
/* Cheap test whether tcp_output_next could return true; may err on the side of true. */
bool tcp_output_is_due(const struct tcb *t);
/* Bytes queued that never left, and how many new ones the peer's window and cwnd let leave now. */
uint32_t tcp_output_unsent(const struct tcb *t);
uint32_t tcp_output_room(const struct tcb *t);

#endif
