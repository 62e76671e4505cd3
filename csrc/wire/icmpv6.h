/* icmpv6.h: ICMPv6 (RFC 4443) and neighbour discovery messages (RFC 4861 4).
 */
#ifndef UT_WIRE_ICMPV6_H
#define UT_WIRE_ICMPV6_H

#include "wire/icmp.h"

/* Checks the checksum over the pseudo-header. */
enum drop_reason icmp6_parse(const struct ip_hdr *ip, struct icmp_msg *out);
/* Writes an echo reply with its checksum; returns its length. */
size_t icmp6_write_echo(uint8_t *to, const struct icmp_msg *request, const struct ipaddr *src,
                        const struct ipaddr *dst);

#define NDP_SOLICITATION 135
#define NDP_ADVERTISEMENT 136

struct ndp_msg {
    uint8_t type; /* NDP_SOLICITATION or NDP_ADVERTISEMENT */
    struct ipaddr target;
    bool router, solicited, override; /* advertisement flags */
    bool has_mac;
    struct macaddr mac; /* source (NS) or target (NA) link-layer address */
};

/* The validity checks of RFC 4861 7.1.1 and 7.1.2, hop limit 255 among them. */
enum drop_reason ndp_parse(const struct ip_hdr *ip, const struct icmp_msg *icmp,
                           struct ndp_msg *out);
/* Writes the message with its checksum; returns its length (24, or 32 with an address). */
size_t ndp_write(uint8_t *to, const struct ndp_msg *m, const struct ipaddr *src,
                 const struct ipaddr *dst);

#endif
