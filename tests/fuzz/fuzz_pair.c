/* fuzz_pair.c: two stacks and the link between them, where the input says what becomes of each
 * packet. An honest link loses, doubles and reorders: what comes out is what went in, and it ends.
 * A vandal also changes packets, with right checksums: then it only ends.
 */
#include "harness.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define ON_THE_WAY 64
#define STORM 4000 /* packets at one instant: two ends that answer each other without end */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct packet {
    size_t len;
    uint8_t data[FUZZ_MTU];
};

struct end {
    struct bench b;
    ut_handle h;
    uint64_t sent, received;
    bool shut, failed;
    struct packet way[ON_THE_WAY]; /* what it has sent, oldest first */
    unsigned waiting;
};

static struct end ends[2]; /* 0 connects, 1 listens */
static bool honest;

static uint8_t pattern(unsigned who, uint64_t at) { return (uint8_t)(at * 13 + at / 251 + who); }

/* A turn of one end; what it sent joins what is on its way, or is lost where that is full. */
static void turn(struct end *e)
{
    ut_event events[16];
    ut_offload marks;
    struct emitted out = {0};
    static uint8_t spill[FUZZ_MTU];
    int count = ut_poll(e->b.stack, e->b.now, 64, events, 16);
    for (int i = 0; i < count; i++)
        e->failed |= events[i].handle == e->h && events[i].error != 0;
    for (;;) {
        bool room = e->waiting < ON_THE_WAY;
        uint8_t *to = room ? e->way[e->waiting].data : spill;
        int64_t n = ut_memory_read(e->b.link, to, FUZZ_MTU, &marks);
        if (n <= 0)
            break;
        check_emitted(&e->b, to, (size_t)n, &marks, &out);
        if (room)
            e->way[e->waiting++].len = (size_t)n;
    }
}

static void take_away(struct end *e, unsigned which)
{
    memmove(&e->way[which], &e->way[which + 1], (--e->waiting - which) * sizeof *e->way);
}

static void deliver(unsigned from, unsigned which, bool keep)
{
    struct end *e = &ends[from], *to = &ends[!from];
    const ut_offload marks = {0};
    ut_memory_write(to->b.link, e->way[which].data, e->way[which].len, &marks);
    if (!keep)
        take_away(e, which);
    turn(to);
}

/* As a router does that would drop it otherwise. */
static void mark(struct packet *p)
{
    bool v4 = p->data[0] >> 4 == 4;
    uint8_t shift = v4 ? 0 : 4, field = p->data[1] >> shift & 3;
    if (p->len < IPV4_HEADER_LEN || field == 0)
        return;
    p->data[1] |= (uint8_t)(3 << shift);
    if (!v4)
        return;
    p->data[10] = p->data[11] = 0;
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(p->data, IPV4_HEADER_LEN, 0));
    p->data[10] = (uint8_t)(sum >> 8);
    p->data[11] = (uint8_t)sum;
}

static void put_sum(uint8_t *p, uint16_t sum)
{
    p[0] = (uint8_t)(sum >> 8);
    p[1] = (uint8_t)sum;
}

/* Another value in a header, and checksums that hide it. */
static void change(struct packet *p, struct input *in)
{
    struct ip_hdr ip;
    size_t at = input_u8(in) % (p->len < 80 ? p->len : 80);
    p->data[at] = input_u8(in);
    if (p->data[0] >> 4 == 4) {
        put_sum(p->data + 10, 0);
        put_sum(p->data + 10, (uint16_t)~checksum_fold(checksum_add(p->data, IPV4_HEADER_LEN, 0)));
    }
    enum drop_reason why =
        p->data[0] >> 4 == 4 ? ipv4_parse(p->data, p->len, &ip) : ipv6_parse(p->data, p->len, &ip);
    if (why != DROP_none || ip.payload_len < TCP_HEADER_LEN)
        return;
    uint8_t *tcp = p->data + (ip.payload - p->data);
    put_sum(tcp + TCP_CHECKSUM_OFFSET, 0);
    uint32_t sum = checksum_pseudo(&ip.src, &ip.dst, ip.proto, ip.payload_len);
    put_sum(tcp + TCP_CHECKSUM_OFFSET,
            (uint16_t)~checksum_fold(checksum_add(tcp, ip.payload_len, sum)));
}

static void user_sends(unsigned who, uint16_t len)
{
    static uint8_t text[16384];
    struct end *e = &ends[who];
    len %= sizeof text;
    for (uint32_t i = 0; i < len; i++)
        text[i] = pattern(who, e->sent + i);
    int64_t n = ut_send(e->b.stack, e->h, text, len, e->b.now);
    UT_ASSERT(n <= len);
    e->sent += n > 0 ? (uint64_t)n : 0;
    turn(e);
}

static void user_receives(unsigned who, size_t most)
{
    static uint8_t text[16384];
    struct end *e = &ends[who];
    ut_span lent;
    if (most == 0)
        return;
    int64_t n = ut_recv(e->b.stack, e->h, text, sizeof text, most, &lent, e->b.now);
    for (int64_t i = 0; i < n && honest; i++)
        UT_ASSERT(text[i] == pattern(!who, e->received + (uint64_t)i));
    e->received += n > 0 ? (uint64_t)n : 0;
    UT_ASSERT(!honest || e->received <= ends[!who].sent);
    turn(e);
}

