/* tcp_opt.c: TCP options, read for every arriving segment and written for every departing one.
 *
 * Each option is written in a block padded in front to a multiple of four bytes, the way Linux
 * does, so a header needs no padding at its end (RFC 9293 3.1, MUST-69: it would be zeros).
 *
 * DEVIATES RFC 5482 3.1 (02, 03, 04, 05): the user timeout option is neither sent nor read (01),
 * because a peer has no say in how long memory is kept for it; each end sets its own time-out.
 */
#include "wire/tcp_opt.h"

#include "wire/bytes.h"

#define TCP_OPT_END 0
#define TCP_OPT_NOP 1
#define TCP_OPT_MSS 2
#define TCP_OPT_WSCALE 3
#define TCP_OPT_SACK_PERMITTED 4
#define TCP_OPT_SACK 5
#define TCP_OPT_TS 8
#define TCP_OPT_ACCECN_0 172
#define TCP_OPT_ACCECN_1 174
#define TCP_OPT_FAST_OPEN 34
#define TCP_OPT_NOP_NOP_TS 0x0101080au /* kind 8, length 10 */
#define TCP_OPT_TS_BLOCK_LEN 12u
#define TCP_OPT_SACK_BLOCK_LEN 8u

static void tcp_opt_read_ts(const uint8_t *p, struct tcp_opts *out)
{
    out->has_ts = true;
    out->ts_val = get_be32(p);
    out->ts_ecr = get_be32(p + 4);
}

static bool tcp_opt_read_sack(const uint8_t *p, size_t len, struct tcp_opts *out)
{
    /* RFC 2018 3: one block at least; a header has no room for more than four. */
    size_t n = len / TCP_OPT_SACK_BLOCK_LEN;
    if (len % TCP_OPT_SACK_BLOCK_LEN != 0 || n == 0 || n > TCP_OPT_MAX_SACK)
        return false;
    for (size_t i = 0; i < n; i++) {
        out->sack[i].left = seq_make(get_be32(p + 8 * i));
        out->sack[i].right = seq_make(get_be32(p + 8 * i + 4));
    }
    out->sack_count = (uint8_t)n;
    return true;
}

/* 9768-22 (MUST): as many whole fields as there are; the rest is padding. */
static void tcp_opt_read_accecn(uint8_t kind, const uint8_t *p, size_t len, struct tcp_opts *out)
{
    uint8_t fields = (uint8_t)(len / 3 < 3 ? len / 3 : 3);
    out->accecn = (uint8_t)(1 + fields);
    out->accecn_order = kind == TCP_OPT_ACCECN_1;
    for (uint8_t i = 0; i < fields; i++, p += 3)
        out->accecn_field[i] = (uint32_t)p[0] << 16 | get_be16(p + 1);
}

/* RFC 7413 4.1.1 (MUST): with a length it cannot have it is ignored. */
static void tcp_opt_read_fast_open(const uint8_t *p, size_t len, struct tcp_opts *out)
{
    if (len != 0 && (len < TCP_COOKIE_MIN || len > TCP_COOKIE_MAX || len % 2 != 0))
        return;
    out->has_fast_open = true;
    out->cookie_len = (uint8_t)len;
    out->cookie = p;
}

/* One option of a kind that has a length: `p[0..len)` is what follows kind and length. False when
 * a kind we know has a length it cannot have. */
