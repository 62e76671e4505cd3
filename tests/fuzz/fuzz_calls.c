/* fuzz_calls.c: every call of the interface, in any order and with any arguments, on a few
 * connections, listeners and stale handles, while peers answer with segments near what is expected.
 * The configuration and a memory limit are the input's, too. At the end every byte comes back.
 */
#include "harness.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define HANDLES 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct bench b;
    ut_handle h[HANDLES]; /* live, closed or never given */
};

/* Numbers at the edges of types, or any. */
static int64_t number(struct input *in)
{
    static const int64_t edges[] = {0,         1,          -1,        2,          255,
                                    65535,     65536,      INT32_MAX, UINT32_MAX, INT64_MAX,
                                    INT64_MIN, 1000000000, 16384,     16385};
    uint8_t how = input_u8(in);
    if (how < 64)
        return edges[how % UT_COUNTOF(edges)];
    return how < 200 ? how - 64 : (int64_t)input_u32(in) << (how & 31);
}

static ut_endpoint endpoint(struct input *in)
{
    uint8_t how = input_u8(in);
    ut_endpoint e = {.port = how & 1 ? FUZZ_PORT : input_u16(in)};
    struct ipaddr a = bench_address(how >> 1 & 1, how >> 2 & 3);
    if (how & 16)
        memcpy(e.ip, a.b, 16);
    if (how > 240)
        e.ip[input_u8(in) & 15] = input_u8(in);
    return e;
}

static void keep(struct run *r, struct input *in, ut_handle h)
{
    if (h != 0)
        r->h[input_u8(in) % HANDLES] = h; /* the one it replaces goes on without us */
}

/* From the peer of that connection, its numbers nearly right. */
static void answer(struct run *r, ut_handle h, struct input *in)
{
    static const uint8_t usual[] = {TCP_ACK, TCP_SYN | TCP_ACK, TCP_ACK | TCP_FIN,
                                    TCP_RST | TCP_ACK};
    static const uint8_t text[1200];
    uint8_t frame[IPV6_HEADER_LEN + TCP_MAX_HEADER_LEN + sizeof text];
    ut_info i;
    if (ut_get_info(r->b.stack, h, &i) != 0 || i.state == UT_STATE_LISTEN || i.remote.port == 0)
        return;
    uint8_t how = input_u8(in);
    struct tcp_seg s = {.sport = i.remote.port,
                        .dport = i.local.port,
                        .flags = how < 240 ? usual[how & 3] : input_u8(in),
                        .wnd = input_u16(in)};
    if (i.state == UT_STATE_SYN_SENT && how < 200)
        s.flags = TCP_SYN | TCP_ACK;
    s.seq = seq_make(i.rcv_nxt + (how & 4 ? (uint32_t)(int8_t)input_u8(in) : 0));
    s.ack = seq_make((how & 8 ? i.snd_una : i.snd_nxt) + (how & 16 ? input_u8(in) : 0));
    s.opt.has_ts = i.timestamps_ok || i.state == UT_STATE_SYN_SENT;
    s.opt.ts_val = 5;
    if (s.flags & TCP_SYN && how & 64) { /* RFC 7413: a cookie for the next connection */
        s.opt.has_mss = s.opt.has_fast_open = true;
        s.opt.mss = 1000;
        s.opt.cookie = text;
        s.opt.cookie_len = 8;
    }
    struct ip_hdr ip = {.ttl = 64, .proto = IP_PROTO_TCP};
    memcpy(ip.src.b, i.remote.ip, 16);
    memcpy(ip.dst.b, i.local.ip, 16);
    ip.version = ipaddr_is_v4(&ip.src) ? 4 : 6;
    if ((ip.version == 4) != ipaddr_is_v4(&ip.dst))
        return;
    size_t header = ip.version == 4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;
    size_t tcp = tcp_write(frame + header, &s), len = how & 32 ? input_u16(in) % sizeof text : 0;
    memcpy(frame + header + tcp, text, len);
    ip.payload_len = (uint32_t)(tcp + len);
    bench_ip_write(frame, &ip);
    bench_frame(&r->b, frame, header + ip.payload_len);
}

static void transfer(struct run *r, ut_handle h, struct input *in)
{
    static uint8_t text[40000];
    uint8_t how = input_u8(in);
    size_t len = input_u16(in) % (sizeof text + 1), cap = how & 4 ? len : len / 2;
    ut_span lent = {0};
    if (how % 3 == 0) {
        ut_send(r->b.stack, h, text, len, r->b.now);
    } else if (how % 3 == 1) {
        int64_t n = ut_recv(r->b.stack, h, text, cap, len, &lent, r->b.now);
        UT_ASSERT(n <= (int64_t)cap && (n != 0 || lent.len <= len));
        if (n == 0 && lent.len > 0) {
            UT_ASSERT(lent.len > cap && lent.data != NULL);
            if ((how & 32) && ut_recv_keep(r->b.stack, h, lent.data, lent.len, r->b.now) < 0)
                UT_ASSERT(lent.posted == 0);
            if (how & 8)
                ut_recv_done(r->b.stack, h, how & 16 ? (size_t)number(in) : lent.len, r->b.now);
        }
    } else {
        ut_recv_done(r->b.stack, h, len, r->b.now);
        uint32_t which = how % FUZZ_POSTED;
        if (how & 64) /* back, and there again with another size */
            ut_post(r->b.stack, which + 1, how & 128 ? r->b.posted[which] : NULL, 1 + len % 64);
    }
}

