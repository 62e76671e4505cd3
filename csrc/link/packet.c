/* packet.c: an Ethernet device through AF_PACKET, super-segments and partial checksums included.
 *
 * recvmmsg and sendmmsg, not the mapped rings: measured in docs/design/links.md. The kernel sees
 * every frame that we see; a stack therefore has its own address, and best its own MAC.
 *   1. A frame that is not IPv4, IPv6 or ARP, has a VLAN tag, or is for another station is dropped
 *      by a socket filter, before it costs a wake-up.
 *   2. With PACKET_VNET_HDR each frame is preceded by its marks. It is on even when no offload is
 *      wanted: what the kernel merged or left unfinished arrives like that in any case.
 *   3. `gone` is for good; a device that is merely down comes back by itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/errors.h"
#include "link/device.h"
#include "link/open.h"
#include "link/place.h"
#include "link/vnet.h"

/* A super-segment; the odd size spreads slots over the sets of the cache. */
#define SLOT (65536u + 192u)
#define BUFFER_DEFAULT (8u << 20)
#define LARGE_FRAME 16384u
#define LARGE_BATCH 8u /* 512 KiB: what the second-level cache holds until it is copied on */
#define SNAP 0x40000u

struct packet {
    struct link link;
    bool vnet; /* PACKET_VNET_HDR is on */
    bool down; /* the device was taken down, perhaps for good */
    bool gone;
    unsigned batch; /* frames asked for by the next receive call */
    unsigned apart; /* so many of the places were last made in two pieces */
    uint8_t *slots;
    struct place place[LINK_BATCH];
    struct mmsghdr rx[LINK_BATCH], tx[LINK_BATCH];
    struct iovec rx_iov[LINK_BATCH][1 + PLACE_PARTS], tx_iov[LINK_BATCH][4];
    struct virtio_net_hdr rx_vnet[LINK_BATCH], tx_vnet[LINK_BATCH];
};

static struct packet *packet_of(struct link *l) { return UT_CONTAINER_OF(l, struct packet, link); }

/* ---- receiving ------------------------------------------------------------------------------ */

/* Down or removed? The kernel takes the index away from the socket of a removed device. */
static int device_lost(struct packet *p)
{
    struct sockaddr_ll a;
    socklen_t len = sizeof a;
    if (getsockname(p->link.fd, (struct sockaddr *)&a, &len) != 0 || a.sll_ifindex <= 0)
        p->gone = true;
    p->down = !p->gone;
    return p->gone ? -UT_E_LINK_DOWN : 0;
}

/* Large frames first into what the user posted; the others, and what is beyond, into slots. */
static void places_set(struct packet *p)
{
    uint32_t free = p->batch == LARGE_BATCH ? place_free(&p->link) : 0;
    unsigned count = (unsigned)__builtin_popcount(free);
    if (count > p->batch)
        count = p->batch;
    for (unsigned i = 0; i < count || i < p->apart; i++) {
        const int parts = place_next(&p->link, &p->place[i], &free, &p->rx_iov[i][1]);
        p->rx[i].msg_hdr.msg_iovlen = (size_t)parts + p->vnet;
    }
    p->apart = count;
}

static bool frame_from(struct packet *p, unsigned i, struct link_frame *f)
{
    const struct mmsghdr *m = &p->rx[i];
    const uint32_t before = p->vnet ? sizeof p->rx_vnet[i] : 0;
    if (m->msg_len <= before)
        return false;
    place_received(&p->link, &p->place[i], m->msg_len - before, f);
    if (p->vnet)
        vnet_to_offload(&f->offload, &p->rx_vnet[i]);
    else
        memset(&f->offload, 0, sizeof f->offload);
    if (m->msg_hdr.msg_flags & MSG_TRUNC)
        f->offload.flags |= LINK_TRUNCATED;
    return true;
}

static int packet_recv(struct link *l, struct link_frame *frames, int max)
{
    struct packet *p = packet_of(l);
    if (p->gone)
        return -UT_E_LINK_DOWN;
    unsigned ask = u32_min(p->batch, u32_min((uint32_t)max, LINK_BATCH));
    places_set(p);
    int n = recvmmsg(l->fd, p->rx, ask, MSG_DONTWAIT, NULL);
    l->stats.recv_calls++;
    if (n < 0) {
        if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV || p->down)
            return device_lost(p);
        return 0;
    }
    p->down = false;
    int count = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < (unsigned)n; i++) {
        if (!frame_from(p, i, &frames[count])) {
            l->stats.rx_errors++;
            continue;
        }
        bytes += frames[count].len;
        count++;
    }
    l->stats.rx_frames += (uint64_t)count;
    l->stats.rx_bytes += bytes;
    if (n > 0)
        p->batch = bytes / (unsigned)n >= LARGE_FRAME ? LARGE_BATCH : LINK_BATCH;
    return count;
}

