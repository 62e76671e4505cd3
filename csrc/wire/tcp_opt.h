/* tcp_opt.h: TCP options, parsed into and written from one struct.
 *
 * RFC 9293 3.2 (MSS), 7323 (window scale, timestamps), 2018 (SACK), 7413 (Fast Open), 9768
 * (AccECN). Unknown kinds with a length are skipped (MUST-6); an illegal length makes the whole
 * segment DROP_tcp_options (MUST-7), but for Fast Open, which is then as if it were not there.
 */
#ifndef UT_WIRE_TCP_OPT_H
#define UT_WIRE_TCP_OPT_H

#include "base/base.h"
#include "base/drops.h"
#include "base/seq32.h"

#define TCP_OPT_MAX_LEN 40
#define TCP_OPT_MAX_SACK 4
#define TCP_COOKIE_MIN 4 /* RFC 7413 4.1.1 */
#define TCP_COOKIE_MAX 16

struct tcp_sack_block {
    seq32 left, right; /* [left, right) */
};

struct tcp_opts {
    bool has_mss, has_wscale, has_ts, sack_permitted;
    bool has_fast_open; /* of SYNs only */
    uint8_t cookie_len; /* 0: one is asked for */
    uint16_t mss;
    uint8_t wscale; /* as received: may exceed 14 */
    uint8_t sack_count;
    uint8_t accecn;       /* fields of an AccECN option, plus one; 0 = none */
    uint8_t accecn_order; /* 0: kind 172, 1: kind 174 */
    uint32_t ts_val, ts_ecr;
    struct tcp_sack_block sack[TCP_OPT_MAX_SACK];
    uint32_t accecn_field[3]; /* in the wire's order */
    const uint8_t *cookie;    /* in the segment it came with, or where it is kept */
};

/* `p[0..len)` is the option part of a header. Resets *out first. The common established-state
 * block (NOP NOP timestamp, 12 bytes) is recognised by one compare. */
enum drop_reason tcp_opt_parse(const uint8_t *p, size_t len, struct tcp_opts *out);
/* Writes at most TCP_OPT_MAX_LEN bytes in Linux's order (SYN with timestamps: MSS, SACK-permitted,
 * TS, NOP, WS; SYN without: MSS, NOP, NOP, SACK-permitted, NOP, WS; else NOP NOP TS, AccECN,
 * NOP NOP SACK), padded to a multiple of 4; drops SACK blocks that do not fit. Fast Open is written
 * beside an MSS only, which every SYN has. Returns the length. */
size_t tcp_opt_write(uint8_t *to, const struct tcp_opts *o);
/* The length tcp_opt_write would return. */
size_t tcp_opt_length(const struct tcp_opts *o);
/* The same, without an AccECN option and with no more than so many SACK blocks. */
uint32_t tcp_opt_length_beside(const struct tcp_opts *o, uint32_t sack_most);
/* Of an AccECN option with so many fields, padded. */
static inline uint32_t tcp_opt_accecn_length(uint32_t fields) { return (2 + 3 * fields + 3) & ~3u; }

#endif
