/* close.h: how users let go of connections (RFC 9293 3.10.4, 3.10.5).
 */
#ifndef UT_STACK_CLOSE_H
#define UT_STACK_CLOSE_H

#include "stack/conn.h"
#include "stack/listen.h"

/* FIN after what was accepted; the user stays. */
int close_sending(ut_stack *s, struct conn *c);
/* The user goes; `abort`: with an RST. The connection may be gone afterwards. */
void close_conn(ut_stack *s, struct conn *c, bool abort);

#endif
