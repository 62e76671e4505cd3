/* tun.c: a TUN device: IP packets to and from this machine's kernel, super-segments included.
 *
 * One system call per packet, so super-segments are what makes it fast. The kernel's end of the
 * device is configured by others (an address, up).
 *   1. With IFF_VNET_HDR every packet is preceded by its marks, both ways. Without offload it is
 *      off, and the kernel completes and segments by itself.
 *   2. `gone` is for good; a device that is merely down comes back by itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/errors.h"
#include "link/device.h"
#include "link/open.h"
#include "link/place.h"
#include "link/vnet.h"

#define SLOT (65536u + 64u)
#define BATCH_BYTES (512u << 10) /* then the receiver copies on, while the cache still holds it */

struct tun {
    struct link link;
    bool vnet;
    bool gone;
    bool large; /* the last packet was worth a posted buffer, so the next may be */
    uint8_t *slots;
};

static struct tun *tun_of(struct link *l) { return UT_CONTAINER_OF(l, struct tun, link); }

/* EBADFD: the device was removed. EIO: the same while it happens, or the device is down. */
static bool device_is_gone(const struct tun *t, int error)
{
    struct ifreq r;
    return error == EBADFD || error == EBADF || error == ENODEV ||
           (error == EIO && !device_ask(t->link.fd, TUNGETIFF, &r));
}

static int tun_recv(struct link *l, struct link_frame *frames, int max)
{
    struct tun *t = tun_of(l);
    const size_t before = t->vnet ? sizeof(struct virtio_net_hdr) : 0;
    uint32_t free = t->large ? place_free(l) : 0;
    uint64_t bytes = 0;
    int count = 0;
    while (count < max && count < LINK_BATCH && bytes < BATCH_BYTES && !t->gone) {
        struct link_frame *f = &frames[count];
        struct virtio_net_hdr v;
        struct place at = {.slot = t->slots + (size_t)count * SLOT, .size = SLOT};
        struct iovec iov[1 + PLACE_PARTS] = {{&v, sizeof v}};
        int parts = place_next(l, &at, &free, iov + 1);
        ssize_t n = readv(l->fd, t->vnet ? iov : iov + 1, parts + t->vnet);
        l->stats.recv_calls++;
        if (n < 0) {
            t->gone = device_is_gone(t, errno);
            break;
        }
        if ((size_t)n <= before) {
            l->stats.rx_errors++;
            break;
        }
        memset(&f->offload, 0, sizeof f->offload);
        if (t->vnet)
            vnet_to_offload(&f->offload, &v);
        place_received(l, &at, (uint32_t)((size_t)n - before), f);
        t->large = f->len >= POSTED_WORTH;
        if (f->len == SLOT) /* the kernel cuts silently; no whole packet is that long */
            f->offload.flags |= LINK_TRUNCATED;
        bytes += f->len;
        count++;
    }
    l->stats.rx_frames += (uint64_t)count;
    l->stats.rx_bytes += bytes;
    return count == 0 && t->gone ? -UT_E_LINK_DOWN : count;
}

static ssize_t packet_write(const struct tun *t, const struct link_out *o)
{
    struct virtio_net_hdr v;
    struct iovec iov[4];
    int parts = 0;
    if (t->vnet) {
        vnet_from_offload(&v, &o->offload);
        iov[parts++] = (struct iovec){&v, sizeof v};
    }
    iov[parts++] = (struct iovec){(void *)(uintptr_t)o->head, o->head_len};
    for (int b = 0; b < 2; b++)
        if (o->body_len[b] != 0)
            iov[parts++] = (struct iovec){(void *)(uintptr_t)o->body[b], o->body_len[b]};
    return writev(t->link.fd, iov, parts);
}

static int tun_send(struct link *l)
{
    struct tun *t = tun_of(l);
    int taken = 0;
    for (int i = 0; i < l->out_count; i++) {
        const struct link_out *o = &l->out[i];
        l->stats.flush_calls++;
        if (packet_write(t, o) >= 0) {
            taken++;
            l->stats.tx_bytes += link_out_len(o);
        } else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
            l->stats.tx_full += (uint64_t)(l->out_count - i);
            break;
        } else {
            l->stats.tx_errors++;
            t->gone = t->gone || device_is_gone(t, errno); /* told by the next receive call */
        }
    }
    l->stats.tx_frames += (uint64_t)taken;
    return taken;
}

