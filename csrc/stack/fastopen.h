/* fastopen.h: cookies of TCP Fast Open (RFC 7413): those a listener gives, and those of servers
 * that are kept. What a connection does with them: tcp/fastopen.h.
 *
 *   SYN, no cookie     -> half-open entry, cookie on its SYN,ACK
 *   SYN, good cookie   -> a connection in SYN-RECEIVED on the accept queue, at most
 *                         listener.fast_open_max of them
 *   SYN, bad cookie    -> as none
 *   too many, or SYN cookies at work -> as if there were no option
 *
 *   1. A cookie is SipHash-2-4 of client's and server's address under a key of 16 bytes, as Linux
 *      makes it, so that servers of both kinds behind one name can share a key.
 *   2. The key changes once a day unless it was given, and the one before is still good.
 *   3. What is kept of servers is bounded; when full, the oldest of a sample gives way.
 */
#ifndef UT_STACK_FASTOPEN_H
#define UT_STACK_FASTOPEN_H

#include "stack/ingress.h"
#include "stack/listen.h"

/* ---- server ---- */

void fast_open_init(ut_stack *s);
void fast_open_fini(ut_stack *s);
/* From now on; the one before is still accepted. */
void fast_open_set_key(ut_stack *s, const uint8_t key[16]);
/* The cookie for this client. */
void fast_open_make_cookie(ut_stack *s, const struct flow_key *key, struct tcp_cookie *out);
/* Whether the listener looks at the option at all, for one more. */
bool fast_open_is_served(const ut_stack *s, struct listener *l);
/* A SYN with the option: true when it has become a connection. */
bool fast_open_begin(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after);
/* The connection has left SYN-RECEIVED. */
void fast_open_ended(ut_stack *s, struct conn *c);
/* The listener goes. */
void fast_open_forget_listener(ut_stack *s, const struct listener *l);
/* PendingFastOpenRequests, and those that were reset in the last minute or two (RFC 7413 5.1). */
uint32_t fast_open_pending(const ut_stack *s, struct listener *l);

/* ---- client ---- */

/* Before tcp_open: what its SYN will have. */
void fast_open_connect(ut_stack *s, struct conn *c);
/* It has left SYN-SENT: what was learnt of server and path. `seg`: because of it, or NULL. */
void fast_open_learn(ut_stack *s, const struct conn *c, enum tcp_state to,
                     const struct tcp_seg *seg);

#endif
