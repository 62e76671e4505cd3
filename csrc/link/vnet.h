/* vnet.h: our offload marks to and from the kernel's virtio_net_hdr, for packet.c and tun.c.
 *
 * virtio 1.2, 5.1.6.2; both users exchange it in host byte order.
 */
#ifndef UT_LINK_VNET_H
#define UT_LINK_VNET_H

#include <linux/virtio_net.h>

#include "link/link.h"

static inline void vnet_from_offload(struct virtio_net_hdr *v, const struct link_offload *o)
{
    memset(v, 0, sizeof *v);
    if (o->flags & LINK_NEEDS_CSUM) {
        v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        v->csum_start = o->csum_start;
        v->csum_offset = o->csum_offset;
    }
    if (o->gso_size != 0) {
        v->gso_type = o->gso == LINK_GSO_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        if (o->flags & LINK_GSO_ECN)
            v->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        v->gso_size = o->gso_size;
        v->hdr_len = o->header_len;
    }
}

/* A merge that is not TCP is told as none: nobody above wants such frames anyway. */
static inline void vnet_to_offload(struct link_offload *o, const struct virtio_net_hdr *v)
{
    memset(o, 0, sizeof *o);
    if (v->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        o->flags = LINK_NEEDS_CSUM;
        o->csum_start = v->csum_start;
        o->csum_offset = v->csum_offset;
    } else if (v->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        o->flags = LINK_CSUM_VALID;
    }
    uint8_t type = v->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    if (v->gso_size == 0 || (type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6))
        return;
    o->gso = type == VIRTIO_NET_HDR_GSO_TCPV4 ? LINK_GSO_TCP4 : LINK_GSO_TCP6;
    o->gso_size = v->gso_size;
    o->header_len = v->hdr_len;
    if (v->gso_type & VIRTIO_NET_HDR_GSO_ECN)
        o->flags |= LINK_GSO_ECN;
}

#endif
