/* time.h: instants and durations in nanoseconds; the caller supplies every instant.
 *
 * TIME_NEVER is a deadline that does not come; arithmetic on it saturates.
 */
#ifndef UT_BASE_TIME_H
#define UT_BASE_TIME_H

#include "base/base.h"

typedef uint64_t ns_t;

#define TIME_NEVER UINT64_MAX
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* instant + duration, saturating at TIME_NEVER. */
static inline ns_t time_after(ns_t instant, ns_t duration)
{
    return duration >= TIME_NEVER - instant ? TIME_NEVER : instant + duration;
}

/* later - earlier, 0 when `later` is not later (clocks handed to us may stand still). */
static inline ns_t time_between(ns_t earlier, ns_t later)
{
    return later > earlier ? later - earlier : 0;
}

#endif
