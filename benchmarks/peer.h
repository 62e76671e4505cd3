/* peer.h: a scripted far end for benchmarks of the engine alone.
 *
 * Speaks Ethernet, ARP, IPv4 and TCP just well enough to open connections with a stack behind an
 * unjoined memory link, feed it prepared segments and keep count of what it sends. Included by one
 * driver at a time; uses the public API only. Time is a counter that the driver advances, so two runs
 * execute the same instructions.
 */
#ifndef BENCHMARKS_PEER_H
#define BENCHMARKS_PEER_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usertcp_info.h"

enum {
    ETH_LEN = 14,
    IP_LEN = 20,
    TCP_LEN = 32, /* with the timestamp option of every segment but SYN */
    HEADERS = ETH_LEN + IP_LEN + TCP_LEN,
    MSS = 1448,
    FRAME_MAX = HEADERS + 65536,
    FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16,
    OFFLOAD_NEEDS_CSUM = 1, OFFLOAD_DATA_VALID = 2, OFFLOAD_TCPV4 = 1,
};

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 0x99};
static const uint8_t peer_ip[4] = {10, 0, 0, 2}, stack_ip[4] = {10, 0, 0, 1};

/* One connection as the peer sees it, and the world around it. */
struct peer {
    ut_link *link;
    ut_stack *stack;
    uint64_t now;
    uint8_t stack_mac[6];
    uint16_t port, stack_port;
    uint32_t snd_nxt, rcv_nxt, ts_val, ts_recent;
    uint64_t segs_in, bytes_in;
    uint8_t last_flags;
    uint8_t frame[FRAME_MAX], seen[FRAME_MAX];
};

#define REQUIRE(cond)                                                                    \
    do {                                                                                 \
        if (!(cond)) {                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);           \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

static void put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16), put16(p + 2, v); }
static uint32_t get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return get16(p) << 16 | get16(p + 2); }

static void map_ipv4(uint8_t to[16], const uint8_t ip[4])
{
    memset(to, 0, 16);
    to[10] = to[11] = 0xff;
    memcpy(to + 12, ip, 4);
}

static uint32_t ip_sum(const uint8_t *header)
{
    uint32_t sum = 0;
    for (int i = 0; i < IP_LEN; i += 2) sum += get16(header + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
}

/* Hands peer.frame to the stack. The checksum counts as verified by the device, as on veth. */
static void peer_write(struct peer *p, size_t len, int gso_size)
{
    ut_offload mark = {.flags = OFFLOAD_DATA_VALID};
    if (gso_size) {
        mark.gso = OFFLOAD_TCPV4;
        mark.gso_size = (uint16_t)gso_size;
        mark.header_len = HEADERS;
    }
    REQUIRE(ut_memory_write(p->link, p->frame, len, &mark) == 0);
}

/* One segment with `len` bytes of payload, whatever lies in the buffer. */
static void peer_send(struct peer *p, uint8_t flags, uint32_t len, int gso_size)
{
    uint8_t *eth = p->frame, *ip = eth + ETH_LEN, *tcp = ip + IP_LEN;
    uint32_t options = flags & SYN ? 20 : 12, header = 20 + options;
    memcpy(eth, p->stack_mac, 6);
    memcpy(eth + 6, peer_mac, 6);
    put16(eth + 12, 0x0800);
    memset(ip, 0, IP_LEN);
    ip[0] = 0x45;
    put16(ip + 2, IP_LEN + header + len);
    ip[6] = 0x40; /* DF */
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, peer_ip, 4);
    memcpy(ip + 16, stack_ip, 4);
    put16(ip + 10, ip_sum(ip));
    put16(tcp, p->port);
    put16(tcp + 2, p->stack_port);
    put32(tcp + 4, p->snd_nxt);
    put32(tcp + 8, flags & ACK ? p->rcv_nxt : 0);
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = flags;
    put16(tcp + 14, 65535);
    put32(tcp + 16, 0); /* checksum vouched for by the link; no urgent data */
    uint8_t *opt = tcp + 20;
    if (flags & SYN) {
        put32(opt, 0x02040000 | (MSS + 12));
        put32(opt + 4, 0x0402080a); /* SACK permitted, timestamps */
        put32(opt + 8, p->ts_val);
        put32(opt + 12, 0);
        put32(opt + 16, 0x01030308); /* window scale 8 */
    } else {
        put32(opt, 0x0101080a);
        put32(opt + 4, p->ts_val);
        put32(opt + 8, p->ts_recent);
    }
    p->snd_nxt += len + !!(flags & (SYN | FIN));
    peer_write(p, ETH_LEN + IP_LEN + header + len, gso_size);
}

