/* tun.c: being built. */
#include "base/errors.h"
#include "link/open.h"

int link_tun_open(struct alloc *a, const char *ifname, const struct link_options *o,
                  struct link **out)
{
    (void)a, (void)ifname, (void)o, (void)out;
    return -UT_E_NOT_SUPPORTED;
}
