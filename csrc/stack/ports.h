/* ports.h: which ephemeral port a new connection gets (RFC 6056).
 */
#ifndef UT_STACK_PORTS_H
#define UT_STACK_PORTS_H

#include "stack/stack.h"

/* Takes memory for the counters; false: none. */
bool ports_init(ut_stack *s);
void ports_fini(ut_stack *s);
/* Fills key->lport, whose other values are set, so that the whole is new. False: none is free. */
bool ports_choose(ut_stack *s, struct flow_key *key);
/* A port for a listener on `ip`; 0: none is free. */
uint16_t ports_choose_listening(ut_stack *s, const struct ipaddr *ip);

#endif