static void look(struct run *r, ut_handle h, struct input *in)
{
    static ut_info all[64];
    static ut_transition moves[64];
    uint64_t counters[200];
    int64_t value;
    ut_info i;
    if (ut_get_info(r->b.stack, h, &i) == 0)
        UT_ASSERT(i.state <= UT_STATE_TIME_WAIT && i.rcv_readable <= 65536);
    UT_ASSERT(ut_list(r->b.stack, all, 64) <= 16 + 4 + 4 + HANDLES * 8);
    UT_ASSERT(ut_trace_read(r->b.stack, moves, input_u8(in) % 64) < 64);
    UT_ASSERT(ut_counters(r->b.stack, counters, 200) > 0);
    ut_option_get(r->b.stack, h, (int)number(in), &value);
}

static void open_one(struct run *r, struct input *in)
{
    ut_endpoint local = endpoint(in), remote = endpoint(in);
    ut_handle h = 0;
    uint8_t how = input_u8(in);
    if (how < 160)
        ut_connect(r->b.stack, &local, &remote, how & 1 ? UT_CONNECT_FAST_OPEN : 0, r->b.now, &h);
    else if (how < 220)
        ut_listen(r->b.stack, &local, (int)number(in), how & 3, r->b.now, &h);
    else
        ut_accept(r->b.stack, r->h[how % HANDLES], r->b.now, &h, &local, &remote);
    keep(r, in, h);
}

static void of_the_stack(struct run *r, struct input *in)
{
    struct ipaddr a = bench_address(input_u8(in) & 1, input_u8(in));
    if (input_u8(in) > 250)
        a.b[input_u8(in) & 15] = input_u8(in);
    switch (input_u8(in) % 4) {
    case 0:
        ut_address_add(r->b.stack, a.b, (int)number(in), input_u8(in) & 1, r->b.now);
        break;
    case 1:
        ut_address_state(r->b.stack, a.b);
        break;
    case 2:
        ut_gateway_set(r->b.stack, a.b);
        break;
    default:
        ut_poll(r->b.stack, r->b.now, (int)(number(in) & 0xffff), NULL, 0);
    }
}

static void one_op(struct run *r, struct input *in)
{
    uint8_t op = input_u8(in);
    ut_handle *h = &r->h[input_u8(in) % HANDLES];
    if (op < 30) {
        open_one(r, in);
    } else if (op < 120) {
        answer(r, *h, in);
    } else if (op < 160) {
        transfer(r, *h, in);
    } else if (op < 185) {
        ut_option_set(r->b.stack, *h, (int)number(in) & 15, number(in), r->b.now);
    } else if (op < 195) {
        ut_shutdown(r->b.stack, *h, r->b.now);
    } else if (op < 205) {
        ut_close(r->b.stack, *h, r->b.now);
    } else if (op < 210) {
        ut_abort(r->b.stack, *h, r->b.now);
    } else if (op < 215) {
        *h ^= (ut_handle)1 << (input_u8(in) & 63); /* a handle nobody gave */
    } else if (op < 225) {
        of_the_stack(r, in);
    } else if (op < 235) {
        look(r, *h, in);
    } else {
        r->b.now += (uint64_t)input_u16(in) * 5000000;
    }
    bench_turn(&r->b);
}

static void configure(ut_config *c, struct input *in)
{
    uint8_t how = input_u8(in);
    bench_config(c);
    c->memory_limit = how & 1 ? 100000 + (uint64_t)input_u16(in) * 8 : 0;
    c->syn_cookies = how >> 1 & 3;
    c->use_timestamps = !(how & 8);
    c->use_sack = !(how & 16);
    c->nodelay = how >> 5 & 1;
    c->rcv_buffer = 1u << (11 + input_u8(in) % 7);
    c->snd_buffer = 1u << (11 + input_u8(in) % 7);
    if (how & 64)
        c->port_last = c->port_first + 3;
    if (how & 128) {
        c->fixed_isn = 2;
        c->fixed_isn_value = UINT32_MAX - 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct run r = {0};
    ut_config c;
    configure(&c, &in);
    bench_open_with(&r.b, &c, BENCH_IP, 2);
    if (r.b.stack == NULL)
        return 0;
    for (int i = 0; i < 200 && in.left > 0; i++) {
        one_op(&r, &in);
        UT_ASSERT(c.memory_limit == 0 || ut_memory_in_use(r.b.stack) <= c.memory_limit);
    }
    for (int i = 0; i < HANDLES; i++)
        ut_close(r.b.stack, r.h[i], r.b.now);
    bench_turn(&r.b);
    bench_close(&r.b);
    return 0;
}
