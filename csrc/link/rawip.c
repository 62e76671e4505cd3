/* rawip.c: raw IP sockets: a stack on the host's own addresses, beside the kernel's TCP.
 *
 *     TCP/IPv4, ICMP, TCP/IPv6, ICMPv6 sockets -> one epoll descriptor (link_fd) -> frames
 *
 * Every segment for the claimed ports reaches us and the kernel; its RSTs are kept in by a firewall
 * rule that usertcp._claims makes.
 *   1. Socket filters let through segments to the claimed ports and ICMP errors, nothing else.
 *   2. IPv6 sockets give no IP header: it is written anew from what the kernel tells about it.
 *   3. What never was on a wire arrives with a partial checksum, which these sockets do not say. It
 *      is told by the checksum field: it then holds the bare sum of the pseudo-header.
 *   4. No segmentation offload; but the kernel may have merged what arrives, up to 64 KiB.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/errors.h"
#include "link/open.h"

#define IPV6_HEADER 40u
#define SLOT (65536u + 64u)
#define ROOM_BEFORE 64u /* for the IPv6 header, before what an IPv6 socket delivers */
#define BUFFER_DEFAULT (4u << 20)
#define CONTROL 128u
#define TCP_CHECKSUM_AT 16u

enum { SOCKET_TCP4, SOCKET_ICMP4, SOCKET_TCP6, SOCKET_ICMP6, SOCKETS };

struct rawip {
    struct link link;
    int fd[SOCKETS]; /* -1: the machine has no such protocol */
    uint8_t *slots;  /* each ROOM_BEFORE + SLOT bytes */
    struct mmsghdr rx[LINK_BATCH], tx[LINK_BATCH];
    struct iovec rx_iov[LINK_BATCH], tx_iov[LINK_BATCH][3];
    struct sockaddr_in6 from[LINK_BATCH];
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to[LINK_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[LINK_BATCH][CONTROL];
};

static struct rawip *rawip_of(struct link *l) { return UT_CONTAINER_OF(l, struct rawip, link); }

static uint8_t *slot_of(struct rawip *w, unsigned i)
{
    return w->slots + (size_t)i * (ROOM_BEFORE + SLOT) + ROOM_BEFORE;
}

/* ---- receiving ------------------------------------------------------------------------------ */

static uint32_t sum_words(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    return sum;
}

/* Invariant 3. `addresses` are both of them, `tcp` the segment. */
static void mark_partial(struct link_frame *f, const uint8_t *addresses, size_t address_bytes,
                         const uint8_t *tcp)
{
    const uint32_t len = f->len - (uint32_t)(tcp - f->data);
    if (tcp + 20 > f->data + f->len)
        return;
    uint32_t sum = sum_words(addresses, address_bytes, IPPROTO_TCP + (len >> 16) + (len & 0xffff));
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    if (sum != ((uint32_t)tcp[TCP_CHECKSUM_AT] << 8 | tcp[TCP_CHECKSUM_AT + 1]))
        return;
    f->offload.flags |= LINK_NEEDS_CSUM;
    f->offload.csum_start = (uint16_t)(tcp - f->data);
    f->offload.csum_offset = TCP_CHECKSUM_AT;
}

static bool frame_from_v4(struct link_frame *f, const uint8_t *slot, uint32_t len, bool tcp)
{
    const size_t header = (size_t)(slot[0] & 15) * 4;
    f->data = slot;
    f->len = len;
    if (len < sizeof(struct ip) || header < sizeof(struct ip) || header > len)
        return false;
    if (tcp)
        mark_partial(f, slot + offsetof(struct ip, ip_src), 8, slot + header);
    return true;
}

/* Invariant 2. */
static bool frame_from_v6(struct rawip *w, unsigned i, struct link_frame *f, bool tcp)
{
    uint8_t *at = slot_of(w, i) - IPV6_HEADER;
    struct ip6_hdr h = {.ip6_src = w->from[i].sin6_addr};
    struct msghdr *m = &w->rx[i].msg_hdr;
    int hops = 64, class = 0;
    bool known = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != IPPROTO_IPV6)
            continue;
        if (c->cmsg_type == IPV6_HOPLIMIT) {
            memcpy(&hops, CMSG_DATA(c), sizeof hops);
        } else if (c->cmsg_type == IPV6_TCLASS) {
            memcpy(&class, CMSG_DATA(c), sizeof class);
        } else if (c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            h.ip6_dst = info.ipi6_addr;
            known = true;
        }
    }
    h.ip6_flow = htonl(6u << 28 | (uint32_t)(class & 255) << 20);
    h.ip6_plen = htons((uint16_t)w->rx[i].msg_len);
    h.ip6_nxt = tcp ? IPPROTO_TCP : IPPROTO_ICMPV6;
    h.ip6_hops = (uint8_t)hops;
    memcpy(at, &h, sizeof h);
    f->data = at;
    f->len = IPV6_HEADER + w->rx[i].msg_len;
    if (tcp)
        mark_partial(f, at + offsetof(struct ip6_hdr, ip6_src), 32, at + IPV6_HEADER);
    return known && w->rx[i].msg_len <= UINT16_MAX;
}

