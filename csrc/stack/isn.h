/* isn.h: initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 5.4).
 */
#ifndef UT_STACK_ISN_H
#define UT_STACK_ISN_H

#include "stack/stack.h"
#include "tcp/seq.h"

/* A 4 us clock plus a keyed hash of the connection's name: neither guessable from outside nor
 * falling back when the same name is used again. */
seq32 isn_make(ut_stack *s, const struct flow_key *key);
/* The same for one name for ever, so that timestamps of its next connection go on rising. */
uint32_t isn_timestamp_offset(const ut_stack *s, const struct flow_key *key);

#endif
