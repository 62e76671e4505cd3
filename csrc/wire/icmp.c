/* icmp.c: ICMPv4 messages (RFC 792), and the packet quoted in an error of either version.
 *
 * Called by ip/icmp_in. What TCP makes of an error (soft or hard, believed or not) is decided
 * there and in tcp/; here every field is only read.
 */
#include "wire/icmp.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define ICMP4_ECHO_REPLY 0
#define ICMP4_UNREACHABLE 3
#define ICMP4_SOURCE_QUENCH 4
#define ICMP4_ECHO_REQUEST 8
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PARAMETER_PROBLEM 12
#define ICMP_QUOTE_TCP_LEN 8u /* ports and sequence number: all an error must quote (RFC 792) */

/* By code of type 3 (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1). */
static const uint8_t icmp4_unreachable_kinds[] = {
    [0] = ICMP_NET_UNREACHABLE,   [1] = ICMP_HOST_UNREACHABLE, [2] = ICMP_PROTO_UNREACHABLE,
    [3] = ICMP_PORT_UNREACHABLE,  [4] = ICMP_PACKET_TOO_BIG,   [5] = ICMP_NET_UNREACHABLE,
    [6] = ICMP_NET_UNREACHABLE,   [7] = ICMP_HOST_UNREACHABLE, [8] = ICMP_HOST_UNREACHABLE,
    [9] = ICMP_PROHIBITED,        [10] = ICMP_PROHIBITED,      [11] = ICMP_NET_UNREACHABLE,
    [12] = ICMP_HOST_UNREACHABLE, [13] = ICMP_PROHIBITED,      [14] = ICMP_PROHIBITED,
    [15] = ICMP_PROHIBITED,
};

static enum icmp_kind icmp4_kind(uint8_t type, uint8_t code)
{
    switch (type) {
    case ICMP4_ECHO_REPLY:
        return ICMP_ECHO_REPLY;
    case ICMP4_ECHO_REQUEST:
        return ICMP_ECHO_REQUEST;
    case ICMP4_SOURCE_QUENCH:
        return ICMP_SOURCE_QUENCH;
    case ICMP4_TIME_EXCEEDED:
        return ICMP_TIME_EXCEEDED;
    case ICMP4_PARAMETER_PROBLEM:
        return ICMP_PARAMETER_PROBLEM;
    case ICMP4_UNREACHABLE:
        if (code < UT_COUNTOF(icmp4_unreachable_kinds))
            return (enum icmp_kind)icmp4_unreachable_kinds[code];
        return ICMP_OTHER;
    default:
        return ICMP_OTHER;
    }
}

void icmp_read(const struct ip_hdr *ip, enum icmp_kind kind, struct icmp_msg *out)
{
    const uint8_t *p = ip->payload;
    *out = (struct icmp_msg){
        .kind = kind,
        .type = p[0],
        .code = p[1],
        .body = p + ICMP_HEADER_LEN,
        .body_len = ip->payload_len - ICMP_HEADER_LEN,
    };
    if (kind == ICMP_ECHO_REQUEST || kind == ICMP_ECHO_REPLY) {
        out->echo_id = get_be16(p + 4);
        out->echo_seq = get_be16(p + 6);
    }
}

enum drop_reason icmp4_parse(const struct ip_hdr *ip, struct icmp_msg *out)
{
    const uint8_t *p = ip->payload;
    if (ip->payload_len < ICMP_HEADER_LEN)
        return DROP_icmp_malformed;
    if (checksum_fold(checksum_add(p, ip->payload_len, 0)) != 0xffff)
        return DROP_icmp_malformed;
    icmp_read(ip, icmp4_kind(p[0], p[1]), out);
    if (out->kind == ICMP_PACKET_TOO_BIG)
        out->mtu = get_be16(p + 6); /* RFC 1191 4; 0 from a router that does not know of it */
    return DROP_none;
}

/* The quoted IPv4 header; *header is its length. The quote is cut short as a rule, and routers
 * change checksum and lengths, so those are not looked at. */
static enum drop_reason icmp_quote_ipv4(const uint8_t *p, uint32_t len, uint32_t *header,
                                        struct icmp_quote *out)
{
    if (len < IPV4_HEADER_LEN || p[0] >> 4 != 4)
        return DROP_icmp_malformed;
    *header = (p[0] & 0x0fu) * 4;
    if (*header < IPV4_HEADER_LEN || *header > len)
        return DROP_icmp_malformed;
    bool is_first_fragment = (get_be16(p + 6) & 0x1fff) == 0;
    if (p[9] != IP_PROTO_TCP || !is_first_fragment)
        return DROP_icmp_unmatched;
    out->len = get_be16(p + 2);
    out->src = ipaddr_from_v4(p + 12);
    out->dst = ipaddr_from_v4(p + 16);
    return DROP_none;
}

/* We write no extension headers, so a quote that has any is of no packet of ours. */
static enum drop_reason icmp_quote_ipv6(const uint8_t *p, uint32_t len, uint32_t *header,
                                        struct icmp_quote *out)
{
    if (len < IPV6_HEADER_LEN || p[0] >> 4 != 6)
        return DROP_icmp_malformed;
    *header = IPV6_HEADER_LEN;
    if (p[6] != IP_PROTO_TCP)
        return DROP_icmp_unmatched;
    out->len = IPV6_HEADER_LEN + get_be16(p + 4);
    out->src = ipaddr_from_v6(p + 8);
    out->dst = ipaddr_from_v6(p + 24);
    if (ipaddr_is_v4(&out->src) || ipaddr_is_v4(&out->dst))
        return DROP_icmp_unmatched; /* mapped addresses are never in a header of ours */
    return DROP_none;
}

enum drop_reason icmp_quote_parse(const struct icmp_msg *m, uint8_t version, struct icmp_quote *out)
{
    uint32_t header = 0;
    enum drop_reason why = version == 4 ? icmp_quote_ipv4(m->body, m->body_len, &header, out)
                                        : icmp_quote_ipv6(m->body, m->body_len, &header, out);
    if (why != DROP_none)
        return why;
    if (m->body_len - header < ICMP_QUOTE_TCP_LEN)
        return DROP_icmp_malformed;
    const uint8_t *tcp = m->body + header;
    out->sport = get_be16(tcp);
    out->dport = get_be16(tcp + 2);
    out->seq = get_be32(tcp + 4);
    return DROP_none;
}

size_t icmp4_write_echo(uint8_t *to, const struct icmp_msg *request)
{
    size_t len = ICMP_HEADER_LEN + (size_t)request->body_len;
    /* RFC 1122 3.2.2.6: identifier, sequence number and data come back as they were sent. */
    memmove(to + ICMP_HEADER_LEN, request->body, request->body_len);
    to[0] = ICMP4_ECHO_REPLY;
    to[1] = 0;
    put_be16(to + 2, 0);
    put_be16(to + 4, request->echo_id);
    put_be16(to + 6, request->echo_seq);
    put_be16(to + 2, (uint16_t)~checksum_fold(checksum_add(to, len, 0)));
    return len;
}
