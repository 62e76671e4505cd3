/* open.h: how each link is opened. Called by api/links.c; the options are those of usertcp.h.
 *
 * Every function returns 0 and a link in *out, or -code with *out untouched; with -UT_E_SYSTEM
 * errno tells why. The link takes its memory from `a`, which must outlive it; link_close ends it.
 */
#ifndef UT_LINK_OPEN_H
#define UT_LINK_OPEN_H

#include "link/link.h"

struct link_options {
    uint32_t mtu;     /* 0 = the device's, LINK_MTU_DEFAULT where there is none */
    uint32_t buffer;  /* bytes of the receive queue; 0 = the link's default */
    bool offload;     /* ask for checksum and segmentation offload */
    bool multi_queue; /* tun */
    bool ethernet;    /* memory */
    bool has_mac;
    uint8_t mac[6];
    uint16_t port_first, port_last; /* rawip */
};

#define LINK_MTU_DEFAULT 1500
#define LINK_MTU_MIN 68    /* RFC 791 3.1 */
#define LINK_GSO_MAX 65535 /* what the length field of an IP header can say */
#define LINK_ETHERNET_HEADER 14

/* An Ethernet device through AF_PACKET. Needs CAP_NET_RAW. */
int link_packet_open(struct alloc *a, const char *ifname, const struct link_options *o,
                     struct link **out);
/* /dev/net/tun; an empty name lets the kernel choose. Needs CAP_NET_ADMIN or a device of ours. */
int link_tun_open(struct alloc *a, const char *ifname, const struct link_options *o,
                  struct link **out);
/* Raw IP sockets that share the host's addresses. Needs CAP_NET_RAW. */
int link_rawip_open(struct alloc *a, const struct link_options *o, struct link **out);
/* One end in memory: link/memory.h. */
int link_memory_open(struct alloc *a, const struct link_options *o, struct link **out);

#endif