/* What the kernel had no room for in the socket's queue. It forgets the number when asked. */
static void packet_refresh(struct link *l)
{
    struct tpacket_stats s;
    socklen_t len = sizeof s;
    if (getsockopt(l->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len) == 0)
        __atomic_fetch_add(&l->stats.rx_missed, s.tp_drops, __ATOMIC_RELAXED);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void message_build(struct packet *p, int i)
{
    struct link_out *o = &p->link.out[i];
    struct iovec *iov = p->tx_iov[i];
    size_t parts = 0;
    if (p->vnet) {
        vnet_from_offload(&p->tx_vnet[i], &o->offload);
        iov[parts++] = (struct iovec){&p->tx_vnet[i], sizeof p->tx_vnet[i]};
    }
    iov[parts++] = (struct iovec){o->head, o->head_len};
    for (int b = 0; b < 2; b++)
        if (o->body_len[b] != 0)
            iov[parts++] = (struct iovec){(void *)(uintptr_t)o->body[b], o->body_len[b]};
    p->tx[i].msg_hdr.msg_iovlen = parts;
}

static int packet_send(struct link *l)
{
    struct packet *p = packet_of(l);
    int count = l->out_count, at = 0, taken = 0;
    for (int i = 0; i < count; i++)
        message_build(p, i);
    while (at < count) {
        int n = sendmmsg(l->fd, p->tx + at, (unsigned)(count - at), MSG_DONTWAIT);
        l->stats.flush_calls++;
        if (n > 0) {
            for (int i = at; i < at + n; i++)
                l->stats.tx_bytes += link_out_len(&l->out[i]);
            taken += n;
            at += n;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            l->stats.tx_full += (uint64_t)(count - at);
            break;
        } else if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV) {
            l->stats.tx_errors += (uint64_t)(count - at);
            (void)device_lost(p); /* told by the next receive call */
            break;
        } else if (errno != EINTR) { /* this frame will never do: EMSGSIZE, EINVAL ... */
            l->stats.tx_errors++;
            at++;
        }
    }
    l->stats.tx_frames += (uint64_t)taken;
    return taken;
}

/* ---- opening and closing -------------------------------------------------------------------- */

static void packet_close(struct link *l)
{
    struct packet *p = packet_of(l);
    struct alloc *a = l->alloc;
    link_fini(l);
    alloc_unmap(a, p->slots, (size_t)LINK_BATCH * SLOT);
    alloc_put(a, p, sizeof *p);
}

static const struct link_ops packet_ops = {
    .name = "packet",
    .recv = packet_recv,
    .send = packet_send,
    .refresh = packet_refresh,
    .close = packet_close,
};

/* Index, MAC and MTU of the device. 0 or -code, with errno. */
static int device_describe(struct packet *p, const char *ifname, const struct link_options *o,
                           uint8_t device_mac[6], int *ifindex)
{
    struct ifreq r;
    struct link *l = &p->link;
    if (!device_request(&r, ifname))
        return -UT_E_INVALID;
    memcpy(l->name, r.ifr_name, sizeof l->name);
    if (!device_ask(l->fd, SIOCGIFINDEX, &r))
        return -UT_E_SYSTEM;
    *ifindex = r.ifr_ifindex;
    if (!device_ask(l->fd, SIOCGIFHWADDR, &r))
        return -UT_E_SYSTEM;
    if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return -UT_E_NOT_SUPPORTED;
    memcpy(device_mac, r.ifr_hwaddr.sa_data, 6);
    memcpy(l->mac, o->has_mac ? o->mac : device_mac, 6);
    if (!device_ask(l->fd, SIOCGIFMTU, &r))
        return -UT_E_SYSTEM;
    if (o->mtu != 0 && (o->mtu > (uint32_t)r.ifr_mtu || o->mtu < LINK_MTU_MIN))
        return -UT_E_INVALID;
    l->mtu = o->mtu != 0 ? o->mtu : u32_min((uint32_t)r.ifr_mtu, LINK_GSO_MAX);
    if (!device_ask(l->fd, SIOCGIFFLAGS, &r))
        return -UT_E_SYSTEM;
    errno = ENETDOWN;
    return (r.ifr_flags & IFF_UP) != 0 ? 0 : -UT_E_SYSTEM;
}

