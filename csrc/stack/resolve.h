/* resolve.h: stations on the wire: ARP and neighbour discovery, and our own addresses' standing.
 *
 * The cache itself is ip/neigh.h; here its questions become frames and the answers wake
 * connections. RFC 826, RFC 4861 7.2, RFC 4862 5.4. Links without stations come here only with
 * addresses.
 */
#ifndef UT_STACK_RESOLVE_H
#define UT_STACK_RESOLVE_H

#include "stack/conn.h"
#include "stack/ingress.h"

/* The station for packets to `remote`, by way of *ref, which remembers it. NULL: not known yet
 * (then resolution has begun) or no route. */
const struct macaddr *resolve_station(ut_stack *s, const struct ipaddr *remote, neigh_ref *ref);
/* The same for replies, which strangers can provoke: begins no resolution when the cache is half
 * full, so that it serves connections first. */
const struct macaddr *resolve_reply_station(ut_stack *s, const struct ipaddr *remote);
/* The station the last segment of a completed handshake came from is the peer's, when the peer is
 * on the link: it answered what we sent there. */
void resolve_learn(ut_stack *s, const struct rx *rx);
/* An entry's deadline. */
void resolve_timeout(ut_stack *s, struct deadline_node *node);

void resolve_arp_arrive(ut_stack *s, struct rx *rx, const uint8_t *payload, size_t len);
void resolve_ndp_arrive(ut_stack *s, struct rx *rx, const struct icmp_msg *icmp);

/* ut_address_add, ut_address_state, ut_gateway_set */
int resolve_address_add(ut_stack *s, const struct ipaddr *ip, int prefix_len, bool check);
int resolve_address_state(ut_stack *s, const struct ipaddr *ip);
int resolve_gateway_set(ut_stack *s, const struct ipaddr *ip);
/* Duplicate address detection has waited long enough for some address. */
void resolve_addresses_timeout(ut_stack *s);

#endif
