/* cookie.c: SYN cookies (RFC 4987 3.6); the layout stands in cookie.h.
 *
 * Called by listen.c when the half-open queue is full. The hash covers the connection's name, the
 * peer's ISN, the minute and the MSS class, so a cookie is good for one handshake and two minutes.
 */
#include "stack/cookie.h"

#include "stack/egress.h"
#include "stack/isn.h"
#include "tcp/accecn.h"

#define COOKIE_PERIOD (64 * NS_PER_S)
#define COOKIE_PERIODS 2u /* how many a cookie lives */
#define COOKIE_TS_BITS 6
#define COOKIE_TS_MASK ((UINT32_C(1) << COOKIE_TS_BITS) - 1)
#define COOKIE_SACK 16u
#define COOKIE_ECN 32u
#define COOKIE_NO_WSCALE 15u

/* Rounded down to one of these; the first is below any default (RFC 9293 3.7.1, MUST-15). */
static const uint16_t cookie_mss[8] = {216, 536, 1220, 1360, 1440, 1460, 4312, 8960};

static uint32_t cookie_period(const ut_stack *s) { return (uint32_t)(s->now / COOKIE_PERIOD); }

static uint32_t cookie_value(const ut_stack *s, const struct flow_key *key, seq32 irs,
                             uint32_t period, uint32_t mss_class)
{
    struct {
        uint8_t key[FLOW_KEY_LEN];
        seq32 irs;
        uint32_t period, mss_class;
    } message;
    memcpy(message.key, key, FLOW_KEY_LEN);
    message.irs = irs;
    message.period = period;
    message.mss_class = mss_class;
    uint32_t hash = (uint32_t)siphash24(&s->secrets.cookie, &message, sizeof message);
    return (period & 31) << 27 | mss_class << 24 | (hash & 0xffffff);
}

static uint32_t cookie_mss_class(const ut_stack *s, const struct rx *rx)
{
    uint32_t mss =
        rx->seg.opt.has_mss ? rx->seg.opt.mss : stack_path_to(s, &rx->key.remote).default_mss;
    uint32_t class = UT_COUNTOF(cookie_mss) - 1;
    while (class > 0 && cookie_mss[class] > mss)
        class --;
    return class;
}

static struct tcp_start cookie_start(ut_stack *s, const struct rx *rx, seq32 iss)
{
    return (struct tcp_start){iss, isn_timestamp_offset(s, &rx->key),
                              stack_path_to(s, &rx->key.remote)};
}

void cookie_send(ut_stack *s, struct rx *rx)
{
    uint32_t period = cookie_period(s);
    seq32 iss = seq_make(cookie_value(s, &rx->key, rx->seg.seq, period, cookie_mss_class(s, rx)));
    struct tcp_half half;
    struct tcp_seg synack;
    struct tcp_start start = cookie_start(s, rx, iss);
    half_init(&half, &s->env, &rx->seg, &start);
    if (!half.ts_ok) {
        half.sack_ok = half.wscale_ok = false; /* nowhere to remember them */
        if (half.ecn == ECN_CLASSIC)
            half.ecn = ECN_NONE;
    }
    half_synack(&half, s->env.params.mss_max, s->now, &synack);
    if (half.ts_ok) {
        uint32_t told = (half.sack_ok ? COOKIE_SACK : 0) |
                        (half.ecn == ECN_CLASSIC ? COOKIE_ECN : 0) |
                        (half.wscale_ok ? half.snd_wscale : COOKIE_NO_WSCALE);
        uint32_t ts = (synack.opt.ts_val & ~COOKIE_TS_MASK) | told;
        /* Never ahead of the clock: what follows would look old (RFC 7323 5.3). */
        if ((int32_t)(ts - synack.opt.ts_val) > 0)
            ts -= COOKIE_TS_MASK + 1;
        synack.opt.ts_val = ts;
    }
    s->cookies_until = period + COOKIE_PERIODS;
    stack_count(s, COUNTER_cookies_sent);
    egress_segment(s, &rx->key, &synack, rx_station(s, rx));
}

bool cookie_is_possible(const ut_stack *s, const struct rx *rx)
{
    return s->cookies_until > cookie_period(s) &&
           (rx->seg.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
}

/* The SYN as far as the cookie remembers it. */
static struct tcp_seg cookie_syn(const struct rx *rx, uint32_t mss_class)
{
    struct tcp_seg syn = {.flags = TCP_SYN, .seq = seq_sub(rx->seg.seq, 1), .wnd = rx->seg.wnd};
    syn.opt.has_mss = true;
    syn.opt.mss = cookie_mss[mss_class];
    if (rx->seg.opt.has_ts) {
        uint32_t told = rx->seg.opt.ts_ecr & COOKIE_TS_MASK;
        syn.opt.has_ts = true;
        syn.opt.ts_val = rx->seg.opt.ts_val;
        syn.opt.sack_permitted = (told & COOKIE_SACK) != 0;
        syn.flags |= told & COOKIE_ECN ? TCP_ECE | TCP_CWR : 0;
        syn.opt.has_wscale = (told & 15) != COOKIE_NO_WSCALE;
        syn.opt.wscale = (uint8_t)(told & 15);
    }
    /* RFC 9768 5.1: only who asked for its feedback has such a value there. */
    if (!(syn.flags & TCP_ECE) && accecn_field(&rx->seg) > 1)
        syn.flags |= TCP_FLAGS_ECN;
    return syn;
}

bool cookie_redeem(ut_stack *s, const struct rx *rx, struct tcp_half *out)
{
    seq32 iss = seq_sub(rx->seg.ack, 1), irs = seq_sub(rx->seg.seq, 1);
    uint32_t told = iss.v, mss_class = told >> 24 & 7, now = cookie_period(s);
    uint32_t age = (now - (told >> 27)) & 31;
    if (age >= COOKIE_PERIODS || age > now ||
        told != cookie_value(s, &rx->key, irs, now - age, mss_class))
        return false;
    struct tcp_seg syn = cookie_syn(rx, mss_class);
    struct tcp_start start = cookie_start(s, rx, iss);
    half_init(out, &s->env, &syn, &start);
    return true;
}
