/* harness.c: see harness.h. Linked into every fuzz target. */
#include "harness.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"

static const uint8_t our_v4[4] = {10, 0, 0, 2}, peer_v4[4] = {10, 0, 0, 1};

uint8_t input_u8(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

uint16_t input_u16(struct input *in)
{
    uint16_t high = input_u8(in);
    return (uint16_t)(high << 8 | input_u8(in));
}

uint32_t input_u32(struct input *in)
{
    uint32_t high = input_u16(in);
    return high << 16 | input_u16(in);
}

size_t input_bytes(struct input *in, size_t max, const uint8_t **at)
{
    size_t n = max < in->left ? max : in->left;
    *at = in->at;
    in->at += n;
    in->left -= n;
    return n;
}

void bench_open(struct bench *b, bool ethernet, uint32_t syn_cookies)
{
    int error = 0;
    ut_link_options lo = {.mtu = FUZZ_MTU, .offload = 1, .ethernet = ethernet, .buffer = 1 << 17};
    ut_config c;
    ut_config_default(&c);
    c.seed[0] = 1;
    c.seed[1] = 2;
    c.max_connections = 16;
    c.max_time_wait = 4;
    c.max_half_open = 4;
    c.rcv_buffer = c.snd_buffer = 16384;
    c.syn_cookies = syn_cookies;
    c.trace_capacity = 64;
    c.mtu_probing = 2; /* so that a few bytes of input lead to probes */
    *b = (struct bench){.now = 1000000000, .ethernet = ethernet};
    b->link = ut_link_memory(&lo, &error);
    UT_ASSERT(b->link != NULL);
    b->stack = ut_stack_new(&c, b->link, &error);
    UT_ASSERT(b->stack != NULL);
    struct ipaddr v4 = ipaddr_from_v4(our_v4), v6 = {.b = {0xfd, [15] = 2}};
    UT_ASSERT(ut_address_add(b->stack, v4.b, 24, 0, b->now) == 0);
    UT_ASSERT(ut_address_add(b->stack, v6.b, 64, 0, b->now) == 0);
    ut_endpoint local = {.port = FUZZ_PORT};
    UT_ASSERT(ut_listen(b->stack, &local, 4, 0, b->now, &b->listener) == 0);
    bench_turn(b);
}

void bench_close(struct bench *b) { ut_stack_free(b->stack); }

unsigned bench_turn(struct bench *b)
{
    ut_event events[16];
    static uint8_t out[70000];
    ut_offload marks;
    unsigned frames = 0;
    ut_poll(b->stack, b->now, 64, events, 16);
    while (ut_memory_read(b->link, out, sizeof out, &marks) > 0)
        frames++;
    return frames;
}

unsigned bench_frame(struct bench *b, const uint8_t *frame, size_t len)
{
    ut_offload marks = {.flags = 2}; /* LINK_CSUM_VALID: the fuzzer need not find checksums */
    ut_memory_write(b->link, frame, len, &marks);
    return bench_turn(b);
}

unsigned bench_segment(struct bench *b, struct tcp_seg *s, const uint8_t *data, size_t len)
{
    uint8_t frame[IPV4_HEADER_LEN + TCP_MAX_HEADER_LEN + 2048];
    ut_offload marks = {.flags = 2};
    if (len > 2048)
        len = 2048;
    s->sport = s->sport != 0 ? s->sport : 1234;
    s->dport = FUZZ_PORT;
    size_t header = tcp_write(frame + IPV4_HEADER_LEN, s);
    memcpy(frame + IPV4_HEADER_LEN + header, data, len);
    struct ip_hdr ip = {.src = ipaddr_from_v4(peer_v4),
                        .dst = ipaddr_from_v4(our_v4),
                        .version = 4,
                        .proto = IP_PROTO_TCP,
                        .ttl = 64,
                        .payload_len = (uint32_t)(header + len)};
    ipv4_write(frame, &ip);
    ut_memory_write(b->link, frame, IPV4_HEADER_LEN + header + len, &marks);
    return bench_turn(b);
}

unsigned bench_too_big(struct bench *b, seq32 seq, uint16_t len, uint16_t mtu)
{
    uint8_t frame[IPV4_HEADER_LEN + ICMP_HEADER_LEN + IPV4_HEADER_LEN + 8];
    uint8_t *icmp = frame + IPV4_HEADER_LEN, *quote = icmp + ICMP_HEADER_LEN;
    size_t size = sizeof frame - IPV4_HEADER_LEN;
    struct ip_hdr quoted = {.src = ipaddr_from_v4(our_v4),
                            .dst = ipaddr_from_v4(peer_v4),
                            .version = 4,
                            .proto = IP_PROTO_TCP,
                            .ttl = 1};
    ipv4_write(quote, &quoted);
    put_be16(quote + 2, len);
    put_be16(quote + IPV4_HEADER_LEN, FUZZ_PORT);
    put_be16(quote + IPV4_HEADER_LEN + 2, 1234);
    put_be32(quote + IPV4_HEADER_LEN + 4, seq.v);
    memset(icmp, 0, ICMP_HEADER_LEN);
    icmp[0] = 3;
    icmp[1] = 4;
    put_be16(icmp + 6, mtu);
    put_be16(icmp + 2, (uint16_t)~checksum_fold(checksum_add(icmp, size, 0)));
    struct ip_hdr ip = {.src = ipaddr_from_v4(peer_v4),
                        .dst = ipaddr_from_v4(our_v4),
                        .version = 4,
                        .proto = IP_PROTO_ICMP,
                        .ttl = 64,
                        .payload_len = (uint32_t)size};
    ipv4_write(frame, &ip);
    return bench_frame(b, frame, sizeof frame);
}

ut_handle bench_establish(struct bench *b, bool timestamps)
{
    static uint8_t out[70000];
    ut_offload marks = {.flags = 2};
    ut_event events[16];
    struct tcp_seg syn = {.flags = TCP_SYN, .seq = seq_make(1000), .wnd = 65535};
    syn.opt = (struct tcp_opts){.has_mss = true,
                                .mss = 1460,
                                .has_wscale = true,
                                .wscale = 2,
                                .sack_permitted = true,
                                .has_ts = timestamps,
                                .ts_val = 100};
    uint8_t frame[IPV4_HEADER_LEN + TCP_MAX_HEADER_LEN];
    syn.sport = 1234;
    syn.dport = FUZZ_PORT;
    size_t header = tcp_write(frame + IPV4_HEADER_LEN, &syn);
    struct ip_hdr ip = {.src = ipaddr_from_v4(peer_v4),
                        .dst = ipaddr_from_v4(our_v4),
                        .version = 4,
                        .proto = IP_PROTO_TCP,
                        .ttl = 64,
                        .payload_len = (uint32_t)header};
    ipv4_write(frame, &ip);
    ut_memory_write(b->link, frame, IPV4_HEADER_LEN + header, &marks);
    ut_poll(b->stack, b->now, 64, events, 16);
    int64_t n = ut_memory_read(b->link, out, sizeof out, &marks);
    struct ip_hdr got;
    struct tcp_seg synack;
    if (n <= 0 || ipv4_parse(out, (size_t)n, &got) != DROP_none ||
        tcp_parse(got.payload, got.payload_len, &synack) != DROP_none)
        return 0;
    struct tcp_seg ack = {.flags = TCP_ACK, .seq = seq_make(1001), .wnd = 16384};
    ack.ack = seq_make(synack.seq.v + 1);
    ack.opt = (struct tcp_opts){.has_ts = timestamps, .ts_val = 101, .ts_ecr = synack.opt.ts_val};
    bench_segment(b, &ack, frame, 0);
    ut_handle h = 0;
    ut_endpoint local, remote;
    ut_accept(b->stack, b->listener, b->now, &h, &local, &remote);
    return h;
}
