/* config.c: the two profiles: what a stack does where the RFCs leave a choice, or where common
 * practice has left them behind. Called by the host before ut_stack_new.
 */
#include <stdbool.h>

#include "base/errors.h"
#include "base/time.h"
#include "include/usertcp.h"

/* What other hosts of the Internet do, Linux above all. */
static const ut_config config_linux = {
    .profile = UT_PROFILE_LINUX,
    .max_connections = 262144,
    .max_time_wait = 65536,
    .max_half_open = 4096,
    .rcv_buffer = 1u << 20,
    .snd_buffer = 1u << 20,
    /* DEVIATES RFC 9293 3.4.2: an MSL of 30 s instead of 2 min, because no network keeps a
     * segment longer, timestamps tell old duplicates apart, and other stacks do the same. */
    .msl_ns = 30 * NS_PER_S,
    .rto_initial_ns = NS_PER_S,
    /* DEVIATES RFC 6298 2.4: a least RTO of 200 ms instead of 1 s, because delays within a
     * network are milliseconds now and acknowledgements are delayed by 40 ms at most. */
    .rto_min_ns = 200 * NS_PER_MS,
    .rto_max_ns = 120 * NS_PER_S,
    .delack_ns = 40 * NS_PER_MS,
    .quick_acks = 16, /* as Linux: a peer with Nagle on is not kept waiting at the start */
    .user_timeout_ns = 924 * NS_PER_S,    /* RFC 9293 3.8.3 (SHLD-11): R2 at least 100 s */
    .connect_timeout_ns = 180 * NS_PER_S, /* RFC 9293 3.8.3 (MUST-23) */
    .orphan_timeout_ns = 60 * NS_PER_S,
    .synack_retries = 5,
    .syn_cookies = 1,
    .use_timestamps = 1,
    .use_window_scale = 1,
    .use_sack = 1,
    .port_first = 32768, /* RFC 6056 3.2: a large range */
    .port_last = 65535,
    .challenge_ack_limit = 10,
};

void ut_config_default(ut_config *c) { *c = config_linux; }

int ut_config_profile(ut_config *c, uint32_t profile)
{
    if (profile > UT_PROFILE_RFC)
        return -UT_E_INVALID;
    c->profile = profile;
    bool is_rfc = profile == UT_PROFILE_RFC;
    const ut_config *l = &config_linux;
    c->msl_ns = is_rfc ? 120 * NS_PER_S : l->msl_ns;         /* RFC 9293 3.4.2 */
    c->rto_min_ns = is_rfc ? NS_PER_S : l->rto_min_ns;       /* RFC 6298 2.4 (SHOULD) */
    c->delack_ns = is_rfc ? 200 * NS_PER_MS : l->delack_ns;  /* RFC 9293 3.8.6.3 (MUST-40) */
    c->quick_acks = is_rfc ? 0 : l->quick_acks;              /* RFC 5681 4.2: delayed throughout */
    c->synack_retries = is_rfc ? 7 : l->synack_retries;      /* RFC 9293 3.8.3 (MUST-23): 180 s */
    c->syn_cookies = is_rfc ? 0 : l->syn_cookies;            /* RFC 4987 3.6: they lose options */
    return 0;
}
