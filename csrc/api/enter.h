/* enter.h: the beginning and the end of every public call on a stack.
 */
#ifndef UT_API_ENTER_H
#define UT_API_ENTER_H

#include "stack/stack.h"

static inline void enter(ut_stack *s) { pthread_mutex_lock(&s->lock); }

/* The same at a time the caller tells. */
static inline void enter_at(ut_stack *s, uint64_t now)
{
    pthread_mutex_lock(&s->lock);
    stack_set_now(s, now);
}

/* Sends what the call led to, and returns `code`. */
static inline int enter_leave(ut_stack *s, int code)
{
    stack_settle(s);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static inline struct ipaddr enter_address(const uint8_t ip[16])
{
    struct ipaddr a;
    memcpy(a.b, ip, sizeof a.b);
    return a;
}

#endif
