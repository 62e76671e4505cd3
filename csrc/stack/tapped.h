/* tapped.h: the receive path while a capture is on: each frame with what became of it.
 */
#ifndef UT_STACK_TAPPED_H
#define UT_STACK_TAPPED_H

#include "stack/stack.h"

/* As ingress_frame for each of the batch; a frame that was dropped gets a comment in the file. */
void tapped_frames(ut_stack *s, struct link_frame *frames, int count);

#endif