static void accept_if_any(void)
{
    ut_endpoint local, remote;
    struct end *e = &ends[1];
    if (e->h == 0)
        ut_accept(e->b.stack, e->b.listener, e->b.now, &e->h, &local, &remote);
}

static void time_passes(uint64_t ns)
{
    for (unsigned i = 0; i < 2; i++) {
        ends[i].b.now += ns;
        turn(&ends[i]);
    }
}

static void one_op(struct input *in)
{
    uint8_t op = input_u8(in);
    unsigned who = op & 1;
    struct end *e = &ends[who];
    unsigned which = e->waiting > 0 ? input_u8(in) % e->waiting : 0;
    if (op >= 80 && op < 100 && e->waiting > 0)
        mark(&e->way[0]);
    if (op < 120 && e->waiting > 0)
        deliver(who, op < 100 ? 0 : which, op >= 110);
    else if (op < 150 && e->waiting > 0)
        take_away(e, which);
    else if (op < 170 && e->waiting > 0 && !honest)
        change(&e->way[which], in);
    else if (op < 200)
        user_sends(who, input_u16(in));
    else if (op < 220)
        user_receives(who, input_u16(in));
    else if (op < 225)
        e->shut |= ut_shutdown(e->b.stack, e->h, e->b.now) == 0;
    else if (op < 250)
        time_passes((uint64_t)input_u16(in) * 3000000);
    else
        accept_if_any();
    turn(e);
}

/* All that is on its way arrives, and all that follows from it, with nothing lost. */
static void settle(void)
{
    for (unsigned n = 0; ends[0].waiting + ends[1].waiting > 0; n++) {
        UT_ASSERT(n < STORM);
        deliver(ends[0].waiting == 0, 0, false);
        accept_if_any();
        user_receives(0, 16384);
        user_receives(1, 16384);
    }
}

/* Faults stop and both users are done: it ends, and if nobody gave up, whole. */
static void finish(void)
{
    uint64_t deadline;
    for (int i = 0; i < 3000; i++) {
        settle();
        for (unsigned k = 0; k < 2; k++) {
            struct end *e = &ends[k];
            user_receives(k, 16384);
            e->shut |= e->h != 0 && ut_shutdown(e->b.stack, e->h, e->b.now) == 0;
            turn(e);
        }
        if (ends[0].waiting + ends[1].waiting > 0)
            continue;
        if (ut_unfinished(ends[0].b.stack) + ut_unfinished(ends[1].b.stack) == 0)
            break;
        deadline = u64_min(ut_stack_shared(ends[0].b.stack)->deadline,
                           ut_stack_shared(ends[1].b.stack)->deadline);
        UT_ASSERT(deadline != UINT64_MAX); /* who is not done waits for something */
        time_passes(deadline > ends[0].b.now ? deadline - ends[0].b.now : 1);
    }
    UT_ASSERT(ut_unfinished(ends[0].b.stack) == 0);
    if (honest && ends[1].h != 0 && !ends[0].failed && !ends[1].failed && ends[0].shut &&
        ends[1].shut) {
        UT_ASSERT(ends[1].received == ends[0].sent);
        UT_ASSERT(ends[0].received == ends[1].sent);
    }
}

static void begin(uint8_t how)
{
    ut_config c;
    memset(ends, 0, sizeof ends);
    for (uint8_t i = 0; i < 2; i++) {
        bench_config(&c);
        c.seed[0] = 10 + i;
        c.use_timestamps = how >> 1 & 1;
        c.use_sack = how >> 2 & 1;
        c.use_window_scale = how >> 3 & 1;
        c.rcv_buffer = how >> 4 & 1 ? 4096 : 16384;
        c.fixed_isn = how >> 5 & 1;
        c.ecn = how >> 4 & 1 ? (i == 0 ? 3 : 5) : (i == 0 ? 1 : 2);
        c.fixed_isn_value = UINT32_MAX - 15;
        bench_open_with(&ends[i].b, &c, BENCH_NO_OFFLOAD, (uint8_t)(2 + i));
        UT_ASSERT(ends[i].b.stack != NULL);
    }
    ut_endpoint there = {.port = FUZZ_PORT}, here = {0};
    UT_ASSERT(ut_listen(ends[1].b.stack, &there, 4, 0, ends[1].b.now, &ends[1].b.listener) == 0);
    struct ipaddr address = bench_address(how >> 6 & 1, 3);
    memcpy(there.ip, address.b, 16);
    UT_ASSERT(ut_connect(ends[0].b.stack, &here, &there, 0, ends[0].b.now, &ends[0].h) == 0);
    turn(&ends[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t how = input_u8(&in);
    honest = how & 1;
    begin(how);
    if (!(how & 128)) { /* the usual way in, so that few bytes lead to data */
        settle();
        UT_ASSERT(ends[1].h != 0);
    }
    for (int i = 0; i < 300 && in.left > 0; i++)
        one_op(&in);
    finish();
    bench_close(&ends[0].b);
    bench_close(&ends[1].b);
    return 0;
}