static bool tcp_opt_read(uint8_t kind, const uint8_t *p, size_t len, struct tcp_opts *out)
{
    switch (kind) {
    case TCP_OPT_MSS:
        if (len != 2)
            return false;
        out->has_mss = true;
        out->mss = get_be16(p);
        return true;
    case TCP_OPT_WSCALE:
        if (len != 1)
            return false;
        out->has_wscale = true;
        out->wscale = p[0];
        return true;
    case TCP_OPT_SACK_PERMITTED:
        if (len != 0)
            return false;
        out->sack_permitted = true;
        return true;
    case TCP_OPT_SACK:
        return tcp_opt_read_sack(p, len, out);
    case TCP_OPT_TS:
        if (len != 8)
            return false;
        tcp_opt_read_ts(p, out);
        return true;
    case TCP_OPT_ACCECN_0:
    case TCP_OPT_ACCECN_1:
        tcp_opt_read_accecn(kind, p, len, out);
        return true;
    case TCP_OPT_FAST_OPEN:
        tcp_opt_read_fast_open(p, len, out);
        return true;
    default:
        return true; /* RFC 9293 3.1 (MUST-6): a kind not implemented is passed over */
    }
}

enum drop_reason tcp_opt_parse(const uint8_t *p, size_t len, struct tcp_opts *out)
{
    *out = (struct tcp_opts){0};
    size_t at = 0;
    /* RFC 7323 A: the layout nearly every segment of a connection with timestamps has. */
    if (UT_LIKELY(len >= TCP_OPT_TS_BLOCK_LEN) && get_be32(p) == TCP_OPT_NOP_NOP_TS) {
        tcp_opt_read_ts(p + 4, out);
        at = TCP_OPT_TS_BLOCK_LEN;
    }
    while (at < len && p[at] != TCP_OPT_END) {
        if (p[at] == TCP_OPT_NOP) {
            at++;
            continue;
        }
        /* RFC 9293 3.1 (MUST-7, MUST-68): every other kind has a length, and it may be a lie. */
        if (len - at < 2)
            return DROP_tcp_options;
        size_t size = p[at + 1];
        if (size < 2 || size > len - at || !tcp_opt_read(p[at], p + at + 2, size - 2, out))
            return DROP_tcp_options;
        at += size;
    }
    return DROP_none;
}

static size_t tcp_opt_fast_open_length(const struct tcp_opts *o)
{
    return o->has_fast_open ? (2u + o->cookie_len + 3u) & ~(size_t)3 : 0;
}

static size_t tcp_opt_length_without_sack(const struct tcp_opts *o)
{
    size_t len = 0;
    if (o->has_mss)
        len += 4 + tcp_opt_fast_open_length(o);
    if (o->has_ts)
        len += TCP_OPT_TS_BLOCK_LEN; /* SACK-permitted takes the place of its two NOPs */
    else if (o->sack_permitted)
        len += 4;
    if (o->has_wscale)
        len += 4;
    return len;
}

/* 0: none, or there is no room for it. */
static size_t tcp_opt_accecn_fitting(const struct tcp_opts *o, size_t used)
{
    if (UT_LIKELY(o->accecn == 0))
        return 0;
    size_t len = tcp_opt_accecn_length(o->accecn - 1u);
    return used + len <= TCP_OPT_MAX_LEN ? len : 0;
}

uint32_t tcp_opt_length_beside(const struct tcp_opts *o, uint32_t sack_most)
{
    struct tcp_opts others = *o;
    others.accecn = 0;
    others.sack_count = (uint8_t)(o->sack_count < sack_most ? o->sack_count : sack_most);
    return (uint32_t)tcp_opt_length(&others);
}

/* How many SACK blocks there is room for after the rest. */
static size_t tcp_opt_sack_fitting(const struct tcp_opts *o, size_t used)
{
    if (o->sack_count == 0)
        return 0;
    size_t left = used + 4 <= TCP_OPT_MAX_LEN ? TCP_OPT_MAX_LEN - used - 4 : 0;
    size_t room = left / TCP_OPT_SACK_BLOCK_LEN;
    room = room < TCP_OPT_MAX_SACK ? room : TCP_OPT_MAX_SACK;
    return o->sack_count < room ? o->sack_count : room;
}

