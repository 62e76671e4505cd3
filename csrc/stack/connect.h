/* connect.h: active opens: route, source address, port (RFC 9293 3.9.1.1, 3.10.1).
 */
#ifndef UT_STACK_CONNECT_H
#define UT_STACK_CONNECT_H

#include "stack/conn.h"

/* `name` has remote and rport; local and lport may be unset. A connection in SYN-SENT with a user,
 * or a negated code; 1 when the SYN waits for data. `flags`: of ut_connect. */
int connect_begin(ut_stack *s, const struct flow_key *name, unsigned flags, struct conn **out);

#endif
