/* base.c: the end of a failed assertion.
 *
 * UT_ASSERT calls it from everywhere; nothing that arrives from the network may lead here.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void base_assert_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "usertcp: %s:%d: assertion failed: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}
