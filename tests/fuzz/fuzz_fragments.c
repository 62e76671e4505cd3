/* fuzz_fragments.c: fragments of a few datagrams, in any order and shape, against a model that
 * holds a mark per byte (RFC 791 3.2, RFC 8200 4.5, RFC 5722); and of many, against the limits.
 */
#include "harness.h"
#include "ip/frag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAMES 4
#define MODEL_BYTES 512 /* few enough that neither memory nor the number of runs is short */

struct model {
    bool known, spoiled, ce, not_ect;
    bool has[MODEL_BYTES];
    uint8_t byte[MODEL_BYTES];
    uint32_t len;
    ns_t due;
};

/* What is right at `at` of datagram `name`; a liar says something else. */
static uint8_t pattern(unsigned name, uint32_t at) { return (uint8_t)(at * 7 + at / 251 + name); }

static uint32_t model_held_end(const struct model *m)
{
    uint32_t end = MODEL_BYTES;
    while (end > 0 && !m->has[end - 1])
        end--;
    return end;
}

/* What no honest sender says. */
static bool model_contradicts(const struct model *m, const struct ip_hdr *ip)
{
    uint32_t lo = ip->fragment_offset, hi = lo + ip->payload_len;
    if (!ip->more_fragments && ((m->len != 0 && m->len != hi) || model_held_end(m) > hi))
        return true;
    if (ip->more_fragments && m->len != 0 && hi >= m->len)
        return true;
    return lo == 0 && ip->payload_len < (ip->proto == IP_PROTO_TCP ? 20 : 8);
}

static enum frag_result model_spoil(struct model *m)
{
    m->spoiled = true;
    return FRAG_DROPPED;
}

static enum frag_result model_add(struct model *m, const struct ip_hdr *ip, ns_t now)
{
    uint32_t lo = ip->fragment_offset, hi = lo + ip->payload_len, overlap = 0, equal = 0;
    if (ip->payload_len == 0 || (ip->more_fragments && ip->payload_len % 8 != 0))
        return FRAG_DROPPED;
    if (!m->known)
        *m = (struct model){.known = true, .due = now + FRAG_LIFE};
    if (m->spoiled || model_contradicts(m, ip))
        return model_spoil(m);
    for (uint32_t i = lo; i < hi; i++) {
        overlap += m->has[i];
        equal += m->has[i] && m->byte[i] == ip->payload[i - lo];
    }
    if (overlap != 0)
        return equal == ip->payload_len ? FRAG_WAITS : model_spoil(m);
    for (uint32_t i = lo; i < hi; i++) {
        m->has[i] = true;
        m->byte[i] = ip->payload[i - lo];
    }
    if (!ip->more_fragments)
        m->len = hi;
    m->ce |= (ip->dscp_ecn & 3) == 3;
    m->not_ect |= (ip->dscp_ecn & 3) == 0;
    for (uint32_t i = 0; i < m->len; i++)
        if (!m->has[i])
            return FRAG_WAITS;
    if (m->len == 0)
        return FRAG_WAITS;
    return m->ce && m->not_ect ? model_spoil(m) : FRAG_WHOLE;
}

static struct ip_hdr fragment(struct input *in, unsigned name, uint32_t reach, uint8_t *body)
{
    uint8_t how = input_u8(in);
    struct ip_hdr ip = {.src = bench_address(name & 1, 1),
                        .dst = bench_address(name & 1, 2),
                        .version = name & 1 ? 4 : 6,
                        .proto = how & 1 ? IP_PROTO_TCP : IP_PROTO_ICMPV6,
                        .is_fragment = true,
                        .dscp_ecn = how >> 4 & 3,
                        .fragment_id = name / 2};
    if (ip.version == 4)
        ip.proto = IP_PROTO_TCP; /* part of the name */
    ip.more_fragments = how >> 1 & 1;
    ip.fragment_offset = input_u16(in) % (reach / 8) * 8;
    uint32_t room = reach - ip.fragment_offset;
    ip.payload_len = how >> 2 & 1 ? input_u16(in) % (room + 1) : u32_min(8u * input_u8(in), room);
    bool lies = how >> 6 == 3;
    for (uint32_t i = 0; i < ip.payload_len; i++)
        body[i] = (uint8_t)(pattern(name, ip.fragment_offset + i) ^ lies);
    ip.payload = body;
    return ip;
}

static void with_model(struct input *in, struct frag *f)
{
    static struct model model[NAMES];
    uint8_t body[MODEL_BYTES];
    uint64_t drops[DROP_COUNT] = {0};
    ns_t now = NS_PER_S;
    memset(model, 0, sizeof model);
    for (int i = 0; i < 200 && in->left > 0; i++) {
        unsigned name = input_u8(in);
        if (name >= 240) {
            now += (ns_t)input_u8(in) * NS_PER_S / 4;
            frag_expire(f, now, drops);
            for (unsigned k = 0; k < NAMES; k++)
                model[k].known = model[k].known && model[k].due > now;
            continue;
        }
        name %= NAMES;
        struct ip_hdr ip = fragment(in, name, MODEL_BYTES, body);
        enum frag_result expected = model_add(&model[name], &ip, now);
        UT_ASSERT(frag_add(f, &ip, now, drops) == expected);
        if (expected != FRAG_WHOLE)
            continue;
        UT_ASSERT(ip.payload_len == model[name].len && !ip.is_fragment && !ip.more_fragments);
        UT_ASSERT(memcmp(ip.payload, model[name].byte, model[name].len) == 0);
        UT_ASSERT(((ip.dscp_ecn & 3) == 3) == model[name].ce);
        model[name].known = false;
    }
}

static void without_model(struct input *in, struct frag *f)
{
    static uint8_t body[65536];
    bool lied[256] = {false};
    uint64_t drops[DROP_COUNT] = {0};
    ns_t now = NS_PER_S;
    for (int i = 0; i < 200 && in->left > 0; i++) {
        unsigned name = input_u8(in);
        now += name < 8 ? (ns_t)input_u8(in) * NS_PER_S : 1;
        frag_expire(f, now, drops);
        struct ip_hdr ip = fragment(in, name, 65528, body);
        lied[name] |= ip.payload_len > 0 && body[0] != pattern(name, ip.fragment_offset);
        if (frag_add(f, &ip, now, drops) == FRAG_WHOLE) {
            UT_ASSERT(ip.payload_len <= 65535);
            for (uint32_t k = 0; k < ip.payload_len && !lied[name]; k++)
                UT_ASSERT(ip.payload[k] == pattern(name, k));
        }
        UT_ASSERT(f->bytes <= FRAG_BYTES);
        UT_ASSERT(f->alloc->in_use == f->bytes + FRAG_DATAGRAMS * sizeof *f->datagram ||
                  f->datagram == NULL);
        UT_ASSERT(frag_next(f) > now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct alloc a;
    struct frag f;
    uint8_t how = input_u8(&in);
    alloc_init(&a, how == 255 ? 40000 : 0);
    frag_init(&f, &a);
    if (how & 1 && how != 255)
        with_model(&in, &f);
    else
        without_model(&in, &f);
    frag_fini(&f);
    UT_ASSERT(a.in_use == 0);
    return 0;
}
