/* fuzz_options.c: TCP options, against a second reading of them and written again; and in the SYN
 * of a connection that must then work, whatever they say.
 */
#include <stdlib.h>

#include "harness.h"
#include "wire/ipv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t read_be(const uint8_t *p, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

/* One option; false where its length is one it cannot have (RFC 9293 3.1 MUST-7). */
static bool read_option(const uint8_t *p, size_t size, struct tcp_opts *o)
{
    static const uint8_t sizes[] = {[2] = 4, [3] = 3, [4] = 2, [8] = 10};
    uint8_t kind = p[0];
    if (kind < sizeof sizes && sizes[kind] != 0 && size != sizes[kind])
        return false;
    if (kind == 2) {
        o->has_mss = true;
        o->mss = (uint16_t)read_be(p + 2, 2);
    } else if (kind == 3) {
        o->has_wscale = true;
        o->wscale = p[2];
    } else if (kind == 4) {
        o->sack_permitted = true;
    } else if (kind == 8) {
        o->has_ts = true;
        o->ts_val = read_be(p + 2, 4);
        o->ts_ecr = read_be(p + 6, 4);
    } else if (kind == 34) { /* RFC 7413 4.1.1: even, 4 to 16, or nothing; else as if not there */
        if (size == 2 || (size >= 6 && size <= 18 && size % 2 == 0)) {
            o->has_fast_open = true;
            o->cookie_len = (uint8_t)(size - 2);
            o->cookie = p + 2;
        }
    } else if (kind == 5) {
        if (size != 10 && size != 18 && size != 26 && size != 34)
            return false;
        o->sack_count = (uint8_t)(size / 8);
        for (size_t i = 0; i < size / 8; i++)
            o->sack[i] = (struct tcp_sack_block){seq_make(read_be(p + 2 + 8 * i, 4)),
                                                 seq_make(read_be(p + 6 + 8 * i, 4))};
    }
    return true;
}

static bool read_options(const uint8_t *p, size_t len, struct tcp_opts *o)
{
    *o = (struct tcp_opts){0};
    for (size_t at = 0; at < len && p[at] != 0;) {
        size_t size = p[at] == 1 ? 1 : at + 1 < len ? p[at + 1] : 0;
        if (p[at] != 1 && (size < 2 || size > len - at || !read_option(p + at, size, o)))
            return false;
        at += size;
    }
    return true;
}

/* Of what was written: beside an MSS only. */
static bool is_same_cookie(const struct tcp_opts *a, const struct tcp_opts *b)
{
    return a->has_fast_open == b->has_fast_open && a->cookie_len == b->cookie_len &&
           (a->cookie_len == 0 || memcmp(a->cookie, b->cookie, a->cookie_len) == 0);
}

static bool is_same(const struct tcp_opts *a, const struct tcp_opts *b, unsigned blocks)
{
    for (unsigned i = 0; i < blocks; i++)
        if (a->sack[i].left.v != b->sack[i].left.v || a->sack[i].right.v != b->sack[i].right.v)
            return false;
    return a->has_mss == b->has_mss && a->mss == b->mss && a->has_wscale == b->has_wscale &&
           a->wscale == b->wscale && a->sack_permitted == b->sack_permitted &&
           a->has_ts == b->has_ts && a->ts_val == b->ts_val && a->ts_ecr == b->ts_ecr;
}

static void parse_and_write(const uint8_t *data, size_t len)
{
    struct tcp_opts mine, theirs, again;
    uint8_t out[TCP_OPT_MAX_LEN];
    uint8_t *p = malloc(len > 0 ? len : 1);
    UT_ASSERT(p != NULL);
    memcpy(p, data, len);
    bool right = read_options(p, len, &mine);
    UT_ASSERT((tcp_opt_parse(p, len, &theirs) == DROP_none) == right);
    if (right) {
        UT_ASSERT(theirs.sack_count == mine.sack_count && is_same(&mine, &theirs, mine.sack_count));
        UT_ASSERT(is_same_cookie(&mine, &theirs));
        size_t n = tcp_opt_write(out, &theirs);
        UT_ASSERT(n <= sizeof out && n % 4 == 0 && n == tcp_opt_length(&theirs));
        UT_ASSERT(tcp_opt_parse(out, n, &again) == DROP_none);
        UT_ASSERT(again.sack_count <= theirs.sack_count);
        UT_ASSERT(is_same(&theirs, &again, again.sack_count));
        UT_ASSERT(theirs.has_mss ? is_same_cookie(&theirs, &again) : !again.has_fast_open);
    }
    free(p);
}

