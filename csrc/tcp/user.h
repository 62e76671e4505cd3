/* user.h: the user's calls (RFC 9293 3.10.1 to 3.10.6). None sends: call output afterwards.
 *
 * Results are 0 or a count, or a negated enum ut_error.
 */
#ifndef UT_TCP_USER_H
#define UT_TCP_USER_H

#include "tcp/tcb.h"

struct tcp_half;

/* 3.10.1 active OPEN: CLOSED -> SYN-SENT. */
void tcp_open(struct tcb *t, ns_t now);
/* A handshake a listener held compactly goes on here: CLOSED -> SYN-RECEIVED; the segment that
 * completed it is to be given to tcp_arrive next. */
void tcp_open_from_half(struct tcb *t, const struct tcp_half *half, ns_t now);
/* 3.10.2 SEND: bytes taken, or -WOULD_BLOCK, -CLOSING, -NO_MEMORY, or why the connection ended. */
int64_t tcp_send(struct tcb *t, const void *data, size_t len, ns_t now);
/* 3.10.3 RECEIVE: bytes copied, or -WOULD_BLOCK, -END_OF_STREAM, or why the connection ended. */
int64_t tcp_receive(struct tcb *t, void *to, uint32_t max, ns_t now);
/* Lends contiguous readable bytes (0 = none: then ask tcp_receive why). */
uint32_t tcp_receive_lend(struct tcb *t, uint32_t max, uint8_t **at);
void tcp_receive_done(struct tcb *t, uint32_t len, ns_t now);
/* 3.10.4 CLOSE of our direction: FIN after what was accepted. Idempotent. In SYN-SENT the
 * connection is CLOSED at once. */
/* Another congestion control, from now on. */
void tcp_set_congestion(struct tcb *t, const struct cc_ops *ops);
int tcp_shutdown(struct tcb *t, ns_t now);
/* CLOSE by a user that goes away: as tcp_shutdown, and what still arrives is refused. True: an RST
 * must go out instead (unread data, RFC 9293 SHLD-3; or the state asks for it) and t is CLOSED;
 * build it with respond_abort before calling. */
bool tcp_close_must_reset(const struct tcb *t);
void tcp_close(struct tcb *t, ns_t now);
/* 3.10.5 ABORT: CLOSED with ABORTED; an RST is owed if respond_abort said so beforehand. */
void tcp_abort(struct tcb *t, int error);
/* Receive and send limits within [1, ring size]. */
int tcp_set_rcv_limit(struct tcb *t, uint32_t bytes);
int tcp_set_snd_limit(struct tcb *t, uint32_t bytes);
/* As Linux's TCP_NOTSENT_LOWAT: tcp_send takes what can leave at once and about so much beside. */
void tcp_set_notsent_lowat(struct tcb *t, uint32_t bytes);
/* Sets TCP_EV_WRITABLE if tcp_send refused something and there is room again. */
void tcp_tell_writable(struct tcb *t);

#endif
