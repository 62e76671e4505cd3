/* connect.c: what ut_connect does below its argument checks.
 */
#include "stack/connect.h"

#include "stack/fastopen.h"
#include "stack/isn.h"
#include "stack/path.h"
#include "stack/ports.h"
#include "tcp/user.h"

/* RFC 9293 3.9.1.1 (MUST-46): a connection has one host at its far end, and not ourselves. */
static bool connect_is_bad_remote(ut_stack *s, const struct ipaddr *ip)
{
    return addr_is_bad_source(&s->addresses, ip) || addr_find(&s->addresses, ip) != NULL;
}

/* RFC 9293 3.9.1.1 (MUST-43, MUST-44): the caller's address if it gave one, else the best of ours.
 */
static int connect_choose_source(ut_stack *s, struct flow_key *key)
{
    if (!ipaddr_is_unspecified(&key->local)) {
        if (ipaddr_is_v4(&key->local) != ipaddr_is_v4(&key->remote))
            return -UT_E_INVALID;
        return addr_is_ours(&s->addresses, &key->local) ? 0 : -UT_E_ADDRESS_NOT_AVAILABLE;
    }
    const struct addr *a = addr_source_for(&s->addresses, &key->remote);
    if (a == NULL)
        return -UT_E_NO_ROUTE; /* no usable address of that family */
    key->local = a->ip;
    return 0;
}

int connect_begin(ut_stack *s, const struct flow_key *name, unsigned flags, struct conn **out)
{
    struct flow_key key = *name;
    struct ipaddr next_hop;
    if (connect_is_bad_remote(s, &key.remote))
        return -UT_E_BAD_DESTINATION;
    if (!route_next_hop(&s->routes, &s->addresses, &key.remote, &next_hop))
        return -UT_E_NO_ROUTE;
    int code = connect_choose_source(s, &key);
    if (code != 0)
        return code;
    if (key.lport != 0) {
        if (demux_find(&s->demux, &key) != 0)
            return -UT_E_ADDRESS_IN_USE;
    } else if (!ports_choose(s, &key)) {
        return -UT_E_NO_PORTS;
    }
    struct conn *c;
    code = conn_new(s, &key, 0, &c);
    if (code != 0)
        return code;
    stack_count(s, COUNTER_active_opens);
    struct tcp_start start = {isn_make(s, &c->key), isn_timestamp_offset(s, &c->key),
                              stack_path_to(s, &c->key.remote)};
    tcb_init(&c->tcb, &s->env, &start);
    path_begin(s, c);
    if ((flags & (UT_CONNECT_ECN | UT_CONNECT_NO_ECN)) != 0)
        c->tcb.ecn.asks = ((flags & UT_CONNECT_ECN) != 0 ? ecn_best(&s->env.params) : ECN_NONE) & 3;
    if ((flags & UT_CONNECT_FAST_OPEN) != 0)
        fast_open_connect(s, c);
    c->has_user = true;
    tcp_open(&c->tcb, s->now);
    conn_after(s, c, (struct trace_cause){.call = "connect"});
    *out = c;
    return c->tcb.fast_open.waits;
}
