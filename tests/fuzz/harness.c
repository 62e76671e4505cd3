/* harness.c: see harness.h. Linked into every fuzz target. */
#include "harness.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ether.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

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

struct ipaddr bench_address(bool v4, uint8_t last)
{
    uint8_t four[4] = {10, 0, 0, last};
    struct ipaddr six = {.b = {0xfd, [15] = last}};
    return v4 ? ipaddr_from_v4(four) : six;
}

void bench_config(ut_config *c)
{
    ut_config_default(c);
    c->seed[0] = 1;
    c->seed[1] = 2;
    c->max_connections = 16;
    c->max_time_wait = 4;
    c->max_half_open = 4;
    c->rcv_buffer = c->snd_buffer = 16384;
    c->trace_capacity = 64;
    c->ecn = 5;         /* agrees to all there is */
    c->mtu_probing = 2; /* so that a few bytes of input lead to probes */
}

void bench_open_with(struct bench *b, const ut_config *c, enum bench_kind kind, uint8_t last)
{
    int error = 0;
    ut_link_options lo = {.mtu = FUZZ_MTU,
                          .offload = kind != BENCH_NO_OFFLOAD,
                          .ethernet = kind == BENCH_ETHERNET,
                          .buffer = 1 << 17};
    *b = (struct bench){.now = 1000000000, .ethernet = kind == BENCH_ETHERNET};
    b->link = ut_link_memory(&lo, &error);
    UT_ASSERT(b->link != NULL);
    b->stack = ut_stack_new(c, b->link, &error);
    if (b->stack == NULL)
        return;
    static const size_t sizes[FUZZ_POSTED] = {2, 5, 16};
    for (uint32_t i = 0; i < FUZZ_POSTED; i++)
        UT_ASSERT(ut_post(b->stack, i + 1, b->posted[i], sizes[i]) == 0);
    struct ipaddr v4 = bench_address(true, last), v6 = bench_address(false, last);
    ut_address_add(b->stack, v4.b, 24, 0, b->now);
    ut_address_add(b->stack, v6.b, 64, 0, b->now);
    bench_turn(b);
}

void bench_open(struct bench *b, bool ethernet, uint32_t syn_cookies)
{
    ut_config c;
    bench_config(&c);
    c.syn_cookies = syn_cookies;
    bench_open_with(b, &c, ethernet ? BENCH_ETHERNET : BENCH_IP, 2);
    UT_ASSERT(b->stack != NULL);
    ut_endpoint local = {.port = FUZZ_PORT};
    UT_ASSERT(ut_listen(b->stack, &local, 4, 0, b->now, &b->listener) == 0);
    bench_turn(b);
}

void bench_close(struct bench *b) { ut_stack_free(b->stack); }

static void check_segment(const struct ip_hdr *ip, const ut_offload *marks, struct emitted *out)
{
    struct tcp_seg s;
    UT_ASSERT(tcp_parse(ip->payload, ip->payload_len, &s) == DROP_none);
    if (!(marks->flags & 1)) /* LINK_NEEDS_CSUM */
        UT_ASSERT(tcp_checksum_ok(&ip->src, &ip->dst, ip->payload, ip->payload_len));
    unsigned kinds = !!(s.flags & TCP_SYN) + !!(s.flags & TCP_FIN) + !!(s.flags & TCP_RST);
    UT_ASSERT(kinds <= 1 && s.sport != 0 && s.dport != 0);
    UT_ASSERT((s.flags & TCP_SYN) ||
              (!s.opt.has_mss && !s.opt.has_wscale && !s.opt.sack_permitted));
    UT_ASSERT((s.flags & TCP_ACK) || s.ack.v == 0);
    UT_ASSERT((s.flags & TCP_URG) || s.urp == 0);
    for (unsigned i = 0; i < s.opt.sack_count; i++)
        UT_ASSERT((int32_t)(s.opt.sack[i].right.v - s.opt.sack[i].left.v) > 0);
    out->has_tcp = true;
    out->ip = *ip;
    out->seg = s;
    out->resets += !!(s.flags & TCP_RST);
}

void check_emitted(const struct bench *b, const uint8_t *frame, size_t len, const ut_offload *marks,
                   struct emitted *out)
{
    struct ip_hdr ip;
    out->frames++;
    if (b->ethernet) {
        UT_ASSERT(len >= ETHER_HEADER_LEN);
        uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
        frame += ETHER_HEADER_LEN;
        len -= ETHER_HEADER_LEN;
        if (type == ETHER_TYPE_ARP)
            return;
        UT_ASSERT(type == (frame[0] >> 4 == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6));
    }
    UT_ASSERT(len > 0 && (marks->gso != 0 || len <= FUZZ_MTU));
    enum drop_reason why =
        frame[0] >> 4 == 4 ? ipv4_parse(frame, len, &ip) : ipv6_parse(frame, len, &ip);
    UT_ASSERT(why == DROP_none && ip.payload + ip.payload_len == frame + len);
    if (ip.proto == IP_PROTO_TCP)
        check_segment(&ip, marks, out);
}