/* Invariant 1, in the kernel. */
static bool filter_attach(int fd, const uint8_t mac[6])
{
    const uint32_t mac_high =
        (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 | (uint32_t)mac[2] << 8 | mac[3];
    const uint32_t mac_low = (uint32_t)mac[4] << 8 | mac[5];
    const uint32_t vlan = (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, vlan),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 11),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 0, 7),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 4, 0), /* broadcast and multicast */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_high, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_low, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SNAP),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = UT_COUNTOF(code), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* SO_RCVBUF stops at net.core.rmem_max; with privilege over the machine the other one does not. */
static void buffers_size(int fd, uint32_t bytes)
{
    int size = (int)u32_min(bytes, INT32_MAX / 2);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static bool membership_add(int fd, int ifindex, unsigned short type)
{
    const struct packet_mreq m = {.mr_ifindex = ifindex, .mr_type = type};
    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) == 0;
}

/* Everything between socket() and the first frame. The filter stands before frames can arrive,
 * because a socket of protocol 0 receives none. */
static int socket_prepare(struct packet *p, const char *ifname, const struct link_options *o)
{
    const int one = 1;
    uint8_t device_mac[6];
    int ifindex, fd = p->link.fd;
    int result = device_describe(p, ifname, o, device_mac, &ifindex);
    if (result != 0)
        return result;
    p->vnet = setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) == 0;
    /* Both only save work, and old kernels lack them. */
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    buffers_size(fd, o->buffer != 0 ? o->buffer : BUFFER_DEFAULT);
    const struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
    if (!filter_attach(fd, p->link.mac) || bind(fd, (const struct sockaddr *)&a, sizeof a) != 0)
        return -UT_E_SYSTEM;
    /* IPv6 asks for neighbours by multicast. */
    if (!membership_add(fd, ifindex, PACKET_MR_ALLMULTI))
        return -UT_E_SYSTEM;
    if (memcmp(p->link.mac, device_mac, 6) != 0 && !membership_add(fd, ifindex, PACKET_MR_PROMISC))
        return -UT_E_SYSTEM;
    return 0;
}

static void messages_prepare(struct packet *p)
{
    size_t first = p->vnet ? 0 : 1;
    for (int i = 0; i < LINK_BATCH; i++) {
        p->rx_iov[i][0] = (struct iovec){&p->rx_vnet[i], sizeof p->rx_vnet[i]};
        p->place[i] = (struct place){.slot = p->slots + (size_t)i * SLOT, .size = SLOT};
        p->rx_iov[i][1] = (struct iovec){p->place[i].slot, SLOT};
        p->rx[i].msg_hdr.msg_iov = &p->rx_iov[i][first];
        p->rx[i].msg_hdr.msg_iovlen = 2 - first;
        p->tx[i].msg_hdr.msg_iov = p->tx_iov[i];
    }
    p->batch = LINK_BATCH;
}

static void caps_set(struct link *l, bool vnet, bool offload)
{
    l->medium = LINK_ETHERNET;
    if (!vnet)
        return;
    l->caps = LINK_CAP_RX_CSUM | LINK_CAP_RX_GSO;
    if (offload) {
        l->caps |= LINK_CAP_TX_CSUM | LINK_CAP_TX_TSO4 | LINK_CAP_TX_TSO6;
        l->gso_max = LINK_GSO_MAX;
    }
}

int link_packet_open(struct alloc *a, const char *ifname, const struct link_options *o,
                     struct link **out)
{
    struct packet *p = alloc_get(a, sizeof *p);
    if (p == NULL)
        return -UT_E_NO_MEMORY;
    if (!link_init(&p->link, &packet_ops, a)) {
        alloc_put(a, p, sizeof *p);
        return -UT_E_NO_MEMORY;
    }
    int result = -UT_E_NO_MEMORY;
    p->slots = alloc_map(a, (size_t)LINK_BATCH * SLOT);
    if (p->slots != NULL) {
        p->link.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        result = p->link.fd >= 0 ? socket_prepare(p, ifname, o) : -UT_E_SYSTEM;
    }
    if (result != 0) {
        int saved = errno;
        packet_close(&p->link);
        errno = saved;
        return result;
    }
    messages_prepare(p);
    caps_set(&p->link, p->vnet, o->offload);
    *out = &p->link;
    return 0;
}
