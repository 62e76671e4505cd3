/* time_wait.h: TIME-WAIT held compactly (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191).
 */
#ifndef UT_TCP_TIME_WAIT_H
#define UT_TCP_TIME_WAIT_H

#include "tcp/tcb.h"
#include "tcp/verdict.h"
#include "wire/tcp.h"

struct tcp_tw {
    seq32 snd_nxt, rcv_nxt;
    uint32_t ts_recent, ts_offset;
    uint16_t wnd; /* as last offered, scaled for the wire */
    bool ts_ok : 1;
    bool is_shown : 1; /* the stack's: a connection with a user shows this wait */
    uint8_t ace : 3;   /* RFC 9768: the counter our ACKs have */
};

void tw_init(struct tcp_tw *w, const struct tcb *t);
/* VERDICT_RESTART: answer with tw_ack and restart 2 MSL (retransmitted FIN). VERDICT_ACK: answer
 * only. VERDICT_SYN: the SYN is new (MAY-2) and may open a connection with an ISN beyond snd_nxt.
 * VERDICT_DROP otherwise; RSTs are ignored (RFC 1337 3). */
struct tcp_verdict tw_arrive(struct tcp_tw *w, const struct tcp_seg *seg);
/* Ports are the caller's. */
void tw_ack(const struct tcp_tw *w, ns_t now, struct tcp_seg *out);

#endif
