/* harness.h: what the fuzz targets share: a reader of the input, a stack on a memory link, frames.
 *
 * A target owns nothing between inputs: each makes its stack, and freeing it must return every
 * byte.
 */
#ifndef UT_FUZZ_HARNESS_H
#define UT_FUZZ_HARNESS_H

#include "include/usertcp_info.h"
#include "wire/ip.h"
#include "wire/tcp.h"

#define FUZZ_PORT 80
#define FUZZ_MTU 1500

/* The input, eaten from the front; zeros when it is used up. */
struct input {
    const uint8_t *at;
    size_t left;
};

uint8_t input_u8(struct input *in);
uint16_t input_u16(struct input *in);
uint32_t input_u32(struct input *in);
/* Up to `max` bytes; *at points into the input. */
size_t input_bytes(struct input *in, size_t max, const uint8_t **at);

/* What the stack sent in one turn. */
struct emitted {
    unsigned frames, resets;
    bool has_tcp;
    struct ip_hdr ip; /* of the last TCP segment; its payload and the segment's data are gone */
    struct tcp_seg seg;
};

#define FUZZ_POSTED 3

struct bench {
    ut_stack *stack;
    ut_link *link; /* the stack's; we hold its far end */
    ut_handle listener;
    uint64_t now;
    bool ethernet;
    uint8_t ip_ecn;     /* of what bench_segment sends */
    struct emitted out; /* of the last turn */
    uint8_t posted[FUZZ_POSTED][64];
};

/* A configuration of small tables, so that their limits are met. */
void bench_config(ut_config *c);
enum bench_kind { BENCH_IP, BENCH_ETHERNET, BENCH_NO_OFFLOAD }; /* the last is bare IP, too */
/* 10.0.0.2/24 and fd00::2/64 (`last` is the 2) on a memory link, without a listener; b->stack is
 * NULL when the configuration is refused. */
void bench_open_with(struct bench *b, const ut_config *c, enum bench_kind kind, uint8_t last);
/* The same with bench_config, as 2, and a listener on FUZZ_PORT. */
void bench_open(struct bench *b, bool ethernet, uint32_t syn_cookies);
void bench_close(struct bench *b);
/* One frame in, one turn; returns the frames that came out. */
unsigned bench_frame(struct bench *b, const uint8_t *frame, size_t len);
/* A turn at `now`; reads what came out, checks it, and leaves an account of it in b->out. */
unsigned bench_turn(struct bench *b);
/* 10.0.0.last or fd00::last */
struct ipaddr bench_address(bool v4, uint8_t last);
/* Writes an IP header for ip->payload_len bytes that follow; returns its length. */
size_t bench_ip_write(uint8_t *to, const struct ip_hdr *ip);
/* What holds for every frame a stack emits (`len` bytes, with its marks): it parses, it is no
 * longer than the MTU allows, its checksum is right. Fills *out where it is a TCP segment. */
void check_emitted(const struct bench *b, const uint8_t *frame, size_t len, const ut_offload *marks,
                   struct emitted *out);
/* A TCP segment from 10.0.0.1:1234 to the listener's address; its checksum is vouched for. */
unsigned bench_segment(struct bench *b, struct tcp_seg *s, const uint8_t *data, size_t len);
/* A router's Packet Too Big about the segment at `seq` in a packet of `len` bytes to
 * 10.0.0.1:1234. */
unsigned bench_too_big(struct bench *b, seq32 seq, uint16_t len, uint16_t mtu);
/* Handshake with the listener from 10.0.0.1:1234, ISS 1000; the accepted connection, or 0. how:
 * 1 with timestamps, 2 with accurate ECN. */
ut_handle bench_establish(struct bench *b, unsigned how);

#endif
