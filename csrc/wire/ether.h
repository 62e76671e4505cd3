/* ether.h: Ethernet II headers. */
#ifndef UT_WIRE_ETHER_H
#define UT_WIRE_ETHER_H

#include "base/drops.h"
#include "wire/addr.h"

#define ETHER_HEADER_LEN 14
#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_ARP 0x0806
#define ETHER_TYPE_IPV6 0x86dd

struct ether_hdr {
    struct macaddr dst, src;
    uint16_t type;
};

enum drop_reason ether_parse(const uint8_t *frame, size_t len, struct ether_hdr *out);
/* Writes ETHER_HEADER_LEN bytes. */
void ether_write(uint8_t *to, const struct ether_hdr *h);
bool macaddr_is_group(const struct macaddr *m);
/* 33:33:xx (RFC 2464 7) of an IPv6 multicast address. */
struct macaddr macaddr_of_multicast_v6(const struct ipaddr *group);

#endif
