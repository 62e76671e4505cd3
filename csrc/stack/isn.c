/* isn.c: called when a connection begins, actively or passively.
 */
#include "stack/isn.h"

#define ISN_TICK (4 * NS_PER_US) /* RFC 9293 3.4.1 (MUST-8) */

seq32 isn_make(ut_stack *s, const struct flow_key *key)
{
    /* Test hook: 1 = the first, 2 = every one. */
    if (s->config.fixed_isn == 2 || (s->config.fixed_isn == 1 && s->isns_made++ == 0))
        return seq_make(s->config.fixed_isn_value);
    /* RFC 6528 3 (MUST-9, SHLD-1): the hash is keyed, so an outsider cannot compute it. */
    uint32_t hash = (uint32_t)siphash24(&s->secrets.isn, key, FLOW_KEY_LEN);
    return seq_make((uint32_t)(s->now / ISN_TICK) + hash);
}

uint32_t isn_timestamp_offset(const ut_stack *s, const struct flow_key *key)
{
    if (s->config.fixed_ts_offset != 0)
        return s->config.fixed_ts_offset_value;
    return (uint32_t)siphash24(&s->secrets.timestamp, key, FLOW_KEY_LEN);
}
