/* icmpv6.c: ICMPv6 messages (RFC 4443) and neighbour discovery (RFC 4861).
 *
 * Called by ip/icmp_in and ip/neigh. A message that reaches ndp_parse has passed icmp6_parse, so
 * its checksum is right and its 8-byte header is there.
 */
#include "wire/icmpv6.h"

#include "wire/bytes.h"
#include "wire/checksum.h"

#define ICMP6_UNREACHABLE 1
#define ICMP6_PACKET_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAMETER_PROBLEM 4
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_NEIGHBOUR_FIRST 133
#define ICMP6_NEIGHBOUR_LAST 137

#define NDP_LEN 24u
#define NDP_OPT_LEN 8u
#define NDP_OPT_SOURCE_MAC 1
#define NDP_OPT_TARGET_MAC 2
#define NDP_FLAG_ROUTER 0x80
#define NDP_FLAG_SOLICITED 0x40
#define NDP_FLAG_OVERRIDE 0x20
#define NDP_HOP_LIMIT 255

/* By code of type 1 (RFC 4443 3.1); the last two are kinds of "prohibited" there. */
static const uint8_t icmp6_unreachable_kinds[] = {
    [0] = ICMP_NET_UNREACHABLE,  [1] = ICMP_PROHIBITED,       [2] = ICMP_NET_UNREACHABLE,
    [3] = ICMP_HOST_UNREACHABLE, [4] = ICMP_PORT_UNREACHABLE, [5] = ICMP_PROHIBITED,
    [6] = ICMP_PROHIBITED,
};

static enum icmp_kind icmp6_kind(uint8_t type, uint8_t code)
{
    switch (type) {
    case ICMP6_UNREACHABLE:
        if (code < UT_COUNTOF(icmp6_unreachable_kinds))
            return (enum icmp_kind)icmp6_unreachable_kinds[code];
        return ICMP_OTHER;
    case ICMP6_PACKET_TOO_BIG:
        return ICMP_PACKET_TOO_BIG;
    case ICMP6_TIME_EXCEEDED:
        return ICMP_TIME_EXCEEDED;
    case ICMP6_PARAMETER_PROBLEM:
        return ICMP_PARAMETER_PROBLEM;
    case ICMP6_ECHO_REQUEST:
        return ICMP_ECHO_REQUEST;
    case ICMP6_ECHO_REPLY:
        return ICMP_ECHO_REPLY;
    default:
        return type >= ICMP6_NEIGHBOUR_FIRST && type <= ICMP6_NEIGHBOUR_LAST ? ICMP_NEIGHBOUR
                                                                             : ICMP_OTHER;
    }
}

/* RFC 4443 2.3: unlike ICMPv4's, this checksum covers the pseudo-header. */
static uint16_t icmp6_sum(const uint8_t *p, uint32_t len, const struct ipaddr *src,
                          const struct ipaddr *dst)
{
    return checksum_fold(checksum_add(p, len, checksum_pseudo(src, dst, IP_PROTO_ICMPV6, len)));
}

static void icmp6_checksum_set(uint8_t *to, uint32_t len, const struct ipaddr *src,
                               const struct ipaddr *dst)
{
    put_be16(to + 2, 0);
    put_be16(to + 2, (uint16_t)~icmp6_sum(to, len, src, dst));
}

enum drop_reason icmp6_parse(const struct ip_hdr *ip, struct icmp_msg *out)
{
    const uint8_t *p = ip->payload;
    if (ip->payload_len < ICMP_HEADER_LEN)
        return DROP_icmp_malformed;
    if (icmp6_sum(p, ip->payload_len, &ip->src, &ip->dst) != 0xffff)
        return DROP_icmp_malformed;
    icmp_read(ip, icmp6_kind(p[0], p[1]), out);
    if (out->kind == ICMP_PACKET_TOO_BIG)
        out->mtu = get_be32(p + 4); /* RFC 4443 3.2 */
    return DROP_none;
}

size_t icmp6_write_echo(uint8_t *to, const struct icmp_msg *request, const struct ipaddr *src,
                        const struct ipaddr *dst)
{
    uint32_t len = ICMP_HEADER_LEN + request->body_len;
    /* RFC 4443 4.2: the data of the request, whole and unchanged. */
    memmove(to + ICMP_HEADER_LEN, request->body, request->body_len);
    to[0] = ICMP6_ECHO_REPLY;
    to[1] = 0;
    put_be16(to + 4, request->echo_id);
    put_be16(to + 6, request->echo_seq);
    icmp6_checksum_set(to, len, src, dst);
    return len;
}

