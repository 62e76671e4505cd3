/* packets.c: bare IP packets in and out, and what every outgoing one is checked for.
 *
 * Called by packetdrill (send, receive) and by door.c after each call into the engine.
 */
#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "link/link.h"
#include "stack/stack.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

#define SILENCE_MAX (300 * NS_PER_S)

/* What a link with offload does: the sum over the segment goes where the pseudo-header's sum is. */
static void packets_complete(struct packet *p, const ut_offload *marks)
{
    if (!(marks->flags & LINK_NEEDS_CSUM))
        return;
    if (marks->csum_start + marks->csum_offset + 2u > p->len)
        door_fail("a checksum is wanted outside the packet");
    uint8_t *from = p->bytes + marks->csum_start;
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(from, p->len - marks->csum_start, 0));
    from[marks->csum_offset] = (uint8_t)(sum >> 8);
    from[marks->csum_offset + 1] = (uint8_t)sum;
}

/* RFC 9293 3.1 (MUST-2), 3.7.1: packetdrill itself checks the IPv4 header's checksum only. */
static void packets_check(const struct packet *p, const ut_offload *marks)
{
    struct ip_hdr ip;
    struct tcp_seg seg;
    bool is_v4 = p->len > 0 && p->bytes[0] >> 4 == 4;
    enum drop_reason why =
        is_v4 ? ipv4_parse(p->bytes, p->len, &ip) : ipv6_parse(p->bytes, p->len, &ip);
    if (why != DROP_none)
        door_fail("an IP header of ours is bad (drop reason %d)", (int)why);
    uint32_t longest = marks->gso != 0 ? (uint32_t)marks->header_len + marks->gso_size : p->len;
    if (longest > door.stack->mtu)
        door_fail("a packet of %u bytes, MTU %u", longest, door.stack->mtu);
    if (ip.proto != IP_PROTO_TCP)
        return;
    if (!tcp_checksum_ok(&ip.src, &ip.dst, ip.payload, ip.payload_len))
        door_fail("a TCP checksum of ours is wrong");
    if (tcp_parse(ip.payload, ip.payload_len, &seg) != DROP_none)
        door_fail("a TCP header of ours is bad");
    if ((seg.flags & TCP_SYN) && (seg.flags & (TCP_FIN | TCP_RST)))
        door_fail("flags %#x together", seg.flags);
}

static struct packet *packets_new(uint32_t len)
{
    struct packet *p = malloc(sizeof *p + len);
    if (p == NULL)
        door_fail("out of memory");
    *p = (struct packet){.at = door.now, .len = len};
    return p;
}

static void packets_queue(struct packet *p)
{
    *door.last = p;
    door.last = &p->next;
}

static void packets_put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Headers and sums of the segment at `offset` of what `whole` carries. */
static void packets_finish(struct packet *p, const struct ip_hdr *ip, uint32_t offset, bool is_last)
{
    bool is_v4 = ip->version == 4;
    uint32_t ip_len = is_v4 ? (p->bytes[0] & 15u) * 4u : 40, tcp_len = p->len - ip_len;
    uint8_t *tcp = p->bytes + ip_len;
    if (is_v4) {
        packets_put16(p->bytes + 2, (uint16_t)p->len);
        packets_put16(p->bytes + 10, 0);
        packets_put16(p->bytes + 10, (uint16_t)~checksum_fold(checksum_add(p->bytes, ip_len, 0)));
    } else {
        packets_put16(p->bytes + 4, (uint16_t)tcp_len);
    }
    uint32_t seq = ((uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7]);
    packets_put16(tcp + 4, (uint16_t)((seq + offset) >> 16));
    packets_put16(tcp + 6, (uint16_t)(seq + offset));
    if (!is_last)
        tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
    if (offset > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;
    packets_put16(tcp + 16, 0);
    uint32_t sum = checksum_pseudo(&ip->src, &ip->dst, IP_PROTO_TCP, tcp_len);
    packets_put16(tcp + 16, (uint16_t)~checksum_fold(checksum_add(tcp, tcp_len, sum)));
}

/* What happens below TCP where the device segments not: the same as in a device that does. */
static void packets_split(const struct packet *whole, const ut_offload *marks)
{
    struct ip_hdr ip;
    if (whole->bytes[0] >> 4 == 4)
        (void)ipv4_parse(whole->bytes, whole->len, &ip);
    else
        (void)ipv6_parse(whole->bytes, whole->len, &ip);
    uint32_t head = marks->header_len, len = whole->len - head, size = marks->gso_size;
    for (uint32_t at = 0; at < len; at += size) {
        uint32_t n = u32_min(size, len - at);
        struct packet *p = packets_new(head + n);
        memcpy(p->bytes, whole->bytes, head);
        memcpy(p->bytes + head, whole->bytes + head + at, n);
        packets_finish(p, &ip, at, at + n == len);
        packets_check(p, &(ut_offload){0});
        packets_queue(p);
    }
}

void packets_collect(void)
{
    static uint8_t bytes[DOOR_PACKET_MAX];
    ut_offload marks;
    int64_t len;
    while ((len = ut_memory_read(door.link, bytes, sizeof bytes, &marks)) > 0) {
        struct packet *p = packets_new((uint32_t)len);
        memcpy(p->bytes, bytes, (size_t)len);
        packets_complete(p, &marks);
        packets_check(p, &marks);
        door.packets_out++;
        if (!door.splits || marks.gso == 0) {
            packets_queue(p);
            continue;
        }
        packets_split(p, &marks);
        free(p);
    }
}

void packets_drop_all(void)
{
    while (door.first != NULL) {
        struct packet *p = door.first;
        door.first = p->next;
        free(p);
    }
    door.last = &door.first;
}

int packets_send(void *unused, const void *packet, size_t len)
{
    (void)unused;
    ut_offload marks = {0}; /* nothing is taken on trust: the engine checks the sums */
    pthread_mutex_lock(&door.lock);
    door_stack();
    route_note(packet, (uint32_t)len);
    int code = ut_memory_write(door.link, packet, len, &marks);
    if (code != 0)
        door_fail("the link takes no packet: %s", ut_error_name(-code));
    door.packets_in++;
    door_settle();
    transfer_release();
    pthread_mutex_unlock(&door.lock);
    return 0;
}

/* Nothing for 300 s, or nothing ever: an empty packet, which ends the script with an error. */
int packets_receive(void *unused, void *packet, size_t *len, long long *at_us)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    ns_t until = door.now + SILENCE_MAX;
    while (door.first == NULL && door.stack != NULL) {
        ns_t next = ut_stack_shared(door.stack)->deadline;
        if (door.waiters > 0)
            next = u64_min(next, door.wait_until);
        if (next > until)
            break;
        door_run_until(next);
    }
    struct packet *p = door.first;
    if (p == NULL || p->len > *len) {
        *len = 0;
        *at_us = (long long)(door.now / 1000);
    } else {
        memcpy(packet, p->bytes, p->len);
        *len = p->len;
        *at_us = (long long)(p->at / 1000);
        door.first = p->next;
        if (door.first == NULL)
            door.last = &door.first;
        free(p);
    }
    pthread_mutex_unlock(&door.lock);
    return 0;
}