unsigned bench_turn(struct bench *b)
{
    ut_event events[16];
    static uint8_t out[70000];
    ut_offload marks;
    int64_t n;
    b->out = (struct emitted){0};
    ut_poll(b->stack, b->now, 64, events, 16);
    while ((n = ut_memory_read(b->link, out, sizeof out, &marks)) > 0)
        check_emitted(b, out, (size_t)n, &marks, &b->out);
    return b->out.frames;
}

unsigned bench_frame(struct bench *b, const uint8_t *frame, size_t len)
{
    ut_offload marks = {.flags = 2}; /* LINK_CSUM_VALID: the fuzzer need not find checksums */
    ut_memory_write(b->link, frame, len, &marks);
    return bench_turn(b);
}

size_t bench_ip_write(uint8_t *to, const struct ip_hdr *ip)
{
    if (ip->version == 4) {
        ipv4_write(to, ip);
        return IPV4_HEADER_LEN;
    }
    ipv6_write(to, ip);
    return IPV6_HEADER_LEN;
}

unsigned bench_segment(struct bench *b, struct tcp_seg *s, const uint8_t *data, size_t len)
{
    uint8_t frame[IPV4_HEADER_LEN + TCP_MAX_HEADER_LEN + 2048];
    if (len > 2048)
        len = 2048;
    s->sport = s->sport != 0 ? s->sport : 1234;
    s->dport = FUZZ_PORT;
    size_t header = tcp_write(frame + IPV4_HEADER_LEN, s);
    if (len > 0)
        memcpy(frame + IPV4_HEADER_LEN + header, data, len);
    struct ip_hdr ip = {.src = bench_address(true, 1),
                        .dst = bench_address(true, 2),
                        .version = 4,
                        .proto = IP_PROTO_TCP,
                        .ttl = 64,
                        .dscp_ecn = b->ip_ecn,
                        .payload_len = (uint32_t)(header + len)};
    ipv4_write(frame, &ip);
    return bench_frame(b, frame, IPV4_HEADER_LEN + header + len);
}

unsigned bench_too_big(struct bench *b, seq32 seq, uint16_t len, uint16_t mtu)
{
    uint8_t frame[IPV4_HEADER_LEN + ICMP_HEADER_LEN + IPV4_HEADER_LEN + 8];
    uint8_t *icmp = frame + IPV4_HEADER_LEN, *quote = icmp + ICMP_HEADER_LEN;
    size_t size = sizeof frame - IPV4_HEADER_LEN;
    struct ip_hdr quoted = {.src = bench_address(true, 2),
                            .dst = bench_address(true, 1),
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
    struct ip_hdr ip = {.src = bench_address(true, 1),
                        .dst = bench_address(true, 2),
                        .version = 4,
                        .proto = IP_PROTO_ICMP,
                        .ttl = 64,
                        .payload_len = (uint32_t)size};
    ipv4_write(frame, &ip);
    return bench_frame(b, frame, sizeof frame);
}

ut_handle bench_establish(struct bench *b, unsigned how)
{
    bool timestamps = how & 1, accurate = how & 2;
    uint16_t asks = accurate ? TCP_FLAGS_ECN : 0, tells = accurate ? TCP_CWR : 0;
    struct tcp_seg syn = {.flags = TCP_SYN | asks, .seq = seq_make(1000), .wnd = 65535};
    syn.opt = (struct tcp_opts){.has_mss = true,
                                .mss = 1460,
                                .has_wscale = true,
                                .wscale = 2,
                                .sack_permitted = true,
                                .has_ts = timestamps,
                                .ts_val = 100};
    bench_segment(b, &syn, NULL, 0);
    const struct tcp_seg *synack = &b->out.seg;
    if (!b->out.has_tcp || synack->flags != (TCP_SYN | TCP_ACK | tells))
        return 0;
    struct tcp_seg ack = {.flags = TCP_ACK | tells, .seq = seq_make(1001), .wnd = 16384};
    ack.ack = seq_make(synack->seq.v + 1);
    ack.opt = (struct tcp_opts){.has_ts = timestamps, .ts_val = 101, .ts_ecr = synack->opt.ts_val};
    bench_segment(b, &ack, NULL, 0);
    ut_handle h = 0;
    ut_endpoint local, remote;
    ut_accept(b->stack, b->listener, b->now, &h, &local, &remote);
    return h;
}
