/* whitebox_stack.h: what a simulation wants of a whole stack; never in the shipped module. */
#ifndef UT_API_WHITEBOX_STACK_H
#define UT_API_WHITEBOX_STACK_H

#include "include/usertcp.h"

/* CDEF BEGIN */
/* So many allocations more succeed, then none; UINT64_MAX: all do. */
void wb_stack_fail_after(ut_stack *s, uint64_t successes);
/* What a connection must not be, between two turns: a sentence, or NULL when all is well. A timer
 * has its reason, what waits has its timer, memory is below its limit. */
const char *wb_stack_fault(ut_stack *s);
/* Connections, records, rings and what else is taken from a pool; listeners not counted. */
uint32_t wb_stack_in_use(ut_stack *s);
/* CDEF END */

#endif
