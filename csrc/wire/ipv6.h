/* ipv6.h: IPv6 headers and extension headers (RFC 8200). */
#ifndef UT_WIRE_IPV6_H
#define UT_WIRE_IPV6_H

#include "wire/ip.h"

#define IPV6_HEADER_LEN 40
#define IPV6_MAX_EXTENSIONS 8

/* Walks hop-by-hop, destination options, routing (segments left 0 only) and fragment headers, at
 * most IPV6_MAX_EXTENSIONS; unknown headers end the walk as `proto`. An atomic fragment
 * (RFC 6946) parses as no fragment. */
enum drop_reason ipv6_parse(const uint8_t *p, size_t len, struct ip_hdr *out);
/* Writes IPV6_HEADER_LEN bytes for out->payload_len bytes to follow. */
void ipv6_write(uint8_t *to, const struct ip_hdr *h);

#endif
