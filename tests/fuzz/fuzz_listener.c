/* fuzz_listener.c: one listener under sequences of segments from a few peers, whose numbers come
 * from what the stack answered them, nearly; with SYN cookies never, at need and always.
 */
#include "harness.h"
#include "stack/fastopen.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define PEERS 8
#define HELD 16 /* connections accepted and not yet closed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a peer knows from the last answer; odd peers speak IPv4. */
struct peer {
    uint32_t seq, ack, ts;
};

struct run {
    struct bench b;
    struct peer peer[PEERS];
    ut_handle held[HELD];
    unsigned holds;
};

static uint32_t near(struct input *in, uint32_t base)
{
    uint8_t how = input_u8(in);
    if (how < 176)
        return base;
    return how < 240 ? base + (uint32_t)(int8_t)input_u8(in) : base + (input_u32(in) >> (how & 15));
}

static uint16_t flags_of(struct input *in)
{
    static const uint16_t usual[] = {TCP_SYN,           TCP_SYN | TCP_FLAGS_ECN, TCP_ACK | TCP_CWR,
                                     TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN,       TCP_RST,
                                     TCP_ACK,           TCP_SYN | TCP_ACK};
    uint8_t how = input_u8(in);
    return how < 200 ? usual[how % UT_COUNTOF(usual)] : (uint16_t)(input_u8(in) | (how & 1) << 8);
}

static void options_of(struct input *in, const struct peer *p, struct tcp_seg *s)
{
    uint8_t how = input_u8(in);
    if (s->flags & TCP_SYN || how >= 250)
        s->opt = (struct tcp_opts){.has_mss = how & 1,
                                   .mss = how & 2 ? input_u16(in) : 1460,
                                   .has_wscale = how >> 2 & 1,
                                   .wscale = how >> 4 & 15,
                                   .sack_permitted = how >> 3 & 1,
                                   .has_fast_open = how >> 7};
    s->opt.has_ts = how >> 6 & 1;
    s->opt.ts_val = 1000 + input_u8(in);
    s->opt.ts_ecr = p->ts;
}

static void arrive(struct run *r, struct input *in)
{
    static const uint8_t text[1400];
    uint8_t frame[IPV6_HEADER_LEN + TCP_MAX_HEADER_LEN + sizeof text];
    uint8_t who = input_u8(in) % PEERS;
    struct peer *p = &r->peer[who];
    struct tcp_seg s = {.sport = (uint16_t)(5000 + who), .dport = FUZZ_PORT, .flags = flags_of(in)};
    s.seq = seq_make(near(in, p->seq));
    s.ack = seq_make(s.flags & TCP_ACK ? near(in, p->ack) : 0);
    s.wnd = input_u16(in);
    options_of(in, p, &s);
    bool v4 = who & 1;
    size_t header = v4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN, room = sizeof text;
    struct flow_key key = {.local = bench_address(v4, 2),
                           .remote = bench_address(v4, (uint8_t)(10 + who))};
    struct tcp_cookie cookie;
    fast_open_make_cookie(r->b.stack, &key, &cookie);
    if (s.wnd & 1) { /* else it asks for one */
        s.opt.cookie = cookie.bytes;
        s.opt.cookie_len = s.opt.has_fast_open ? cookie.len : 0;
    }
    size_t tcp = tcp_write(frame + header, &s);
    size_t len = input_u8(in) < 128 ? 0 : input_u16(in) % room;
    memcpy(frame + header + tcp, text, len);
    struct ip_hdr ip = {.src = bench_address(v4, (uint8_t)(10 + who)),
                        .dst = bench_address(v4, 2),
                        .version = v4 ? 4 : 6,
                        .proto = IP_PROTO_TCP,
                        .ttl = 64,
                        .dscp_ecn = who >> 1 & 3,
                        .payload_len = (uint32_t)(tcp + len)};
    bench_ip_write(frame, &ip);
    bench_turn(&r->b); /* what timers send is not an answer */
    bench_frame(&r->b, frame, header + tcp + len);
    /* RFC 9293 3.5.2: a reset is never answered by one; and nothing here multiplies. */
    UT_ASSERT(!(s.flags & TCP_RST) || r->b.out.resets == 0);
    UT_ASSERT(r->b.out.frames <= 2);
    if (r->b.out.has_tcp && r->b.out.seg.dport == s.sport) {
        *p = (struct peer){r->b.out.seg.ack.v, r->b.out.seg.seq.v + r->b.out.seg.len,
                           r->b.out.seg.opt.ts_val};
        p->ack += !!(r->b.out.seg.flags & (TCP_SYN | TCP_FIN));
    }
}

/* Whatever the peers did: what ut_accept gives is one of them, and was made with us. */
static void accept_one(struct run *r)
{
    ut_handle h;
    ut_endpoint local, remote;
    if (r->holds == HELD ||
        ut_accept(r->b.stack, r->b.listener, r->b.now, &h, &local, &remote) != 0)
        return;
    UT_ASSERT(local.port == FUZZ_PORT && remote.port >= 5000 && remote.port < 5000 + PEERS);
    r->held[r->holds++] = h;
}

static void release(struct run *r, uint8_t how)
{
    if (r->holds == 0)
        return;
    uint8_t which = (uint8_t)(how % r->holds);
    if (how & 128)
        ut_abort(r->b.stack, r->held[which], r->b.now);
    else
        ut_close(r->b.stack, r->held[which], r->b.now);
    r->held[which] = r->held[--r->holds];
    bench_turn(&r->b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct run r = {0};
    bench_open(&r.b, false, input_u8(&in) % 3);
    UT_ASSERT(ut_option_set(r.b.stack, r.b.listener, UT_OPT_FAST_OPEN, 3, r.b.now) == 0);
    for (uint32_t i = 0; i < PEERS; i++)
        r.peer[i].seq = i < 4 ? 1000 * i : UINT32_MAX - i;
    for (int i = 0; i < 200 && in.left > 0; i++) {
        uint8_t op = input_u8(&in);
        if (op < 200) {
            arrive(&r, &in);
        } else if (op < 220) {
            accept_one(&r);
        } else if (op < 240) {
            release(&r, input_u8(&in));
        } else {
            r.b.now += (uint64_t)input_u16(&in) * 10000000;
            bench_turn(&r.b);
        }
        ut_info listener;
        UT_ASSERT(ut_get_info(r.b.stack, r.b.listener, &listener) == 0);
        UT_ASSERT(listener.half_open <= 4 && listener.accept_queue <= 4);
    }
    bench_close(&r.b);
    return 0;
}
