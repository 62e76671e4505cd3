/* config.c: the profiles: what a stack does where the RFCs leave a choice, or where common practice
 * has left them behind. Called by the host before ut_stack_new.
 */
#include <stdbool.h>

#include "base/errors.h"
#include "base/time.h"
#include "include/usertcp.h"

int ut_config_profile(ut_config *c, uint32_t profile)
{
    ut_config l;
    if (profile > UT_PROFILE_RFC)
        return -UT_E_INVALID;
    ut_config_default(&l); /* what other hosts of the Internet do, Linux above all */
    bool is_rfc = profile == UT_PROFILE_RFC;
    c->profile = profile;
    c->msl_ns = is_rfc ? 120 * NS_PER_S : l.msl_ns;        /* RFC 9293 3.4.2 */
    c->rto_min_ns = is_rfc ? NS_PER_S : l.rto_min_ns;      /* RFC 6298 2.4 (SHOULD) */
    c->delack_ns = is_rfc ? 200 * NS_PER_MS : l.delack_ns; /* RFC 9293 3.8.6.3 (MUST-40) */
    c->quick_acks = is_rfc ? 0 : l.quick_acks;             /* RFC 5681 4.2: delayed throughout */
    c->synack_retries = is_rfc ? 7 : l.synack_retries;     /* RFC 9293 3.8.3 (MUST-23): 180 s */
    c->syn_cookies = is_rfc ? 0 : l.syn_cookies;           /* RFC 4987 3.6: they lose options */
    return 0;
}
