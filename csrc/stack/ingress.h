/* ingress.h: one frame from the link, through parsing and the table, to whoever it is for.
 */
#ifndef UT_STACK_INGRESS_H
#define UT_STACK_INGRESS_H

#include "stack/stack.h"
#include "wire/ether.h"
#include "wire/ip.h"
#include "wire/tcp.h"

/* A packet on its way up; what is set depends on how far it came. */
struct rx {
    const struct link_frame *frame;
    struct ether_hdr ether; /* Ethernet only */
    bool is_unicast;        /* the frame was for our station alone (or the link has no stations) */
    bool is_reassembled;    /* `ip` is not the frame's: no offload of the link speaks of it */
    struct ip_hdr ip;
    struct tcp_seg seg;
    struct flow_key key; /* as seen from our side */
};

/* The frame may be brought into one piece. */
void ingress_frame(ut_stack *s, struct link_frame *frame);

/* Who sent it: where an answer may go when its address is not resolved. NULL on links without
 * stations. */
static inline const struct macaddr *rx_station(const ut_stack *s, const struct rx *rx)
{
    return stack_is_ethernet(s) ? &rx->ether.src : NULL;
}

#endif
