/* fuzz_icmp.c: ICMP errors that quote segments of a live connection, more or less truly (RFC 792,
 * RFC 4443, RFC 5927). A synchronized connection survives them all and finishes; none is answered.
 */
#include "harness.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define QUOTE_MAX 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the stack has in flight, as a router would send it back; its first bytes may be changed. */
static size_t quote(struct input *in, const ut_info *i, uint8_t *to)
{
    struct ip_hdr ip = {.ttl = 60, .proto = IP_PROTO_TCP, .payload_len = TCP_HEADER_LEN + 100};
    struct tcp_seg s = {.sport = i->local.port, .dport = i->remote.port, .flags = TCP_ACK};
    memcpy(ip.src.b, i->local.ip, 16);
    memcpy(ip.dst.b, i->remote.ip, 16);
    ip.version = ipaddr_is_v4(&ip.dst) ? 4 : 6;
    uint8_t how = input_u8(in);
    s.seq = seq_make(i->snd_una + (how & 1 ? input_u16(in) : 0) - (how & 2 ? 1000 : 0));
    s.ack = seq_make(i->rcv_nxt);
    size_t header = bench_ip_write(to, &ip);
    memset(to + header, 0, QUOTE_MAX - header);
    tcp_write(to + header, &s);
    size_t len = header + (how & 4 ? 8 : 100);
    for (uint8_t changes = how >> 3 & 3; changes > 0; changes--) {
        size_t at = input_u8(in) % len;
        to[at] = input_u8(in);
    }
    if (how & 128)
        len = input_u16(in) % (len + 1);
    return len;
}

/* Returns whether it is one that might be answered: an echo request, or no error at all. */
static bool inject(struct bench *b, const ut_info *i, struct input *in)
{
    uint8_t frame[IPV6_HEADER_LEN + ICMP_HEADER_LEN + QUOTE_MAX] = {0};
    uint8_t how = input_u8(in);
    struct ipaddr remote, local;
    memcpy(remote.b, i->remote.ip, 16);
    memcpy(local.b, i->local.ip, 16);
    bool v4 = ipaddr_is_v4(&remote) != (how == 255);
    size_t header = v4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;
    uint8_t *m = frame + header;
    m[0] = v4 ? (how & 1 ? 3 : how >> 1 & 15) : (how & 1 ? 1 + (how >> 1 & 3) : input_u8(in));
    m[1] = input_u8(in) & 15;
    uint32_t rest = how & 64 ? input_u16(in) : 0; /* the MTU, where there is one */
    m[6] = (uint8_t)(rest >> 8);
    m[7] = (uint8_t)rest;
    size_t len = ICMP_HEADER_LEN + quote(in, i, m + ICMP_HEADER_LEN);
    bool same_family = ipaddr_is_v4(&remote) == v4;
    struct ip_hdr ip = {.src = how & 32 || !same_family ? bench_address(v4, 77) : remote,
                        .dst = same_family ? local : bench_address(v4, 2),
                        .version = v4 ? 4 : 6,
                        .proto = v4 ? IP_PROTO_ICMP : IP_PROTO_ICMPV6,
                        .ttl = 64,
                        .payload_len = (uint32_t)len};
    uint32_t sum = v4 ? 0 : checksum_pseudo(&ip.src, &ip.dst, ip.proto, ip.payload_len);
    uint16_t right = (uint16_t)~checksum_fold(checksum_add(m, len, sum));
    m[2] = (uint8_t)(right >> 8);
    m[3] = (uint8_t)right;
    bench_ip_write(frame, &ip);
    bench_frame(b, frame, header + len);
    return m[0] == (v4 ? 8 : 128) || m[0] == (v4 ? 3 : 2); /* 3/4, 2: a path MTU may be tried */
}

/* Established from the peer, 4000 bytes in flight: what ICMP says of them ends nothing. */
static void synchronized(struct bench *b, struct input *in)
{
    static const uint8_t text[4000];
    ut_info i;
    ut_handle h = bench_establish(b, input_u8(in) & 1);
    UT_ASSERT(h != 0 && ut_send(b->stack, h, text, sizeof text, b->now) == sizeof text);
    bench_turn(b);
    for (int k = 0; k < 40 && in->left > 0; k++) {
        UT_ASSERT(ut_get_info(b->stack, h, &i) == 0 && i.state == UT_STATE_ESTABLISHED);
        bool may_answer = inject(b, &i, in);
        UT_ASSERT(may_answer || b->out.frames == 0);
        UT_ASSERT(b->out.resets == 0 && (b->out.has_tcp || b->out.frames <= 1));
    }
    UT_ASSERT(ut_get_info(b->stack, h, &i) == 0 && i.state == UT_STATE_ESTABLISHED);
    struct tcp_seg s = {.flags = TCP_ACK, .seq = seq_make(1001), .wnd = 60000};
    s.opt = (struct tcp_opts){.has_ts = i.timestamps_ok, .ts_val = 102, .ts_ecr = 0};
    for (int k = 0; k < 100 && ut_unfinished(b->stack) > 0; k++) {
        b->now += 2000000000;
        bench_turn(b);
        ut_get_info(b->stack, h, &i);
        s.ack = seq_make(i.snd_nxt);
        bench_segment(b, &s, NULL, 0);
    }
    UT_ASSERT(ut_unfinished(b->stack) == 0);
    ut_get_info(b->stack, h, &i);
    UT_ASSERT(i.state == UT_STATE_ESTABLISHED && i.bytes_acked >= sizeof text);
    ut_abort(b->stack, h, b->now);
}

/* In SYN-SENT a hard error that quotes the SYN may end it, and only by being a refusal. */
static void opening(struct bench *b, struct input *in)
{
    ut_info i;
    ut_handle h;
    ut_endpoint remote = {.port = 7}, local = {0};
    struct ipaddr there = bench_address(input_u8(in) & 1, 1);
    memcpy(remote.ip, there.b, 16);
    UT_ASSERT(ut_connect(b->stack, &local, &remote, 0, b->now, &h) == 0);
    bench_turn(b);
    for (int k = 0; k < 40 && in->left > 0; k++) {
        UT_ASSERT(ut_get_info(b->stack, h, &i) == 0);
        if (i.state != UT_STATE_SYN_SENT)
            break;
        inject(b, &i, in);
        UT_ASSERT(b->out.resets == 0);
    }
    UT_ASSERT(ut_get_info(b->stack, h, &i) == 0);
    UT_ASSERT(i.state == UT_STATE_SYN_SENT || (i.state == UT_STATE_CLOSED && i.error != 0));
    ut_close(b->stack, h, b->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct bench b;
    bench_open(&b, false, 1);
    if (input_u8(&in) & 1)
        synchronized(&b, &in);
    else
        opening(&b, &in);
    bench_close(&b);
    return 0;
}
