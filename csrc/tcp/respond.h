/* respond.h: segments that are replies and need no output engine: RST, and ACKs of compact records.
 *
 * Ports are filled by swapping those of the segment answered.
 */
#ifndef UT_TCP_RESPOND_H
#define UT_TCP_RESPOND_H

#include "tcp/tcb.h"
#include "wire/tcp.h"

/* The RST that answers `in` (RFC 9293 3.5.2 groups 1 and 2, 3.10.7.1). `in` must not be an RST. */
void respond_rst(const struct tcp_seg *in, struct tcp_seg *out);
/* The RST of an ABORT in this state; false: none is due (SYN-SENT, CLOSED, TIME-WAIT ...). Ports
 * are the caller's to fill. */
bool respond_abort(const struct tcb *t, ns_t now, struct tcp_seg *out);

#endif