size_t tcp_opt_length(const struct tcp_opts *o)
{
    size_t len = tcp_opt_length_without_sack(o);
    if (UT_LIKELY((o->sack_count | o->accecn) == 0))
        return len;
    len += tcp_opt_accecn_fitting(o, len);
    size_t blocks = tcp_opt_sack_fitting(o, len);
    return blocks == 0 ? len : len + 4 + blocks * TCP_OPT_SACK_BLOCK_LEN;
}

static uint8_t *tcp_opt_put_ts(uint8_t *to, const struct tcp_opts *o)
{
    put_be32(to, TCP_OPT_NOP_NOP_TS);
    if (o->sack_permitted) {
        to[0] = TCP_OPT_SACK_PERMITTED;
        to[1] = 2;
    }
    put_be32(to + 4, o->ts_val);
    put_be32(to + 8, o->ts_ecr);
    return to + TCP_OPT_TS_BLOCK_LEN;
}

static uint8_t *tcp_opt_put_sack(uint8_t *to, const struct tcp_opts *o, size_t blocks)
{
    put_be32(to, 0x01010502u + (uint32_t)(blocks * TCP_OPT_SACK_BLOCK_LEN));
    to += 4;
    for (size_t i = 0; i < blocks; i++, to += TCP_OPT_SACK_BLOCK_LEN) {
        put_be32(to, o->sack[i].left.v);
        put_be32(to + 4, o->sack[i].right.v);
    }
    return to;
}

static uint8_t *tcp_opt_put_accecn(uint8_t *to, const struct tcp_opts *o, size_t len)
{
    uint32_t fields = o->accecn - 1u, bare = 2 + 3 * fields;
    memset(to, TCP_OPT_NOP, len - bare);
    uint8_t *at = to + (len - bare);
    at[0] = o->accecn_order ? TCP_OPT_ACCECN_1 : TCP_OPT_ACCECN_0;
    at[1] = (uint8_t)bare;
    for (uint32_t i = 0; i < fields; i++) {
        at[2 + 3 * i] = (uint8_t)(o->accecn_field[i] >> 16);
        put_be16(at + 3 + 3 * i, (uint16_t)o->accecn_field[i]);
    }
    return to + len;
}

/* The one option that is padded behind, the last of its segment, as Linux has it. */
static uint8_t *tcp_opt_put_fast_open(uint8_t *to, const struct tcp_opts *o)
{
    size_t len = tcp_opt_fast_open_length(o);
    memset(to, TCP_OPT_NOP, len);
    to[0] = TCP_OPT_FAST_OPEN;
    to[1] = (uint8_t)(2 + o->cookie_len);
    if (o->cookie_len != 0)
        memcpy(to + 2, o->cookie, o->cookie_len);
    return to + len;
}

size_t tcp_opt_write(uint8_t *to, const struct tcp_opts *o)
{
    uint8_t *start = to;
    if (o->has_mss) {
        put_be32(to, 0x02040000u | o->mss);
        to += 4;
    }
    if (o->has_ts) {
        to = tcp_opt_put_ts(to, o);
    } else if (o->sack_permitted) {
        put_be32(to, 0x01010402u);
        to += 4;
    }
    if (o->has_wscale) {
        put_be32(to, 0x01030300u | o->wscale);
        to += 4;
    }
    bool is_fast = o->has_mss && o->has_fast_open;
    if (UT_LIKELY((o->sack_count | o->accecn | is_fast) == 0))
        return (size_t)(to - start);
    size_t fast = is_fast ? tcp_opt_fast_open_length(o) : 0;
    size_t accecn = tcp_opt_accecn_fitting(o, (size_t)(to - start) + fast);
    if (accecn != 0)
        to = tcp_opt_put_accecn(to, o, accecn);
    size_t blocks = tcp_opt_sack_fitting(o, (size_t)(to - start) + fast);
    if (blocks != 0)
        to = tcp_opt_put_sack(to, o, blocks);
    if (is_fast)
        to = tcp_opt_put_fast_open(to, o);
    return (size_t)(to - start);
}