/* Slots [first, max) from one socket. Returns how many frames came of it. */
static int socket_recv(struct rawip *w, int which, struct link_frame *frames, int first, int max)
{
    for (int i = first; i < max; i++) {
        w->rx[i].msg_hdr.msg_controllen = CONTROL;
        w->rx[i].msg_hdr.msg_namelen = sizeof w->from[i];
    }
    int n = recvmmsg(w->fd[which], w->rx + first, (unsigned)(max - first), MSG_DONTWAIT, NULL);
    int count = first;
    w->link.stats.recv_calls++;
    for (int i = first; i < first + n; i++) {
        struct link_frame *f = &frames[count];
        const bool tcp = which == SOCKET_TCP4 || which == SOCKET_TCP6;
        *f = (struct link_frame){0};
        if (w->rx[i].msg_hdr.msg_flags & MSG_TRUNC)
            f->offload.flags = LINK_TRUNCATED;
        bool good = which == SOCKET_TCP4 || which == SOCKET_ICMP4
                        ? frame_from_v4(f, slot_of(w, (unsigned)i), w->rx[i].msg_len, tcp)
                        : frame_from_v6(w, (unsigned)i, f, tcp);
        if (!good) {
            w->link.stats.rx_errors++;
            continue;
        }
        w->link.stats.rx_bytes += f->len;
        count++;
    }
    return count - first;
}

static int rawip_recv(struct link *l, struct link_frame *frames, int max)
{
    struct rawip *w = rawip_of(l);
    struct epoll_event ready[SOCKETS];
    int count = 0, room = max < LINK_BATCH ? max : LINK_BATCH;
    int n = epoll_wait(l->fd, ready, SOCKETS, 0);
    l->stats.recv_calls++;
    for (int i = 0; i < n && count < room; i++)
        count += socket_recv(w, (int)ready[i].data.u32, frames, count, room);
    l->stats.rx_frames += (uint64_t)count;
    return count;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Which socket, and where to: the kernel wants the destination apart from the header. */
static int message_build(struct rawip *w, int i)
{
    struct link_out *o = &w->link.out[i];
    struct msghdr *m = &w->tx[i].msg_hdr;
    const bool v4 = o->head[0] >> 4 == 4;
    memset(&w->to[i], 0, sizeof w->to[i]);
    if (v4) {
        w->to[i].v4.sin_family = AF_INET;
        memcpy(&w->to[i].v4.sin_addr, o->head + offsetof(struct ip, ip_dst), 4);
        m->msg_namelen = sizeof w->to[i].v4;
    } else {
        w->to[i].v6.sin6_family = AF_INET6;
        memcpy(&w->to[i].v6.sin6_addr, o->head + offsetof(struct ip6_hdr, ip6_dst), 16);
        m->msg_namelen = sizeof w->to[i].v6;
    }
    m->msg_iovlen = 1;
    w->tx_iov[i][0] = (struct iovec){o->head, o->head_len};
    for (int b = 0; b < 2; b++)
        if (o->body_len[b] != 0)
            w->tx_iov[i][m->msg_iovlen++] =
                (struct iovec){(void *)(uintptr_t)o->body[b], o->body_len[b]};
    return v4 ? SOCKET_TCP4 : SOCKET_TCP6;
}

/* A run of messages for one socket; returns how many it took. */
static int run_send(struct rawip *w, int which, int at, int end)
{
    struct link *l = &w->link;
    int taken = 0;
    while (at < end) {
        int n = sendmmsg(w->fd[which], w->tx + at, (unsigned)(end - at), MSG_DONTWAIT);
        l->stats.flush_calls++;
        if (n > 0) {
            for (int i = at; i < at + n; i++)
                l->stats.tx_bytes += link_out_len(&l->out[i]);
            taken += n;
            at += n;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            l->stats.tx_full += (uint64_t)(end - at);
            break;
        } else if (errno != EINTR) { /* no route, too long, refused by a firewall: this one only */
            l->stats.tx_errors++;
            at++;
        }
    }
    return taken;
}

static int rawip_send(struct link *l)
{
    struct rawip *w = rawip_of(l);
    int taken = 0, begin = 0, which = message_build(w, 0);
    for (int i = 1; i <= l->out_count; i++) {
        int next = i < l->out_count ? message_build(w, i) : -1;
        if (next == which)
            continue;
        taken += run_send(w, which, begin, i);
        begin = i;
        which = next;
    }
    l->stats.tx_frames += (uint64_t)taken;
    return taken;
}

/* ---- opening and closing -------------------------------------------------------------------- */

static void rawip_close(struct link *l)
{
    struct rawip *w = rawip_of(l);
    struct alloc *a = l->alloc;
    for (int i = 0; i < SOCKETS; i++)
        if (w->fd[i] >= 0)
            close(w->fd[i]);
    link_fini(l);
    alloc_unmap(a, w->slots, (size_t)LINK_BATCH * (ROOM_BEFORE + SLOT));
    alloc_put(a, w, sizeof *w);
}

static const struct link_ops rawip_ops = {
    .name = "raw",
    .recv = rawip_recv,
    .send = rawip_send,
    .close = rawip_close,
};

/* Invariant 1. An IPv4 socket's filter sees the IP header, an IPv6 socket's does not. */
static bool filter_ports(int fd, bool v4, uint32_t first, uint32_t last)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    if (!v4) {
        code[0] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0);
    }
    const struct sock_fprog program = {.len = UT_COUNTOF(code), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* The kernel answers echo requests itself; errors are what concerns us. */
static bool filter_icmp(int fd, bool v4)
{
    if (v4) {
        const struct icmp_filter f = {
            ~(1u << ICMP_DEST_UNREACH | 1u << ICMP_TIME_EXCEEDED | 1u << ICMP_PARAMETERPROB)};
        return setsockopt(fd, SOL_RAW, ICMP_FILTER, &f, sizeof f) == 0;
    }
    struct icmp6_filter f;
    ICMP6_FILTER_SETBLOCKALL(&f);
    for (unsigned type = ICMP6_DST_UNREACH; type <= ICMP6_PARAM_PROB; type++)
        ICMP6_FILTER_SETPASS(type, &f);
    return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f) == 0;
}

