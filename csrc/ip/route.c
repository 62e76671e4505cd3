/* route.c: the routing decision (RFC 1122 3.3.1.1, RFC 4861 5.2).
 *
 * Called at connect and whenever a connection's station has to be looked up anew.
 */
#include "ip/route.h"

void route_set_gateway(struct route_table *r, const struct ipaddr *gateway)
{
    if (ipaddr_is_v4(gateway)) {
        r->gateway4 = *gateway;
        r->has_gateway4 = !ipaddr_is_unspecified(gateway);
    } else {
        r->gateway6 = *gateway;
        r->has_gateway6 = !ipaddr_is_unspecified(gateway);
    }
}

bool route_next_hop(const struct route_table *r, const struct addr_table *t,
                    const struct ipaddr *dst, struct ipaddr *next_hop)
{
    *next_hop = *dst;
    if (r->is_point_to_point || addr_is_on_link(t, dst))
        return true;
    bool is_v4 = ipaddr_is_v4(dst);
    *next_hop = is_v4 ? r->gateway4 : r->gateway6;
    return is_v4 ? r->has_gateway4 : r->has_gateway6;
}
