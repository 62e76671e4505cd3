/* ipv4.c: IPv4 headers, parsed for ingress and written by egress (RFC 791, RFC 1122 3.2.1).
 *
 * Whether the addresses make sense, and what becomes of a fragment, is the caller's question.
 */
#include "wire/ipv4.h"

#include "wire/bytes.h"
#include "wire/checksum.h"

#define IPV4_MAX_LEN 65535u
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK 0x1fff

#define IPV4_OPT_END 0
#define IPV4_OPT_NOP 1
#define IPV4_OPT_LOOSE_ROUTE 131
#define IPV4_OPT_STRICT_ROUTE 137

static enum drop_reason ipv4_check_options(const uint8_t *p, size_t len)
{
    size_t at = 0;
    while (at < len && p[at] != IPV4_OPT_END) {
        if (p[at] == IPV4_OPT_NOP) {
            at++;
            continue;
        }
        /* DEVIATES RFC 9293 3.9.2.1 (MUST-51, MUST-52): no source route is given or followed,
         * because RFC 7126 4.3 has routers drop them, and a reply would go where the peer chose. */
        if (p[at] == IPV4_OPT_LOOSE_ROUTE || p[at] == IPV4_OPT_STRICT_ROUTE)
            return DROP_ip_options;
        if (len - at < 2 || p[at + 1] < 2 || p[at + 1] > len - at)
            return DROP_ip_options;
        at += p[at + 1]; /* RFC 1122 3.2.1.8: options not understood are passed over */
    }
    return DROP_none;
}

enum drop_reason ipv4_parse(const uint8_t *p, size_t len, struct ip_hdr *out)
{
    if (len < IPV4_HEADER_LEN)
        return DROP_ip_header_short;
    /* RFC 1122 3.2.1.1: another version is discarded silently. */
    if (p[0] >> 4 != 4)
        return DROP_ip_version;
    size_t header = (size_t)(p[0] & 0x0f) * 4;
    if (header < IPV4_HEADER_LEN)
        return DROP_ip_length;
    if (header > len)
        return DROP_ip_header_short;
    size_t total = get_be16(p + 2);
    if (total < header || total > len)
        return DROP_ip_length;
    /* RFC 1122 3.2.1.2: the checksum of every datagram is verified. */
    if (checksum_fold(checksum_add(p, header, 0)) != 0xffff)
        return DROP_ip_checksum;
    if (header != IPV4_HEADER_LEN) {
        enum drop_reason why = ipv4_check_options(p + IPV4_HEADER_LEN, header - IPV4_HEADER_LEN);
        if (why != DROP_none)
            return why;
    }
    uint16_t fragment = get_be16(p + 6);
    uint16_t id = get_be16(p + 4);
    *out = (struct ip_hdr){
        .src = ipaddr_from_v4(p + 12),
        .dst = ipaddr_from_v4(p + 16),
        .version = 4,
        .proto = p[9],
        .ttl = p[8],
        .dscp_ecn = p[1],
        .id = id,
        .is_fragment = (fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) != 0,
        .more_fragments = (fragment & IPV4_MORE_FRAGMENTS) != 0,
        .fragment_offset = (fragment & IPV4_OFFSET_MASK) * 8u,
        .fragment_id = id,
        .payload = p + header,
        .payload_len = (uint32_t)(total - header),
    };
    return DROP_none;
}

void ipv4_write(uint8_t *to, const struct ip_hdr *h)
{
    UT_ASSERT(h->payload_len <= IPV4_MAX_LEN - IPV4_HEADER_LEN);
    to[0] = 0x45;
    to[1] = h->dscp_ecn;
    put_be16(to + 2, (uint16_t)(IPV4_HEADER_LEN + h->payload_len));
    put_be16(to + 4, h->id);
    put_be16(to + 6, IPV4_DONT_FRAGMENT); /* RFC 1191 3: path MTU discovery on every datagram */
    to[8] = h->ttl;
    to[9] = h->proto;
    put_be16(to + 10, 0);
    memcpy(to + 12, h->src.b + 12, 4);
    memcpy(to + 16, h->dst.b + 12, 4);
    put_be16(to + 10, (uint16_t)~checksum_fold(checksum_add(to, IPV4_HEADER_LEN, 0)));
}

void ipv4_allow_fragments(uint8_t *header, uint16_t id)
{
    put_be16(header + 4, id); /* RFC 6864 4.1: what is not atomic has one that tells it apart */
    put_be16(header + 6, 0);
    put_be16(header + 10, 0);
    put_be16(header + 10, (uint16_t)~checksum_fold(checksum_add(header, IPV4_HEADER_LEN, 0)));
}