static void tun_close(struct link *l)
{
    struct tun *t = tun_of(l);
    struct alloc *a = l->alloc;
    link_fini(l);
    alloc_unmap(a, t->slots, (size_t)LINK_BATCH * SLOT);
    alloc_put(a, t, sizeof *t);
}

static const struct link_ops tun_ops = {
    .name = "tun",
    .recv = tun_recv,
    .send = tun_send,
    .close = tun_close,
};

/* Asks through a socket, since a TUN descriptor answers only its own questions. */
static int mtu_settle(struct link *l, const struct link_options *o)
{
    struct ifreq r;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !device_request(&r, l->name))
        return -UT_E_SYSTEM;
    if (o->mtu != 0) { /* a device prepared for us may refuse; then a smaller one is ours to keep */
        r.ifr_mtu = (int)o->mtu;
        (void)device_ask(fd, SIOCSIFMTU, &r);
    }
    bool known = device_ask(fd, SIOCGIFMTU, &r);
    int saved = errno;
    close(fd);
    errno = saved;
    if (!known)
        return -UT_E_SYSTEM;
    if (o->mtu > (uint32_t)r.ifr_mtu)
        return -UT_E_INVALID;
    l->mtu = o->mtu != 0 ? o->mtu : u32_min((uint32_t)r.ifr_mtu, LINK_GSO_MAX);
    return 0;
}

static bool attach(struct tun *t, struct ifreq *r, const struct link_options *o)
{
    const short flags = IFF_TUN | IFF_NO_PI | (o->multi_queue ? IFF_MULTI_QUEUE : 0);
    t->vnet = o->offload;
    r->ifr_flags = (short)(flags | (t->vnet ? IFF_VNET_HDR : 0));
    if (device_ask(t->link.fd, TUNSETIFF, r))
        return true;
    if (errno != EINVAL || !t->vnet)
        return false;
    t->vnet = false; /* a kernel or a device that has no virtio_net headers */
    r->ifr_flags = flags;
    return device_ask(t->link.fd, TUNSETIFF, r);
}

static int tun_prepare(struct tun *t, const char *ifname, const struct link_options *o)
{
    struct link *l = &t->link;
    struct ifreq r;
    memset(&r, 0, sizeof r);
    if (ifname[0] != '\0' && !device_request(&r, ifname))
        return -UT_E_INVALID;
    if (o->mtu != 0 && (o->mtu < LINK_MTU_MIN || o->mtu > LINK_GSO_MAX))
        return -UT_E_INVALID;
    l->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (l->fd < 0 || !attach(t, &r, o))
        return -UT_E_SYSTEM;
    memcpy(l->name, r.ifr_name, sizeof l->name);
    l->name[sizeof l->name - 1] = '\0';
    l->medium = LINK_IP;
    if (t->vnet) {
        const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        l->caps = LINK_CAP_TX_CSUM | LINK_CAP_TX_TSO4 | LINK_CAP_TX_TSO6;
        l->gso_max = LINK_GSO_MAX;
        if (ioctl(l->fd, TUNSETOFFLOAD, offloads) == 0)
            l->caps |= LINK_CAP_RX_CSUM | LINK_CAP_RX_GSO;
    }
    return mtu_settle(l, o);
}

int link_tun_open(struct alloc *a, const char *ifname, const struct link_options *o,
                  struct link **out)
{
    struct tun *t = alloc_get(a, sizeof *t);
    if (t == NULL)
        return -UT_E_NO_MEMORY;
    if (!link_init(&t->link, &tun_ops, a)) {
        alloc_put(a, t, sizeof *t);
        return -UT_E_NO_MEMORY;
    }
    t->slots = alloc_map(a, (size_t)LINK_BATCH * SLOT);
    int result = t->slots != NULL ? tun_prepare(t, ifname, o) : -UT_E_NO_MEMORY;
    if (result != 0) {
        int saved = errno;
        tun_close(&t->link);
        errno = saved;
        return result;
    }
    *out = &t->link;
    return 0;
}
