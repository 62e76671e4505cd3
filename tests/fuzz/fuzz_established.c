/* fuzz_established.c: an established connection under segments made relative to its live state,
 * calls of its user, and passing time; then it must come to an end by itself.
 */
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sequence number near one that matters. */
static seq32 near(struct input *in, uint32_t base)
{
    uint8_t how = input_u8(in);
    if (how < 128)
        return seq_make(base + (how % 16 ? (uint32_t)(int8_t)input_u8(in) : 0));
    return seq_make(how < 250 ? base + input_u16(in) : input_u32(in));
}

static void inject(struct bench *b, ut_handle h, struct input *in)
{
    ut_info i;
    const uint8_t *data;
    if (ut_get_info(b->stack, h, &i) != 0)
        return;
    struct tcp_seg s = {.flags = input_u8(in), .wnd = input_u16(in), .urp = input_u8(in)};
    uint8_t how = input_u8(in);
    if (how % 4)
        s.flags = (uint16_t)(s.flags | TCP_ACK) & (uint16_t) ~(TCP_SYN | TCP_RST);
    s.flags |= how >> 2 & 1 ? TCP_AE : 0;
    b->ip_ecn = how >> 3 & 3;
    s.seq = near(in, i.rcv_nxt);
    s.ack = near(in, i.snd_nxt);
    uint8_t options = input_u8(in);
    if (i.timestamps_ok && options % 8)
        s.opt = (struct tcp_opts){.has_ts = true, .ts_val = 102 + options / 8u, .ts_ecr = 1};
    for (uint8_t n = options % 4; n > 0 && s.opt.sack_count < 3; n--) {
        seq32 left = near(in, i.snd_una);
        s.opt.sack[s.opt.sack_count++] =
            (struct tcp_sack_block){left, seq_make(left.v + input_u16(in))};
    }
    if (how >> 5 & 1) {
        s.opt.accecn = (uint8_t)(1 + (how >> 6));
        s.opt.accecn_order = options >> 7;
        for (uint8_t n = 0; n < how >> 6; n++)
            s.opt.accecn_field[n] = input_u16(in);
    }
    size_t len = input_bytes(in, input_u16(in) % 1460, &data);
    bench_segment(b, &s, data, len);
}

static void too_big(struct bench *b, ut_handle h, struct input *in)
{
    ut_info i;
    if (ut_get_info(b->stack, h, &i) != 0)
        return;
    seq32 seq = near(in, i.snd_una);
    uint16_t mtu = input_u8(in) < 200 ? (uint16_t)(i.pmtu - input_u8(in)) : input_u16(in);
    bench_too_big(b, seq, input_u8(in) < 240 ? 1500 : input_u16(in), mtu);
}

static void call(struct bench *b, ut_handle h, struct input *in)
{
    static uint8_t buffer[8192];
    ut_span lent;
    uint16_t n = input_u16(in) % sizeof buffer;
    switch (input_u8(in) % 8) {
    case 0:
    case 1:
        ut_send(b->stack, h, buffer, n, b->now);
        break;
    case 2:
        ut_recv(b->stack, h, buffer, n, n, &lent, b->now);
        break;
    case 3:
        if (ut_recv(b->stack, h, buffer, 0, sizeof buffer, &lent, b->now) != 0)
            break;
        if (lent.posted != 0 && n % 3 != 0)
            UT_ASSERT(ut_recv_keep(b->stack, h, lent.data, lent.len, b->now) >= 0);
        else
            ut_recv_done(b->stack, h, n < lent.len ? n : lent.len, b->now);
        break;
    case 4:
        ut_option_set(b->stack, h, n % 9 ? 1 + n % 8 : UT_OPT_MTU_DISCOVER, input_u8(in), b->now);
        break;
    case 5:
        ut_shutdown(b->stack, h, b->now);
        break;
    case 6:
        if (n % 16 == 0)
            ut_close(b->stack, h, b->now);
        break;
    default:
        if (n % 64 == 0)
            ut_abort(b->stack, h, b->now);
    }
    bench_turn(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct bench b;
    bench_open(&b, false, 1);
    ut_handle h = bench_establish(&b, input_u8(&in) & 3);
    UT_ASSERT(h != 0);
    for (int i = 0; i < 200 && in.left > 0; i++) {
        uint8_t op = input_u8(&in);
        if (op < 140) {
            inject(&b, h, &in);
        } else if (op < 160) {
            too_big(&b, h, &in);
        } else if (op < 220) {
            call(&b, h, &in);
        } else {
            b.now += (uint64_t)input_u16(&in) * 1000000;
            bench_turn(&b);
        }
    }
    ut_close(b.stack, h, b.now);
    /* SEC-15, SEC-16: without its user it ends, whatever the peer does not do. */
    for (int i = 0; i < 2000 && ut_unfinished(b.stack) > 0; i++) {
        b.now += 1000000000;
        bench_turn(&b);
    }
    UT_ASSERT(ut_unfinished(b.stack) == 0);
    bench_close(&b);
    return 0;
}
