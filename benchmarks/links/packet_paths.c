/* packet_paths.c: ways to move frames through AF_PACKET, measured; run by packet_paths.py.
 *
 *   packet_paths recv mmsg:N   IFNAME MAC SECONDS   recvmmsg of up to N frames
 *   packet_paths recv ring:S   IFNAME MAC SECONDS   TPACKET_V2 ring of S slots of 64 KiB and
 * headers packet_paths send mmsg:N   IFNAME MAC SECONDS BYTES   sendmmsg of N frames, two parts
 * each packet_paths send ring:S   IFNAME MAC SECONDS BYTES   TPACKET_V2 transmit ring
 *
 * A receiver copies every payload once more, into a 4 MiB ring, as the stack does. MAC is the
 * destination. Frames are IPv4 TCP with a partial checksum; above 1500 bytes they carry gso_size
 * 1448. Prints one JSON object.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX (65536 + 128)
#define SLOT (FRAME_MAX + 192) /* multiple of 16: ring header, vnet header, alignment */
#define BLOCK_ORDER_BYTES (1u << 20)
#define HEADERS 66
#define COPY_RING (4u << 20)
#define SOCKET_BUFFER (16 << 20)

static uint64_t frames, bytes, calls, polls, drops;
static double idle; /* seconds in poll without a frame before or after: not part of the run */
static uint8_t copy_ring[COPY_RING];
static uint32_t copy_at;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static int open_socket(const char *ifname, bool receive)
{
    int one = 1, size = SOCKET_BUFFER;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) != 0)
        die("PACKET_VNET_HDR");
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    (void)ifname, (void)receive;
    return fd;
}

static void bind_socket(int fd, const char *ifname, bool receive)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET,
                            .sll_protocol = receive ? htons(ETH_P_ALL) : 0,
                            .sll_ifindex = (int)if_nametoindex(ifname)};
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("bind");
}

static void wait_for(int fd, short what)
{
    struct pollfd p = {.fd = fd, .events = what};
    double before = now();
    polls++;
    if (poll(&p, 1, 20) == 0 || frames == 0)
        idle += now() - before;
}

static void take(const uint8_t *frame, uint32_t len)
{
    if (len <= HEADERS)
        return;
    uint32_t n = len - HEADERS;
    if (copy_at + n > COPY_RING)
        copy_at = 0;
    memcpy(copy_ring + copy_at, frame + HEADERS, n);
    copy_at += n;
    frames++;
    bytes += n;
}

static void receive_mmsg(int fd, unsigned batch, double end)
{
    struct mmsghdr *m = calloc(batch, sizeof *m);
    struct iovec *iov = calloc(2 * batch, sizeof *iov);
    struct virtio_net_hdr *v = calloc(batch, sizeof *v);
    uint8_t *data = mmap(NULL, (size_t)batch * FRAME_MAX, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < batch; i++) {
        iov[2 * i] = (struct iovec){&v[i], sizeof v[i]};
        iov[2 * i + 1] = (struct iovec){data + (size_t)i * FRAME_MAX, FRAME_MAX};
        m[i].msg_hdr.msg_iov = &iov[2 * i];
        m[i].msg_hdr.msg_iovlen = 2;
    }
    while (now() < end) {
        int n = recvmmsg(fd, m, batch, MSG_DONTWAIT, NULL);
        calls++;
        if (n < 0 && errno == EAGAIN)
            wait_for(fd, POLLIN);
        for (int i = 0; i < n; i++)
            take(iov[2 * i + 1].iov_base, m[i].msg_len - (uint32_t)sizeof *v);
    }
}

static uint8_t *map_ring(int fd, int which, unsigned slots, unsigned *per_block, unsigned *block)
{
    int version = TPACKET_V2;
    if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0)
        die("PACKET_VERSION");
    *block = BLOCK_ORDER_BYTES;
    *per_block = *block / SLOT;
    struct tpacket_req r = {.tp_block_size = *block, .tp_frame_size = SLOT};
    r.tp_block_nr = (slots + *per_block - 1) / *per_block;
    r.tp_frame_nr = r.tp_block_nr * *per_block;
    if (setsockopt(fd, SOL_PACKET, which, &r, sizeof r) != 0)
        die("ring");
    uint8_t *p = mmap(NULL, (size_t)r.tp_block_nr * *block, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        die("mmap ring");
    return p;
}

static struct tpacket2_hdr *slot_of(uint8_t *ring, unsigned i, unsigned per_block, unsigned block)
{
    return (struct tpacket2_hdr *)(void *)(ring + (size_t)(i / per_block) * block +
                                           (size_t)(i % per_block) * SLOT);
}

static void receive_ring(int fd, uint8_t *ring, unsigned slots, unsigned per_block, unsigned block,
                         double end)
{
    unsigned at = 0;
    while (now() < end) {
        struct tpacket2_hdr *h = slot_of(ring, at, per_block, block);
        if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
            wait_for(fd, POLLIN);
            continue;
        }
        take((uint8_t *)h + h->tp_mac, h->tp_snaplen);
        __atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        at = at + 1 == slots ? 0 : at + 1;
    }
}

