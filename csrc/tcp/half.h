/* half.h: a passive open before its third segment, held compactly (RFC 4987 3.4: a SYN cache
 * entry).
 *
 * It behaves as SYN-RECEIVED (RFC 9293 3.10.7.4); when the ACK comes, the stack makes a tcb of it.
 */
#ifndef UT_TCP_HALF_H
#define UT_TCP_HALF_H

#include "tcp/env.h"
#include "tcp/seq.h"
#include "tcp/verdict.h"
#include "wire/tcp.h"

struct tcp_half {
    seq32 iss, irs;
    uint32_t ts_recent, ts_offset;
    uint32_t rcv_wnd;
    uint16_t peer_mss; /* as the SYN said; 0 = no option */
    struct tcp_path path;
    uint16_t snd_wnd; /* of the SYN, unscaled */
    uint8_t snd_wscale, rcv_wscale;
    bool ts_ok : 1, sack_ok : 1, wscale_ok : 1, retransmitted : 1;
    uint8_t ecn : 2;         /* enum ecn_mode */
    uint8_t syn_ecn : 2;     /* the codepoint of the latest SYN */
    bool knows_accurate : 1; /* RFC 9768 would have been agreed to */
    bool barred : 1;         /* a SYN or SYN,ACK had none of the flags: no ECT */
    bool is_plain : 1;       /* the SYN,ACK has none of the flags now */
    bool no_option : 1;      /* it was sent again: options may not pass */
    bool cookie_due : 1;     /* of Fast Open, with the SYN,ACK */
};

/* From an acceptable SYN; offers the stack's receive buffer. */
void half_init(struct tcp_half *h, const struct tcp_env *env, const struct tcp_seg *syn,
               const struct tcp_start *start);
/* The SYN,ACK was not answered in time: what the next one leaves out (9768-26). */
void half_retry(struct tcp_half *h);
/* The SYN,ACK; ports are the caller's. */
void half_synack(const struct tcp_half *h, uint16_t mss_max, ns_t now, struct tcp_seg *out);
/* The ACK that answers what is not acceptable; ports are the caller's. */
void half_ack(const struct tcp_half *h, ns_t now, struct tcp_seg *out);
/* VERDICT_PROMOTE (give the segment to the new tcb), VERDICT_ACK (DROP_tcp_syn_again: send the
 * SYN,ACK again; else half_ack), VERDICT_CLOSED (reset by the peer: back to LISTEN, silently),
 * VERDICT_DROP. With `reset` in any case: answer with RST. */
struct tcp_verdict half_arrive(struct tcp_half *h, const struct tcp_seg *seg);
/* The window scale we offer for a receive buffer of this size (RFC 7323 2.3). */
uint8_t half_window_scale(uint32_t buffer);

#endif
