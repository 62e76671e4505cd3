/* arrive.h: SEGMENT ARRIVES (RFC 9293 3.10.7): one segment against one connection.
 *
 * Steps in the RFC's order, each returning a verdict; the first that is not "continue" ends the
 * walk. No step sends, frees or calls back: what is to be sent is noted in the tcb (output.h) or
 * in the verdict (RST).
 */
#ifndef UT_TCP_ARRIVE_H
#define UT_TCP_ARRIVE_H

#include "tcp/tcb.h"
#include "tcp/verdict.h"
#include "wire/tcp.h"

/* States SYN-SENT, SYN-RECEIVED and all synchronized ones but TIME-WAIT (time_wait.h). Drops are
 * counted in env. After VERDICT_CLOSED the state is CLOSED; a state of TIME_WAIT afterwards asks
 * the stack for a compact record. */
struct tcp_verdict tcp_arrive(struct tcb *t, const struct tcp_seg *seg, ns_t now);
/* 3.10.7.1: no such connection. Counts nothing. */
struct tcp_verdict tcp_arrive_closed(const struct tcp_seg *seg);
/* 3.10.7.2: a listener; VERDICT_SYN when a connection may begin. Counts nothing. */
struct tcp_verdict tcp_arrive_listen(const struct tcp_seg *seg);
/* An ICMP error about this connection; `seq` is the quoted sequence number. `hard` errors end
 * SYN-SENT and SYN-RECEIVED only (RFC 5927 5.2). True: CLOSED now, with `error`. */
bool tcp_icmp_error(struct tcb *t, seq32 seq, int error, bool hard);

/* Sequence space a segment takes, SYN and FIN counted (RFC 9293 3.4). */
static inline uint32_t seg_len(const struct tcp_seg *s)
{
    return s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
}

#endif