/* The options, for the link-layer address that belongs to this type of message. */
static enum drop_reason ndp_read_options(const uint8_t *p, size_t len, struct ndp_msg *out)
{
    uint8_t wanted = out->type == NDP_SOLICITATION ? NDP_OPT_SOURCE_MAC : NDP_OPT_TARGET_MAC;
    while (len != 0) {
        size_t size = len < 2 ? 0 : p[1] * (size_t)NDP_OPT_LEN;
        /* RFC 4861 7.1.1, 7.1.2: no option of length zero. */
        if (size == 0 || size > len)
            return DROP_ndp_malformed;
        if (p[0] == wanted) {
            if (size != NDP_OPT_LEN) /* RFC 2464 6: one unit on Ethernet */
                return DROP_ndp_malformed;
            out->has_mac = true;
            memcpy(out->mac.b, p + 2, 6);
        }
        p += size;
        len -= size;
    }
    return DROP_none;
}

/* What the addresses of the IP header say about the message (RFC 4861 7.1.1, 7.1.2). */
static bool ndp_addresses_fit(const struct ip_hdr *ip, const struct ndp_msg *m)
{
    /* An IPv4-mapped target would be about a neighbour of IPv4. */
    if (ipaddr_is_multicast(&m->target) || ipaddr_is_v4(&m->target))
        return false;
    if (m->type == NDP_ADVERTISEMENT)
        return !(m->solicited && ipaddr_is_multicast(&ip->dst));
    if (!ipaddr_is_unspecified(&ip->src))
        return true;
    /* Duplicate address detection: to a solicited-node group, no link-layer address yet. */
    struct ipaddr group = ipaddr_solicited_node(&ip->dst);
    return !m->has_mac && ipaddr_equal(&ip->dst, &group);
}

enum drop_reason ndp_parse(const struct ip_hdr *ip, const struct icmp_msg *icmp,
                           struct ndp_msg *out)
{
    if (icmp->type != NDP_SOLICITATION && icmp->type != NDP_ADVERTISEMENT)
        return DROP_icmp_ignored;
    /* RFC 4861 7.1.1, 7.1.2: a hop limit of 255 proves that no router passed it on. */
    if (ip->ttl != NDP_HOP_LIMIT || icmp->code != 0 || ip->payload_len < NDP_LEN)
        return DROP_ndp_malformed;
    /* RFC 6980 5: fragmentation would hide the message from filters. */
    if (ip->has_fragment_header)
        return DROP_ndp_malformed;
    const uint8_t *p = ip->payload;
    bool is_advertisement = icmp->type == NDP_ADVERTISEMENT;
    *out = (struct ndp_msg){
        .type = icmp->type,
        .target = ipaddr_from_v6(p + 8),
        .router = is_advertisement && (p[4] & NDP_FLAG_ROUTER) != 0,
        .solicited = is_advertisement && (p[4] & NDP_FLAG_SOLICITED) != 0,
        .override = is_advertisement && (p[4] & NDP_FLAG_OVERRIDE) != 0,
    };
    enum drop_reason why = ndp_read_options(p + NDP_LEN, ip->payload_len - NDP_LEN, out);
    if (why != DROP_none)
        return why;
    return ndp_addresses_fit(ip, out) ? DROP_none : DROP_ndp_malformed;
}

size_t ndp_write(uint8_t *to, const struct ndp_msg *m, const struct ipaddr *src,
                 const struct ipaddr *dst)
{
    bool is_advertisement = m->type == NDP_ADVERTISEMENT;
    uint32_t len = NDP_LEN;
    memset(to, 0, 8);
    to[0] = m->type;
    if (is_advertisement)
        to[4] =
            (uint8_t)((m->router ? NDP_FLAG_ROUTER : 0) | (m->solicited ? NDP_FLAG_SOLICITED : 0) |
                      (m->override ? NDP_FLAG_OVERRIDE : 0));
    memcpy(to + 8, m->target.b, 16);
    if (m->has_mac) {
        to[len] = is_advertisement ? NDP_OPT_TARGET_MAC : NDP_OPT_SOURCE_MAC;
        to[len + 1] = 1; /* in units of eight bytes */
        memcpy(to + len + 2, m->mac.b, 6);
        len += NDP_OPT_LEN;
    }
    icmp6_checksum_set(to, len, src, dst);
    return len;
}
