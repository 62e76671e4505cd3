/* memory.h: what only the in-memory link can do: be joined to another, or be driven from outside.
 *
 * All of this may be called from any thread while stacks use the links.
 */
#ifndef UT_LINK_MEMORY_H
#define UT_LINK_MEMORY_H

#include "link/link.h"

bool link_is_memory(const struct link *l);
/* What a sends b receives and the other way round; frames sent before the join are handed over.
 * An end whose partner has been closed may be joined again. -UT_E_INVALID: not two memory links,
 * joined already, or of different medium or offload. */
int memory_join(struct link *a, struct link *b);
/* Joins l to the end that waits under `name` (returns 1), or lets it wait there (0). An end keeps
 * its name until it is closed. -UT_E_ADDRESS_IN_USE: two ends have that name; -UT_E_INVALID as
 * above. */
int memory_join_name(struct link *l, const char *name);
/* The oldest frame the stack sent, copied out: its length, 0 when there is none, -UT_E_INVALID when
 * `cap` is too small (the frame stays), -UT_E_NOT_SUPPORTED when the link is joined. */
int64_t memory_read(struct link *l, uint8_t *to, size_t cap, struct link_offload *offload);
/* Readable while memory_read would return a frame; -UT_E_NOT_SUPPORTED when the link is joined. */
int memory_far_fd(struct link *l);
/* A frame for the stack to receive. -UT_E_WOULD_BLOCK: queue full; -UT_E_INVALID: longer than any
 * queue can hold. */
int memory_write(struct link *l, const uint8_t *frame, size_t len,
                 const struct link_offload *offload);

#endif
