/* ip.h: what IPv4 and IPv6 headers say, in one shape for both.
 */
#ifndef UT_WIRE_IP_H
#define UT_WIRE_IP_H

#include "base/drops.h"
#include "wire/addr.h"

#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_ICMPV6 58
#define IP_MAX_HEADER_WRITTEN 40 /* the longest header we write */

struct ip_hdr {
    struct ipaddr src, dst;
    uint8_t version;  /* 4 or 6 */
    uint8_t proto;    /* upper layer, after extension headers */
    uint8_t ttl;      /* or hop limit */
    uint8_t dscp_ecn; /* TOS or traffic class, as on the wire */
    uint32_t flow_label;
    uint16_t id; /* IPv4 */
    bool is_fragment;
    bool more_fragments;
    uint32_t fragment_offset; /* bytes */
    uint32_t fragment_id;
    bool has_fragment_header; /* IPv6: an atomic one counts too (RFC 6980 5) */
    const uint8_t *payload;
    uint32_t payload_len;
};

#endif
