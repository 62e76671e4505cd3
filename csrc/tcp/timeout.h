/* timeout.h: time-outs (RFC 9293 3.10.8): retransmission, persist, delayed ACK, user, orphan.
 */
#ifndef UT_TCP_TIMEOUT_H
#define UT_TCP_TIMEOUT_H

#include "tcp/tcb.h"

/* Runs whatever is due at `now`; call output afterwards. True: the connection is CLOSED now. */
bool tcp_timeout(struct tcb *t, ns_t now);

#endif
