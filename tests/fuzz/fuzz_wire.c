/* fuzz_wire.c: every parser on arbitrary bytes. */
#include "harness.h"
#include "wire/arp.h"
#include "wire/dump.h"
#include "wire/ether.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void upper(const struct ip_hdr *ip)
{
    struct tcp_seg s;
    struct icmp_msg m;
    struct icmp_quote q;
    struct ndp_msg ndp;
    char text[256];
    if (ip->proto == IP_PROTO_TCP) {
        tcp_checksum_ok(&ip->src, &ip->dst, ip->payload, ip->payload_len);
        if (tcp_parse(ip->payload, ip->payload_len, &s) == DROP_none)
            dump_tcp(text, sizeof text, &s, s.seq, s.ack);
    } else if (ip->version == 4 && icmp4_parse(ip, &m) == DROP_none) {
        icmp_quote_parse(&m, 4, &q);
    } else if (ip->version == 6 && icmp6_parse(ip, &m) == DROP_none) {
        icmp_quote_parse(&m, 6, &q);
        ndp_parse(ip, &m, &ndp);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ether_hdr eth;
    struct arp_msg arp;
    struct ip_hdr ip;
    struct tcp_seg s;
    if (size == 0)
        return 0;
    const uint8_t *p = data + 1;
    size_t len = size - 1;
    switch (data[0] % 5) {
    case 0:
        ether_parse(p, len, &eth);
        break;
    case 1:
        arp_parse(p, len, &arp);
        break;
    case 2:
        if (ipv4_parse(p, len, &ip) == DROP_none)
            upper(&ip);
        break;
    case 3:
        if (ipv6_parse(p, len, &ip) == DROP_none)
            upper(&ip);
        break;
    default:
        tcp_parse(p, len, &s);
    }
    return 0;
}
