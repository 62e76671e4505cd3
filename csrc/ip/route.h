/* route.h: where a packet goes next: on the link, to the one gateway of its family, or nowhere.
 */
#ifndef UT_IP_ROUTE_H
#define UT_IP_ROUTE_H

#include "ip/addr.h"

struct route_table {
    bool is_point_to_point; /* a link without stations: everything goes out, to nobody in particular
                             */
    bool has_gateway4, has_gateway6;
    struct ipaddr gateway4, gateway6;
};

void route_set_gateway(struct route_table *r, const struct ipaddr *gateway);
/* The station that takes packets for dst in *next_hop. False: no route. */
bool route_next_hop(const struct route_table *r, const struct addr_table *t,
                    const struct ipaddr *dst, struct ipaddr *next_hop);

#endif
