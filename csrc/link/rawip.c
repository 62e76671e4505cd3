/* rawip.c: being built. */
#include "base/errors.h"
#include "link/open.h"

int link_rawip_open(struct alloc *a, const struct link_options *o, struct link **out)
{
    (void)a, (void)o, (void)out;
    return -UT_E_NOT_SUPPORTED;
}