/* A segment with these options as they are; `len` is a multiple of 4. */
static void send_raw(struct bench *b, const struct tcp_seg *s, const uint8_t *options, size_t len)
{
    uint8_t frame[IPV4_HEADER_LEN + TCP_MAX_HEADER_LEN] = {0};
    struct tcp_seg plain = *s;
    plain.opt = (struct tcp_opts){0};
    uint8_t *tcp = frame + IPV4_HEADER_LEN;
    tcp_write(tcp, &plain);
    memcpy(tcp + TCP_HEADER_LEN, options, len);
    size_t header = TCP_HEADER_LEN + len;
    tcp[12] = (uint8_t)(header / 4 << 4);
    struct ip_hdr ip = {.src = bench_address(true, 1),
                        .dst = bench_address(true, 2),
                        .version = 4,
                        .proto = IP_PROTO_TCP,
                        .ttl = 64,
                        .payload_len = (uint32_t)header};
    ipv4_write(frame, &ip);
    bench_frame(b, frame, IPV4_HEADER_LEN + header);
}

/* A connection made with these options in SYN and ACK takes 5000 bytes to its peer. */
static void connect_with(const uint8_t *options, size_t len)
{
    static const uint8_t text[5000];
    struct bench b;
    ut_handle h;
    ut_endpoint local, remote;
    struct tcp_opts o;
    bench_open(&b, false, 1);
    UT_ASSERT(ut_option_set(b.stack, b.listener, UT_OPT_FAST_OPEN, 8, b.now) == 0);
    struct tcp_seg s = {.sport = 1234, .dport = FUZZ_PORT, .flags = TCP_SYN, .wnd = 65535};
    send_raw(&b, &s, options, len);
    if (b.out.has_tcp && b.out.seg.flags == (TCP_SYN | TCP_ACK)) {
        struct tcp_seg synack = b.out.seg;
        UT_ASSERT(read_options(options, len, &o));
        UT_ASSERT(synack.opt.has_ts == o.has_ts && synack.opt.has_wscale == o.has_wscale);
        UT_ASSERT(synack.opt.sack_permitted == o.sack_permitted);
        UT_ASSERT(synack.opt.has_fast_open == o.has_fast_open);
        UT_ASSERT(!o.has_fast_open || synack.opt.cookie_len == 8);
        s.flags = TCP_ACK;
        s.seq = seq_make(1);
        s.ack = seq_make(synack.seq.v + 1);
        s.opt =
            (struct tcp_opts){.has_ts = o.has_ts, .ts_val = o.ts_val, .ts_ecr = synack.opt.ts_val};
        bench_segment(&b, &s, NULL, 0);
        UT_ASSERT(ut_accept(b.stack, b.listener, b.now, &h, &local, &remote) == 0);
        UT_ASSERT(ut_send(b.stack, h, text, sizeof text, b.now) == sizeof text);
        for (int i = 0; i < 400 && ut_unfinished(b.stack) > 0; i++) {
            if (bench_turn(&b) == 0) {
                b.now += 50000000;
                continue;
            }
            while (b.out.has_tcp) { /* each answer may let more go */
                UT_ASSERT(b.out.seg.len >= 1 && !(b.out.seg.flags & TCP_RST));
                s.ack = seq_make(b.out.seg.seq.v + b.out.seg.len);
                s.opt.ts_ecr = b.out.seg.opt.ts_val;
                bench_segment(&b, &s, NULL, 0);
            }
        }
        UT_ASSERT(ut_unfinished(b.stack) == 0);
    }
    bench_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = size - 1 < TCP_OPT_MAX_LEN ? size - 1 : TCP_OPT_MAX_LEN;
    parse_and_write(data + 1, len);
    uint8_t padded[TCP_OPT_MAX_LEN] = {0};
    memcpy(padded, data + 1, len);
    if (data[0] & 1)
        connect_with(padded, (len + 3) / 4 * 4);
    return 0;
}