static void peer_answer_arp(struct peer *p)
{
    const uint8_t *arp = p->seen + ETH_LEN;
    if (get16(arp + 6) != 1 || memcmp(arp + 24, peer_ip, 4) != 0) return;
    uint8_t *out = p->frame + ETH_LEN;
    memcpy(p->frame, arp + 8, 6);
    memcpy(p->frame + 6, peer_mac, 6);
    put16(p->frame + 12, 0x0806);
    memcpy(out, arp, 6);
    put16(out + 6, 2);
    memcpy(out + 8, peer_mac, 6);
    memcpy(out + 14, peer_ip, 4);
    memcpy(out + 18, arp + 8, 10);
    REQUIRE(ut_memory_write(p->link, p->frame, ETH_LEN + 28, NULL) == 0);
}

/* Takes everything the stack has sent. */
static void peer_drain(struct peer *p)
{
    ut_offload mark;
    int64_t got;
    while ((got = ut_memory_read(p->link, p->seen, sizeof p->seen, &mark)) > 0) {
        const uint8_t *ip = p->seen + ETH_LEN, *tcp = ip + IP_LEN;
        if (get16(p->seen + 12) == 0x0806) {
            peer_answer_arp(p);
            continue;
        }
        if (get16(p->seen + 12) != 0x0800 || ip[9] != 6 || get16(tcp + 2) != p->port) continue;
        uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;
        uint32_t len = get16(ip + 2) - IP_LEN - header;
        p->rcv_nxt = get32(tcp + 4) + len + !!(tcp[13] & SYN) + !!(tcp[13] & FIN);
        p->last_flags = tcp[13];
        p->segs_in++;
        p->bytes_in += len;
        if (header >= TCP_LEN && get32(tcp + 20) == 0x0101080a) p->ts_recent = get32(tcp + 24);
    }
}

/* One turn of the stack, then takes what it sent. */
static void peer_poll(struct peer *p)
{
    ut_event events[16];
    p->now += 10000;
    p->ts_val = (uint32_t)(p->now / 1000000);
    REQUIRE(ut_poll(p->stack, p->now, 64, events, 16) >= 0);
    peer_drain(p);
}

/* The stack, listening on stack_port. */
static ut_handle peer_init(struct peer *p, uint32_t max_connections)
{
    ut_link_options options = {.mtu = 1500, .offload = 1, .ethernet = 1, .buffer = 4u << 20};
    ut_link_info info;
    ut_config config;
    ut_endpoint local = {.port = 80};
    ut_handle listener;
    int error = 0;
    memset(p, 0, sizeof *p);
    p->now = 1000000000;
    p->stack_port = 80;
    REQUIRE((p->link = ut_link_memory(&options, &error)) != NULL);
    ut_config_default(&config);
    config.seed[0] = 1, config.seed[1] = 2;
    config.max_connections = max_connections;
    REQUIRE((p->stack = ut_stack_new(&config, p->link, &error)) != NULL);
    ut_link_get_info(p->link, &info);
    memcpy(p->stack_mac, info.mac, 6);
    map_ipv4(local.ip, stack_ip);
    REQUIRE(ut_address_add(p->stack, local.ip, 24, 0, p->now) == 0);
    peer_poll(p);
    REQUIRE(ut_listen(p->stack, &local, 16, 0, p->now, &listener) == 0);
    return listener;
}

/* Three-way handshake from `port`; returns the stack's end of the connection. */
static ut_handle peer_connect(struct peer *p, ut_handle listener, uint16_t port)
{
    ut_endpoint local, remote;
    ut_handle h;
    p->port = port;
    p->snd_nxt = 1000u * port;
    peer_send(p, SYN, 0, 0);
    peer_poll(p);
    if (p->last_flags != (SYN | ACK)) peer_poll(p); /* the first time ARP came between */
    REQUIRE(p->last_flags == (SYN | ACK));
    peer_send(p, ACK, 0, 0);
    peer_poll(p);
    REQUIRE(ut_accept(p->stack, listener, p->now, &h, &local, &remote) == 0);
    REQUIRE(remote.port == port);
    p->last_flags = 0;
    return h;
}

#endif
