/* addr.h: our own addresses: which there are, which may be used, which source fits a destination.
 *
 * A short table searched from the front. An IPv6 address may be tentative (RFC 4862 5.4): then it
 * is neither a source nor a destination yet; whoever owns the table keeps the time.
 */
#ifndef UT_IP_ADDR_H
#define UT_IP_ADDR_H

#include "base/time.h"
#include "wire/addr.h"

#define ADDR_MAX 64

enum addr_phase {
    ADDR_USABLE,
    ADDR_TENTATIVE, /* duplicate address detection runs until `until` */
    ADDR_DUPLICATE, /* another station has it: never used */
};

struct addr {
    struct ipaddr ip;
    struct ipaddr broadcast; /* of its prefix; unspecified when there is none */
    uint8_t prefix_len;      /* IPv4: 0..32, IPv6: 0..128 */
    uint8_t phase;           /* enum addr_phase */
    bool is_automatic;       /* the link-local address the stack gave itself */
    ns_t until;              /* while tentative */
};

struct addr_table {
    uint32_t count;
    struct addr item[ADDR_MAX];
};

/* Adds or finds it; NULL when the table is full. `prefix_len` must fit the family. */
struct addr *addr_add(struct addr_table *t, const struct ipaddr *ip, int prefix_len);
/* Whatever its state; NULL: not ours. */
struct addr *addr_find(struct addr_table *t, const struct ipaddr *ip);
/* Ours and usable. */
bool addr_is_ours(const struct addr_table *t, const struct ipaddr *ip);
/* Its solicited-node group (RFC 4291 2.7.1) or all-nodes: one that we listen to. */
bool addr_is_our_group(const struct addr_table *t, const struct ipaddr *group);
/* Covered by one of our prefixes, or link-local. */
bool addr_is_on_link(const struct addr_table *t, const struct ipaddr *ip);
/* 255.255.255.255 or the broadcast address of one of our IPv4 prefixes (RFC 1122 3.2.1.3). */
bool addr_is_broadcast(const struct addr_table *t, const struct ipaddr *ip);
/* The usable source for a destination (RFC 6724 5, as far as one interface has use for it); NULL:
 * none of its family. */
const struct addr *addr_source_for(const struct addr_table *t, const struct ipaddr *dst);
/* fe80::/64 with the modified EUI-64 of a station address (RFC 4291 appendix A). */
struct ipaddr addr_link_local(const struct macaddr *mac);
/* No packet may come from it: unspecified, multicast, broadcast, loopback. */
bool addr_is_bad_source(const struct addr_table *t, const struct ipaddr *ip);

#endif
