/* clock.h: the machine's clock, for the two that wait on their own: pump.c and busy.c.
 *
 * Everything else in stack/ and below is told the time.
 */
#ifndef UT_STACK_CLOCK_H
#define UT_STACK_CLOCK_H

#include <time.h>

#include "base/time.h"

static inline ns_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ns_t)t.tv_sec * NS_PER_S + (ns_t)t.tv_nsec;
}

#endif