static bool set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static bool socket_configure(int fd, int which, const struct link_options *o)
{
    const bool v4 = which == SOCKET_TCP4 || which == SOCKET_ICMP4;
    const bool tcp = which == SOCKET_TCP4 || which == SOCKET_TCP6;
    const int size = (int)u32_min(o->buffer != 0 ? o->buffer : BUFFER_DEFAULT, INT32_MAX / 2);
    if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, size))
        set_int(fd, SOL_SOCKET, SO_RCVBUF, size);
    if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, size))
        set_int(fd, SOL_SOCKET, SO_SNDBUF, size);
    if (!(tcp ? filter_ports(fd, v4, o->port_first, o->port_last) : filter_icmp(fd, v4)))
        return false;
    uint8_t byte; /* what came before the filter stood: forget it */
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0) {
    }
    if (v4)
        return set_int(fd, IPPROTO_IP, IP_HDRINCL, 1);
    return set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
           set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
           set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
           (!tcp || set_int(fd, IPPROTO_IPV6, IPV6_HDRINCL, 1));
}

static int sockets_open(struct rawip *w, const struct link_options *o)
{
    static const int protocols[SOCKETS] = {IPPROTO_TCP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_ICMPV6};
    w->link.fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->link.fd < 0)
        return -UT_E_SYSTEM;
    for (int i = 0; i < SOCKETS; i++) {
        const int family = i == SOCKET_TCP4 || i == SOCKET_ICMP4 ? AF_INET : AF_INET6;
        w->fd[i] = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocols[i]);
        if (w->fd[i] < 0 && family == AF_INET6 && errno == EAFNOSUPPORT)
            continue; /* booted without IPv6 */
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (w->fd[i] < 0 || !socket_configure(w->fd[i], i, o) ||
            epoll_ctl(w->link.fd, EPOLL_CTL_ADD, w->fd[i], &e) != 0)
            return -UT_E_SYSTEM;
    }
    return 0;
}

static void messages_prepare(struct rawip *w)
{
    for (unsigned i = 0; i < LINK_BATCH; i++) {
        struct msghdr *rx = &w->rx[i].msg_hdr, *tx = &w->tx[i].msg_hdr;
        w->rx_iov[i] = (struct iovec){slot_of(w, i), SLOT};
        rx->msg_iov = &w->rx_iov[i];
        rx->msg_iovlen = 1;
        rx->msg_name = &w->from[i];
        rx->msg_control = w->control[i];
        tx->msg_iov = w->tx_iov[i];
        tx->msg_name = &w->to[i];
    }
}

int link_rawip_open(struct alloc *a, const struct link_options *o, struct link **out)
{
    if (o->port_first == 0 || o->port_first > o->port_last ||
        (o->mtu != 0 && (o->mtu < LINK_MTU_MIN || o->mtu > LINK_GSO_MAX)))
        return -UT_E_INVALID;
    struct rawip *w = alloc_get(a, sizeof *w);
    if (w == NULL)
        return -UT_E_NO_MEMORY;
    for (int i = 0; i < SOCKETS; i++)
        w->fd[i] = -1;
    if (!link_init(&w->link, &rawip_ops, a)) {
        alloc_put(a, w, sizeof *w);
        return -UT_E_NO_MEMORY;
    }
    w->slots = alloc_map(a, (size_t)LINK_BATCH * (ROOM_BEFORE + SLOT));
    int result = w->slots != NULL ? sockets_open(w, o) : -UT_E_NO_MEMORY;
    if (result != 0) {
        int saved = errno;
        rawip_close(&w->link);
        errno = saved;
        return result;
    }
    messages_prepare(w);
    w->link.medium = LINK_IP;
    w->link.mtu = o->mtu != 0 ? o->mtu : LINK_MTU_DEFAULT;
    w->link.caps = LINK_CAP_RX_CSUM;
    *out = &w->link;
    return 0;
}
