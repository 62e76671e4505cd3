/* arp.c: ARP packets, for ip/neigh and ingress. Only Ethernet with IPv4 (RFC 826). */
#include "wire/arp.h"

#include "wire/bytes.h"

#define ARP_HARDWARE_ETHERNET 1
#define ARP_PROTOCOL_IPV4 0x0800

enum drop_reason arp_parse(const uint8_t *p, size_t len, struct arp_msg *out)
{
    if (len < ARP_LEN) /* Ethernet pads short frames: longer is usual */
        return DROP_arp_malformed;
    if (get_be16(p) != ARP_HARDWARE_ETHERNET || get_be16(p + 2) != ARP_PROTOCOL_IPV4)
        return DROP_arp_malformed;
    if (p[4] != 6 || p[5] != 4)
        return DROP_arp_malformed;
    out->op = get_be16(p + 6);
    if (out->op != ARP_REQUEST && out->op != ARP_REPLY)
        return DROP_arp_malformed;
    memcpy(out->sender_mac.b, p + 8, 6);
    out->sender_ip = ipaddr_from_v4(p + 14);
    memcpy(out->target_mac.b, p + 18, 6);
    out->target_ip = ipaddr_from_v4(p + 24);
    return DROP_none;
}

void arp_write(uint8_t *to, const struct arp_msg *m)
{
    put_be16(to, ARP_HARDWARE_ETHERNET);
    put_be16(to + 2, ARP_PROTOCOL_IPV4);
    to[4] = 6;
    to[5] = 4;
    put_be16(to + 6, m->op);
    memcpy(to + 8, m->sender_mac.b, 6);
    memcpy(to + 14, m->sender_ip.b + 12, 4);
    memcpy(to + 18, m->target_mac.b, 6);
    memcpy(to + 24, m->target_ip.b + 12, 4);
}
