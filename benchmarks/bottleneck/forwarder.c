/* forwarder.c: a bottleneck between devices; started by bottleneck.lane.
 *
 *   forwarder DEV=MAC,... DEV=MAC,... forth=SPEC back=SPEC
 *
 * Frames of the devices on the left go to the one on the right whose station MAC they name, and the
 * other way round; broadcasts go to all. What is not IPv4 (ARP) passes at once. Each direction is
 * one link for all of its devices: rate, queue in front of it, delay behind it. SPEC is
 *
 *   RATE:DELAY:QUEUE:BLUR:LOSS:PERIOD:SEED    bit/s (0: no limit), us, bytes, bytes, ppm, 0 or n,
 * a number
 *
 * Of the queue the last BLUR bytes are to be had by chance: else whoever's packets follow a
 * departure always find the room, and the other flow's never (phase effects: Floyd and Jacobson
 * 1992).
 *
 * LOSS and PERIOD (every n-th) take segments with data. Whether the i-th is lost depends on SEED
 * and i alone, so whoever sends meets the same pattern. A length is the frame's, with its 14-byte
 * header.
 *
 * Runs until standard input ends, then prints one JSON object of what happened to whom.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DEVICES 4 /* on a side, at most */
#define FRAME 1600
#define SLOTS 16384 /* frames between here and there, a direction; a power of two */
#define BATCH 64
#define SOCKET_BUFFER (32 << 20)
#define PRIORITY 2 /* of real time, where it is allowed: who is late delays everybody's packets */

struct device {
    int fd;
    uint8_t mac[6];
};

struct side {
    struct device device[DEVICES];
    int count;
};

struct slot {
    uint64_t due; /* ns */
    uint32_t len;
    uint8_t to; /* which devices of the other side: a bit each */
    uint8_t frame[FRAME];
};

struct direction {
    struct side *from, *to;
    uint64_t rate, delay, queue, blur, loss, period, seed;
    struct slot *slots;
    uint32_t head, tail;           /* head: the next to leave */
    uint64_t busy_until;           /* when the link has sent what it holds */
    uint64_t segments, first_lost; /* counted from 1; 0 = none was */
    uint64_t arrived, frames, bytes, lost, dropped, refused, oversize;
    uint64_t late_sum, late_most, queued_sum, queued_most;
};

