/* ether.c: Ethernet II headers, read by ingress and written by egress and neighbour resolution. */
#include "wire/ether.h"

#include "wire/bytes.h"

#define ETHER_TYPE_VLAN 0x8100
#define ETHER_TYPE_SERVICE_VLAN 0x88a8

enum drop_reason ether_parse(const uint8_t *frame, size_t len, struct ether_hdr *out)
{
    if (len < ETHER_HEADER_LEN)
        return DROP_frame_short;
    memcpy(out->dst.b, frame, 6);
    memcpy(out->src.b, frame + 6, 6);
    out->type = get_be16(frame + 12);
    if (out->type == ETHER_TYPE_VLAN || out->type == ETHER_TYPE_SERVICE_VLAN)
        return DROP_frame_vlan;
    return DROP_none;
}

void ether_write(uint8_t *to, const struct ether_hdr *h)
{
    memcpy(to, h->dst.b, 6);
    memcpy(to + 6, h->src.b, 6);
    put_be16(to + 12, h->type);
}

bool macaddr_is_group(const struct macaddr *m) { return (m->b[0] & 1) != 0; }

struct macaddr macaddr_of_multicast_v6(const struct ipaddr *group)
{
    struct macaddr m = {{0x33, 0x33}};
    memcpy(m.b + 2, group->b + 12, 4);
    return m;
}
