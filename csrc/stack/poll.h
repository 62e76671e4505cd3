/* poll.h: one turn of a stack: frames in, due timers, output, events.
 */
#ifndef UT_STACK_POLL_H
#define UT_STACK_POLL_H

#include "stack/stack.h"

/* As ut_poll, without events: true when `budget` frames were taken and more may wait; sets
 * link_is_down when the link has failed. */
bool poll_turn(ut_stack *s, int budget);

#endif
