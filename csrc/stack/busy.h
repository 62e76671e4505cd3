/* busy.h: looking at the link again and again instead of going to sleep.
 */
#ifndef UT_STACK_BUSY_H
#define UT_STACK_BUSY_H

#include "base/time.h"

struct ut_stack;

/* Turns until a frame has come whose news the host must hear, or `most` has passed. How many frames
 * came; -1 without any turn when the host has called since the last time: it is not idle yet. Takes
 * the mutex for each turn. `now` of the stack must be CLOCK_MONOTONIC in ns. */
int busy_poll(struct ut_stack *s, ns_t most);

#endif