static struct side left, right;
static struct direction forth = {.from = &left, .to = &right};
static struct direction back = {.from = &right, .to = &left};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* splitmix64: the same for the same seed and index, wherever asked. */
static uint64_t mixed(uint64_t seed, uint64_t index)
{
    uint64_t z = seed * 0xd1342543de82ef95u + index * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void open_device(struct device *d, const char *name)
{
    int one = 1, size = SOCKET_BUFFER;
    struct sockaddr_ll a = {.sll_family = AF_PACKET,
                            .sll_protocol = htons(ETH_P_ALL),
                            .sll_ifindex = (int)if_nametoindex(name)};
    if (a.sll_ifindex == 0)
        die(name);
    d->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (d->fd < 0)
        die("socket");
    struct packet_mreq all = {.mr_ifindex = a.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(d->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0 ||
        setsockopt(d->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0)
        die("setsockopt");
    setsockopt(d->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    if (setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(d->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        setsockopt(d->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (bind(d->fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("bind");
}

static void open_side(struct side *s, char *text)
{
    for (char *one = strtok(text, ","); one; one = strtok(NULL, ",")) {
        if (s->count == DEVICES) {
            fprintf(stderr, "more than %d devices on a side\n", DEVICES);
            exit(2);
        }
        struct device *d = &s->device[s->count++];
        char *mac = strchr(one, '=');
        uint8_t *m = d->mac;
        if (!mac || sscanf(mac + 1, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4,
                           m + 5) != 6) {
            fprintf(stderr, "%s: expected DEV=MAC\n", one);
            exit(2);
        }
        *mac = 0;
        open_device(d, one);
    }
}

static void configure(struct direction *d, const char *text)
{
    const char *spec = strchr(text, '=');
    if (!spec ||
        sscanf(spec + 1,
               "%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64,
               &d->rate, &d->delay, &d->queue, &d->blur, &d->loss, &d->period, &d->seed) != 7) {
        fprintf(stderr, "%s: expected RATE:DELAY:QUEUE:BLUR:LOSS:PERIOD:SEED\n", text);
        exit(2);
    }
    d->delay *= 1000;
    d->slots = calloc(SLOTS, sizeof *d->slots);
    if (!d->slots)
        die("calloc");
}

static bool is_ipv4(const uint8_t *frame, uint32_t len)
{
    return len >= 34 && frame[12] == 8 && frame[13] == 0;
}

static bool has_data(const uint8_t *frame, uint32_t len)
{
    const uint8_t *ip = frame + 14;
    uint32_t header = (ip[0] & 15u) * 4u, total = (uint32_t)ip[2] << 8 | ip[3];
    if (ip[9] != 6 || len < 14 + header + 20)
        return false;
    return total > header + (ip[header + 12] >> 4) * 4u;
}

static uint8_t stations(const struct side *s, const uint8_t *frame)
{
    uint8_t to = 0;
    for (int i = 0; i < s->count; i++)
        if (frame[0] & 1 || memcmp(s->device[i].mac, frame, 6) == 0)
            to |= (uint8_t)(1u << i);
    return to;
}

static void put(struct direction *d, const uint8_t *frame, uint32_t len, uint64_t due)
{
    uint8_t to = stations(d->to, frame);
    if (!to)
        return;
    if (d->tail - d->head == SLOTS) {
        d->refused++;
        return;
    }
    struct slot *slot = &d->slots[d->tail++ & (SLOTS - 1)];
    slot->due = due, slot->len = len, slot->to = to;
    memcpy(slot->frame, frame, len);
}

static void arrive(struct direction *d, const uint8_t *frame, uint32_t len, uint64_t now)
{
    if (!is_ipv4(frame, len)) {
        put(d, frame, len, d->tail == d->head ? now : d->slots[(d->tail - 1) & (SLOTS - 1)].due);
        return;
    }
    if (has_data(frame, len)) {
        uint64_t index = d->segments++;
        if (mixed(d->seed, index) % 1000000 < d->loss ||
            (d->period && (index + d->seed) % d->period == d->period - 1)) {
            d->first_lost = d->lost++ == 0 ? index + 1 : d->first_lost;
            return;
        }
    }
    uint64_t start = d->busy_until > now ? d->busy_until : now;
    if (d->rate) {
        uint64_t waiting = (start - now) * d->rate / 8 / 1000000000u;
        uint64_t blur = d->blur ? mixed(~d->seed, d->arrived++) % d->blur : 0;
        if (waiting + len + blur > d->queue) {
            d->dropped++;
            return;
        }
        d->queued_sum += waiting;
        if (waiting > d->queued_most)
            d->queued_most = waiting;
        start += (uint64_t)len * 8 * 1000000000u / d->rate;
        d->busy_until = start;
    }
    d->frames++;
    d->bytes += len;
    put(d, frame, len, start + d->delay);
}

static void take(struct direction *d, int fd)
{
    static uint8_t room[BATCH][FRAME];
    static struct mmsghdr m[BATCH];
    static struct iovec iov[BATCH];
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){room[i], FRAME};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(fd, m, BATCH, MSG_TRUNC | MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();
    for (int i = 0; i < n; i++) {
        if (m[i].msg_len > FRAME)
            d->oversize++;
        else
            arrive(d, room[i], m[i].msg_len, now);
    }
}

static void send_all(int fd, struct mmsghdr *m, unsigned n, uint64_t *refused)
{
    for (unsigned done = 0; done < n;) {
        int sent = sendmmsg(fd, m + done, n - done, MSG_DONTWAIT);
        if (sent <= 0) {
            *refused += n - done;
            return;
        }
        done += (unsigned)sent;
    }
}

/* Sends what is due, and returns when the next will be: UINT64_MAX for nothing. */
static uint64_t release(struct direction *d, uint64_t now)
{
    static struct mmsghdr m[DEVICES][BATCH];
    static struct iovec iov[DEVICES][BATCH];
    while (d->head != d->tail && d->slots[d->head & (SLOTS - 1)].due <= now) {
        unsigned count[DEVICES] = {0};
        uint32_t at = d->head;
        for (unsigned i = 0; i < BATCH && at != d->tail; i++, at++) {
            struct slot *slot = &d->slots[at & (SLOTS - 1)];
            if (slot->due > now)
                break;
            d->late_sum += now - slot->due;
            if (now - slot->due > d->late_most)
                d->late_most = now - slot->due;
            for (int k = 0; k < d->to->count; k++)
                if (slot->to & 1u << k) {
                    unsigned n = count[k]++;
                    iov[k][n] = (struct iovec){slot->frame, slot->len};
                    m[k][n].msg_hdr = (struct msghdr){.msg_iov = &iov[k][n], .msg_iovlen = 1};
                }
        }
        for (int k = 0; k < d->to->count; k++)
            send_all(d->to->device[k].fd, m[k], count[k], &d->refused);
        d->head = at;
    }
    return d->head == d->tail ? UINT64_MAX : d->slots[d->head & (SLOTS - 1)].due;
}

static uint64_t missed(const struct side *s)
{
    uint64_t sum = 0;
    for (int i = 0; i < s->count; i++) {
        struct tpacket_stats stats = {0};
        socklen_t len = sizeof stats;
        if (getsockopt(s->device[i].fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
            sum += stats.tp_drops;
    }
    return sum;
}

static void tell(const char *name, const struct direction *d)
{
    uint64_t n = d->frames ? d->frames : 1;
    printf("\"%s\":{\"segments\":%" PRIu64 ",\"first_lost\":%" PRIu64 ",\"frames\":%" PRIu64
           ",\"bytes\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"dropped\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"oversize\":%" PRIu64 ",\"missed\":%" PRIu64
           ",\"late_mean_us\":%.1f"
           ",\"late_most_us\":%.1f,\"queued_mean\":%" PRIu64 ",\"queued_most\":%" PRIu64 "}",
           name, d->segments, d->first_lost, d->frames, d->bytes, d->lost, d->dropped, d->refused,
           d->oversize, missed(d->from), (double)d->late_sum / (double)n / 1e3,
           (double)d->late_most / 1e3, d->queued_sum / n, d->queued_most);
}

static void run(void)
{
    struct pollfd fds[1 + 2 * DEVICES] = {{.fd = 0, .events = POLLIN}};
    nfds_t n = 1;
    for (int i = 0; i < left.count; i++)
        fds[n++] = (struct pollfd){.fd = left.device[i].fd, .events = POLLIN};
    for (int i = 0; i < right.count; i++)
        fds[n++] = (struct pollfd){.fd = right.device[i].fd, .events = POLLIN};
    for (;;) {
        uint64_t now = now_ns(), a = release(&forth, now), b = release(&back, now);
        uint64_t due = a < b ? a : b, left_ns = due > now ? due - now : 0;
        struct timespec ts = {(time_t)(left_ns / 1000000000u), (long)(left_ns % 1000000000u)};
        if (ppoll(fds, n, due == UINT64_MAX ? NULL : &ts, NULL) < 0 && errno != EINTR)
            die("ppoll");
        if (fds[0].revents)
            return;
        for (nfds_t i = 1; i < n; i++)
            if (fds[i].revents)
                take(i <= (nfds_t)left.count ? &forth : &back, fds[i].fd);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "forwarder DEV=MAC,... DEV=MAC,... forth=SPEC back=SPEC\n");
        return 2;
    }
    open_side(&left, argv[1]);
    open_side(&right, argv[2]);
    configure(&forth, argv[3]);
    configure(&back, argv[4]);
    prctl(PR_SET_TIMERSLACK, 1);
    struct sched_param priority = {.sched_priority = PRIORITY};
    (void)sched_setscheduler(0, SCHED_RR, &priority);
    printf("ready\n");
    fflush(stdout);
    run();
    printf("{");
    tell("forth", &forth);
    printf(",");
    tell("back", &back);
    printf("}\n");
    return 0;
}
