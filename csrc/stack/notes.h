/* notes.h: the notes of a stack: a ring of fixed size that is there while somebody traces.
 *
 *   1. capacity 0 = off: env.on_note is NULL then, and nothing is noted
 *   2. what finds the ring full is counted in `missed` and lost: those in it stay in order
 */
#ifndef UT_STACK_NOTES_H
#define UT_STACK_NOTES_H

#include "base/alloc.h"
#include "include/usertcp_notes.h"

struct notes {
    ut_note *item;
    uint32_t capacity, first, count;
    uint64_t missed;
    uint64_t *pending; /* `count`, where the host sees it */
};

/* 0, -INVALID, -NO_MEMORY. */
int notes_start(ut_stack *s, uint32_t capacity);
/* Idempotent. */
void notes_stop(ut_stack *s);
static inline bool notes_are_on(const struct notes *n) { return n->capacity != 0; }
/* Room for one more, zeroed, or NULL: one is missed. */
ut_note *notes_add(struct notes *n);
int notes_take(struct notes *n, ut_note *out, int max, uint64_t *missed);

#endif
