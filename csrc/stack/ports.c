/* ports.c: double-hash port selection (RFC 6056 3.3.4).
 *
 * For one destination ports go up from a place only we can compute, so they are used again as late
 * as can be; the counter is shared by destinations that hash alike and moves in random steps, so
 * that watching one tells little of another (CVE-2022-1012).
 */
#include "stack/ports.h"

#include "stack/listen.h"

#define PORT_STEP_MAX 8u

bool ports_init(ut_stack *s)
{
    s->port_counters = alloc_get(&s->alloc, PORT_COUNTERS * sizeof *s->port_counters);
    if (s->port_counters == NULL)
        return false;
    for (uint32_t i = 0; i < PORT_COUNTERS; i++)
        s->port_counters[i] = (uint32_t)rand_u64(&s->rand);
    return true;
}

void ports_fini(ut_stack *s)
{
    alloc_put(&s->alloc, s->port_counters, PORT_COUNTERS * sizeof *s->port_counters);
    s->port_counters = NULL;
}

static uint32_t ports_range(const ut_stack *s)
{
    return s->config.port_last - s->config.port_first + 1;
}

bool ports_choose(ut_stack *s, struct flow_key *key)
{
    key->lport = 0;
    uint32_t offset = (uint32_t)siphash24(&s->secrets.port_offset, key, FLOW_KEY_LEN);
    uint32_t index = (uint32_t)siphash24(&s->secrets.port_index, key, FLOW_KEY_LEN) % PORT_COUNTERS;
    uint32_t *counter = &s->port_counters[index];
    uint32_t range = ports_range(s);
    for (uint32_t tries = 0; tries < range; tries++) {
        *counter += tries == 0 ? 1 + rand_below(&s->rand, PORT_STEP_MAX) : 1;
        key->lport = (uint16_t)(s->config.port_first + (uint32_t)(*counter + offset) % range);
        /* RFC 6056 3.2: a port with a listener is in service. */
        if (demux_find(&s->demux, key) == 0 && listen_find(s, &key->local, key->lport) == NULL)
            return true;
    }
    return false;
}

uint16_t ports_choose_listening(ut_stack *s, const struct ipaddr *ip)
{
    uint32_t range = ports_range(s), start = rand_below(&s->rand, range);
    for (uint32_t i = 0; i < range; i++) {
        uint16_t port = (uint16_t)(s->config.port_first + (start + i) % range);
        if (!listen_is_taken(s, ip, port, false))
            return port;
    }
    return 0;
}
