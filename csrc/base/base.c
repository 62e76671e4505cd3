/* base.c: the end of a failed assertion, and the count of UT_WORK.
 *
 * UT_ASSERT calls the first from everywhere; nothing that arrives from the network may lead here.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(UT_CHECKS) && UT_CHECKS
_Thread_local uint64_t base_work;
#endif

_Noreturn void base_assert_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "usertcp: %s:%d: assertion failed: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}
