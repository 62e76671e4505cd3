/* ipv6.c: IPv6 headers and the walk over extension headers (RFC 8200).
 *
 * Called by ingress for each packet and by egress to write. A malformed or refused extension
 * drops the packet without the ICMPv6 Parameter Problem a full host would send (RFC 8200 4.2).
 * Jumbograms (RFC 2675) are not supported: their option is one of those that drop the packet.
 */
#include "wire/ipv6.h"

#include "wire/bytes.h"

#define IPV6_MAX_PAYLOAD 65535u
#define IPV6_EXT_HOP_BY_HOP 0
#define IPV6_EXT_ROUTING 43
#define IPV6_EXT_FRAGMENT 44
#define IPV6_EXT_DESTINATION 60
#define IPV6_FRAGMENT_LEN 8u
#define IPV6_OPT_PAD1 0
#define IPV6_OPT_ACTION_MASK 0xc0 /* 00: skip if not recognised */

/* Where the walk stands. */
struct ipv6_walk {
    const uint8_t *p;
    uint32_t len;
    uint8_t next; /* what `p` holds */
};

/* The options of a hop-by-hop or destination header, after its first two bytes. */
static enum drop_reason ipv6_check_options(const uint8_t *p, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (p[at] == IPV6_OPT_PAD1) {
            at++;
            continue;
        }
        if (len - at < 2 || p[at + 1] > len - at - 2)
            return DROP_ip6_extension;
        /* RFC 8200 4.2: the two highest bits say what to do with an option not recognised, which
         * here is any. Three of the four values discard the packet. */
        if ((p[at] & IPV6_OPT_ACTION_MASK) != 0)
            return DROP_ip6_extension;
        at += 2u + p[at + 1];
    }
    return DROP_none;
}

static enum drop_reason ipv6_check_routing(const uint8_t *p)
{
    /* DEVIATES RFC 8200 4.4: type 0 is refused even with no segment left, because RFC 5095
     * deprecated it for what it lets attackers do, and no honest sender uses it. */
    if (p[2] == 0)
        return DROP_ip6_extension;
    /* RFC 8200 4.4: an unknown type is passed over only when it asks for no further hop. */
    return p[3] == 0 ? DROP_none : DROP_ip6_extension;
}

static void ipv6_read_fragment(const uint8_t *p, struct ip_hdr *out)
{
    uint16_t offset_and_more = get_be16(p + 2);
    out->has_fragment_header = true;
    out->fragment_offset = offset_and_more & 0xfff8;
    out->more_fragments = (offset_and_more & 1) != 0;
    out->fragment_id = get_be32(p + 4);
    /* RFC 6946 4: an atomic fragment is a whole packet and waits for no other. */
    out->is_fragment = out->fragment_offset != 0 || out->more_fragments;
}

/* Steps over the extension header the walk stands at. */
static enum drop_reason ipv6_step(struct ipv6_walk *w, struct ip_hdr *out)
{
    if (w->len < 8)
        return DROP_ip6_extension;
    uint32_t size = IPV6_FRAGMENT_LEN;
    if (w->next == IPV6_EXT_FRAGMENT) {
        ipv6_read_fragment(w->p, out);
    } else {
        size = ((uint32_t)w->p[1] + 1) * 8;
        if (size > w->len)
            return DROP_ip6_extension;
        enum drop_reason why = w->next == IPV6_EXT_ROUTING ? ipv6_check_routing(w->p)
                                                           : ipv6_check_options(w->p + 2, size - 2);
        if (why != DROP_none)
            return why;
    }
    w->next = w->p[0];
    w->p += size;
    w->len -= size;
    return DROP_none;
}

static bool ipv6_is_walked(uint8_t next)
{
    return next == IPV6_EXT_HOP_BY_HOP || next == IPV6_EXT_ROUTING || next == IPV6_EXT_FRAGMENT ||
           next == IPV6_EXT_DESTINATION;
}

static enum drop_reason ipv6_walk(struct ipv6_walk *w, struct ip_hdr *out)
{
    /* What follows the header of a fragment belongs to the whole, which is not here. */
    for (int n = 0; ipv6_is_walked(w->next) && !out->is_fragment; n++) {
        /* RFC 8200 4.1: hop-by-hop options stand right after the IPv6 header or nowhere. */
        if (n == IPV6_MAX_EXTENSIONS || (n != 0 && w->next == IPV6_EXT_HOP_BY_HOP))
            return DROP_ip6_extension;
        enum drop_reason why = ipv6_step(w, out);
        if (why != DROP_none)
            return why;
    }
    return DROP_none;
}

enum drop_reason ipv6_parse(const uint8_t *p, size_t len, struct ip_hdr *out)
{
    if (len < IPV6_HEADER_LEN)
        return DROP_ip_header_short;
    uint32_t first_word = get_be32(p);
    if (first_word >> 28 != 6)
        return DROP_ip_version;
    struct ipv6_walk w = {.p = p + IPV6_HEADER_LEN, .len = get_be16(p + 4), .next = p[6]};
    if (w.len > len - IPV6_HEADER_LEN)
        return DROP_ip_length;
    *out = (struct ip_hdr){
        .src = ipaddr_from_v6(p + 8),
        .dst = ipaddr_from_v6(p + 24),
        .version = 6,
        .ttl = p[7],
        .dscp_ecn = (uint8_t)(first_word >> 20),
        .flow_label = first_word & 0xfffff,
    };
    enum drop_reason why = ipv6_walk(&w, out);
    out->proto = w.next;
    out->payload = w.p;
    out->payload_len = w.len;
    return why;
}

void ipv6_write(uint8_t *to, const struct ip_hdr *h)
{
    UT_ASSERT(h->payload_len <= IPV6_MAX_PAYLOAD);
    put_be32(to, UINT32_C(6) << 28 | (uint32_t)h->dscp_ecn << 20 | (h->flow_label & 0xfffff));
    put_be16(to + 4, (uint16_t)h->payload_len);
    to[6] = h->proto;
    to[7] = h->ttl;
    memcpy(to + 8, h->src.b, 16);
    memcpy(to + 24, h->dst.b, 16);
}
