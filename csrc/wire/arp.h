/* arp.h: ARP for IPv4 over Ethernet (RFC 826). */
#ifndef UT_WIRE_ARP_H
#define UT_WIRE_ARP_H

#include "base/drops.h"
#include "wire/addr.h"

#define ARP_LEN 28
#define ARP_REQUEST 1
#define ARP_REPLY 2

struct arp_msg {
    uint16_t op;
    struct macaddr sender_mac, target_mac;
    struct ipaddr sender_ip, target_ip; /* IPv4-mapped */
};

enum drop_reason arp_parse(const uint8_t *p, size_t len, struct arp_msg *out);
/* Writes ARP_LEN bytes. */
void arp_write(uint8_t *to, const struct arp_msg *m);

#endif
