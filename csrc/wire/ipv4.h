/* ipv4.h: IPv4 headers (RFC 791, RFC 1122 3.2.1). */
#ifndef UT_WIRE_IPV4_H
#define UT_WIRE_IPV4_H

#include "wire/ip.h"

#define IPV4_HEADER_LEN 20

/* Checks version, lengths, header checksum and options; link padding past the total length is
 * cut off. Source routes are refused (DROP_ip_options). Fragments parse; the caller decides. */
enum drop_reason ipv4_parse(const uint8_t *p, size_t len, struct ip_hdr *out);
/* Writes IPV4_HEADER_LEN bytes with checksum and DF, for out->payload_len bytes to follow. */
void ipv4_write(uint8_t *to, const struct ip_hdr *h);
/* A header just written, without DF. */
void ipv4_allow_fragments(uint8_t *header, uint16_t id);

#endif
