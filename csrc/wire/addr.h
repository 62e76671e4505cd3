/* addr.h: one 16-byte address type for both families; IPv4 is held IPv4-mapped (RFC 4291 2.5.5.2).
 */
#ifndef UT_WIRE_ADDR_H
#define UT_WIRE_ADDR_H

#include "base/base.h"

struct ipaddr {
    union {
        uint8_t b[16];
        uint32_t w[4];
        uint64_t q[2];
    };
};

struct macaddr {
    uint8_t b[6];
};

static inline bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
    return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

bool ipaddr_is_v4(const struct ipaddr *a);
struct ipaddr ipaddr_from_v4(const uint8_t v4[4]);
struct ipaddr ipaddr_from_v6(const uint8_t v6[16]);
/* :: or 0.0.0.0 */
bool ipaddr_is_unspecified(const struct ipaddr *a);
/* ff00::/8, 224.0.0.0/4 */
bool ipaddr_is_multicast(const struct ipaddr *a);
/* 255.255.255.255 (subnet broadcasts need the prefix: ip/addr.h) */
bool ipaddr_is_limited_broadcast(const struct ipaddr *a);
/* ::1, 127.0.0.0/8 */
bool ipaddr_is_loopback(const struct ipaddr *a);
/* fe80::/10 */
bool ipaddr_is_link_local(const struct ipaddr *a);
/* The first `bits` bits equal; for IPv4 count from the start of the four bytes. */
bool ipaddr_same_prefix(const struct ipaddr *a, const struct ipaddr *b, int bits);
/* ff02::1:ffXX:XXXX for an IPv6 unicast address (RFC 4291 2.7.1). */
struct ipaddr ipaddr_solicited_node(const struct ipaddr *a);
static inline bool macaddr_equal(const struct macaddr *a, const struct macaddr *b)
{
    return memcmp(a->b, b->b, 6) == 0;
}

#endif