static uint32_t build_headers(uint8_t *h, const char *mac, uint32_t payload,
                              struct virtio_net_hdr *v)
{
    unsigned b[6];
    memset(h, 0, HEADERS);
    sscanf(mac, "%x:%x:%x:%x:%x:%x", b, b + 1, b + 2, b + 3, b + 4, b + 5);
    for (int i = 0; i < 6; i++)
        h[i] = (uint8_t)b[i];
    h[6] = 2, h[12] = 8;
    uint32_t total = payload + HEADERS - 14;
    h[14] = 0x45, h[16] = (uint8_t)(total >> 8), h[17] = (uint8_t)total;
    h[22] = 64, h[23] = 6, h[26] = 10, h[29] = 1, h[30] = 10, h[33] = 2;
    h[46] = 0x80, h[47] = 0x10;
    memset(v, 0, sizeof *v);
    v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    v->csum_start = 34;
    v->csum_offset = 16;
    v->hdr_len = HEADERS;
    if (payload > 1448) {
        v->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        v->gso_size = 1448;
    }
    return HEADERS;
}

static void send_mmsg(int fd, unsigned batch, uint32_t payload, const char *mac, double end)
{
    struct mmsghdr *m = calloc(batch, sizeof *m);
    struct iovec *iov = calloc(3 * batch, sizeof *iov);
    struct virtio_net_hdr v;
    uint8_t head[HEADERS];
    build_headers(head, mac, payload, &v);
    for (unsigned i = 0; i < batch; i++) {
        m[i].msg_hdr.msg_iov = &iov[3 * i];
        m[i].msg_hdr.msg_iovlen = 3;
        iov[3 * i] = (struct iovec){&v, sizeof v};
        iov[3 * i + 1] = (struct iovec){head, HEADERS};
    }
    while (now() < end) {
        for (unsigned i = 0; i < batch; i++) {
            if (copy_at + payload > COPY_RING)
                copy_at = 0;
            iov[3 * i + 2] = (struct iovec){copy_ring + copy_at, payload};
            copy_at += payload;
        }
        int n = sendmmsg(fd, m, batch, MSG_DONTWAIT);
        calls++;
        if (n > 0) {
            frames += (unsigned)n;
            bytes += (uint64_t)n * payload;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            drops++;
            wait_for(fd, POLLOUT);
        } else
            die("sendmmsg");
    }
}

static void send_ring(int fd, uint8_t *ring, unsigned slots, unsigned per_block, unsigned block,
                      uint32_t payload, const char *mac, double end)
{
    const size_t offset = TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
    struct virtio_net_hdr v;
    uint8_t head[HEADERS];
    build_headers(head, mac, payload, &v);
    unsigned at = 0, batch = 0;
    while (now() < end) {
        struct tpacket2_hdr *h = slot_of(ring, at, per_block, block);
        if (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE) {
            calls++;
            if (send(fd, NULL, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS)
                die("send");
            wait_for(fd, POLLOUT);
            batch = 0;
            continue;
        }
        uint8_t *to = (uint8_t *)h + offset;
        memcpy(to, &v, sizeof v);
        memcpy(to + sizeof v, head, HEADERS);
        if (copy_at + payload > COPY_RING)
            copy_at = 0;
        memcpy(to + sizeof v + HEADERS, copy_ring + copy_at, payload);
        copy_at += payload;
        h->tp_len = (uint32_t)sizeof v + HEADERS + payload;
        __atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
        frames++;
        bytes += payload;
        at = at + 1 == slots ? 0 : at + 1;
        if (++batch == 8) {
            calls++;
            if (send(fd, NULL, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS)
                die("send");
            batch = 0;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return fprintf(stderr, "see the head of packet_paths.c\n"), 2;
    bool receive = strcmp(argv[1], "recv") == 0, ring = strncmp(argv[2], "ring", 4) == 0;
    unsigned n = (unsigned)atoi(argv[2] + 5), per_block = 0, block = 0;
    double seconds = atof(argv[5]);
    memset(copy_ring, 1, sizeof copy_ring);
    int fd = open_socket(argv[3], receive);
    uint8_t *map = NULL;
    if (ring) {
        map = map_ring(fd, receive ? PACKET_RX_RING : PACKET_TX_RING, n, &per_block, &block);
        n = (n + per_block - 1) / per_block * per_block;
    }
    bind_socket(fd, argv[3], receive);
    uint32_t payload = argc > 6 ? (uint32_t)atoi(argv[6]) : 0;
    double begin = now(), end = begin + seconds;
    if (receive && ring)
        receive_ring(fd, map, n, per_block, block, end);
    else if (receive)
        receive_mmsg(fd, n, end);
    else if (ring)
        send_ring(fd, map, n, per_block, block, payload, argv[4], end);
    else
        send_mmsg(fd, n, payload, argv[4], end);
    double took = now() - begin - idle;
    struct tpacket_stats st = {0};
    socklen_t len = sizeof st;
    if (receive)
        getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &st, &len);
    printf(
        "{\"gbps\": %.2f, \"mframes\": %.3f, \"calls\": %llu, \"frames\": %llu, \"polls\": %llu, "
        "\"full\": %llu, \"dropped\": %u, \"cpu_s\": %.4f, \"bytes\": %llu}\n",
        (double)bytes * 8e-9 / took, (double)frames * 1e-6 / took, (unsigned long long)calls,
        (unsigned long long)frames, (unsigned long long)polls, (unsigned long long)drops,
        st.tp_drops, cpu(), (unsigned long long)bytes);
    return 0;
}
