/* half.c: SYN-RECEIVED of a passive open in 40 bytes (RFC 9293 3.10.7.4; RFC 4987 3.4).
 *
 * Called by stack/listen.c, which owns the entries, their timers and their addresses.
 */
#include "tcp/half.h"

#include "tcp/accecn.h"
#include "tcp/accecn_option.h"
#include "tcp/arrive.h"
#include "tcp/ecn.h"
#include "tcp/options.h"
#include "tcp/window.h"

uint8_t half_window_scale(uint32_t buffer) { return window_scale_for(buffer); }

void half_init(struct tcp_half *h, const struct tcp_env *env, const struct tcp_seg *syn,
               const struct tcp_start *start)
{
    const struct tcp_params *p = &env->params;
    const struct tcp_opts *o = &syn->opt;
    *h = (struct tcp_half){
        .iss = start->iss,
        .irs = syn->seq,
        .ts_offset = start->ts_offset,
        .rcv_wnd = u32_min(env->rcv.rings.size / 2, 65535),
        .peer_mss = o->has_mss ? o->mss : 0,
        .path = start->path,
        .snd_wnd = syn->wnd,
        .ts_ok = p->use_timestamps && o->has_ts,
        .sack_ok = p->use_sack && o->sack_permitted,
        .wscale_ok = p->use_window_scale && o->has_wscale,
        .ecn = ecn_accept(p, syn) & 3u,
        .syn_ecn = syn->ip_ecn & 3u,
        .knows_accurate = ecn_knows_accurate(p->ecn),
        .cookie_due = o->has_fast_open,
    };
    h->ts_recent = h->ts_ok ? o->ts_val : 0;
    if (h->wscale_ok) {
        h->snd_wscale = (uint8_t)u32_min(o->wscale, TCP_MAX_WSCALE);
        h->rcv_wscale = window_scale_for(env->rcv.rings.size);
    }
}

/* 9768-02, 3168-01: what the SYN,ACK says of ECN. */
static uint16_t synack_flags(const struct tcp_half *h)
{
    if (h->ecn == ECN_ACCURATE)
        return h->is_plain ? 0 : accecn_code(h->syn_ecn);
    return h->ecn == ECN_CLASSIC ? TCP_ECE : 0;
}

void half_retry(struct tcp_half *h)
{
    /* 9768-26: the second has no flags, and the mode stays. */
    if (h->retransmitted && h->ecn == ECN_ACCURATE)
        h->is_plain = h->barred = true;
    h->retransmitted = h->no_option = true; /* the first has no option */
}

void half_synack(const struct tcp_half *h, uint16_t mss_max, ns_t now, struct tcp_seg *out)
{
    *out = (struct tcp_seg){.flags = TCP_SYN | TCP_ACK | synack_flags(h),
                            .seq = h->iss,
                            .ack = seq_add(h->irs, 1),
                            .wnd = (uint16_t)h->rcv_wnd};
    /* RFC 7323 2.2, RFC 2018 2: only what the SYN offered is answered. */
    out->opt = (struct tcp_opts){.has_mss = true,
                                 .mss = (uint16_t)u32_min(h->path.mss, mss_max),
                                 .has_wscale = h->wscale_ok,
                                 .wscale = h->rcv_wscale,
                                 .sack_permitted = h->sack_ok,
                                 .has_ts = h->ts_ok,
                                 .ts_ecr = h->ts_recent};
    if (h->ts_ok)
        out->opt.ts_val = options_ts_now(h->ts_offset, now);
    if (h->ecn == ECN_ACCURATE && !h->no_option)
        accecn_option_first(&out->opt); /* 9768-25 */
}

void half_ack(const struct tcp_half *h, ns_t now, struct tcp_seg *out)
{
    uint16_t ace = h->ecn == ECN_ACCURATE ? accecn_counter(0) : 0;
    *out = (struct tcp_seg){.flags = TCP_ACK | ace,
                            .seq = seq_add(h->iss, 1),
                            .ack = seq_add(h->irs, 1),
                            .wnd = (uint16_t)(h->rcv_wnd >> (h->wscale_ok ? h->rcv_wscale : 0))};
    if (h->ts_ok) {
        out->opt.has_ts = true;
        out->opt.ts_val = options_ts_now(h->ts_offset, now);
        out->opt.ts_ecr = h->ts_recent;
    }
}

/* DEVIATES RFC 9293 3.10.7.4: a bare ACK that is not acceptable, by its number or its timestamp, is
 * not answered, because an entry has no budget for answers, and two such ends would never stop
 * (SEC-13). The SYN,ACK, sent again until the entry ends, tells the peer as much. */
static struct tcp_verdict half_unacceptable(const struct tcp_seg *seg, enum drop_reason why)
{
    return seg_len(seg) == 0 ? verdict_drop(why) : (struct tcp_verdict){VERDICT_ACK, why, false};
}

struct tcp_verdict half_arrive(struct tcp_half *h, const struct tcp_seg *seg)
{
    seq32 rcv_nxt = seq_add(h->irs, 1);
    bool rst = seg->flags & TCP_RST;
    if (h->ts_ok && !rst && seg->opt.has_ts && (int32_t)(seg->opt.ts_val - h->ts_recent) < 0)
        return half_unacceptable(seg, DROP_tcp_paws);
    if ((seg->flags & TCP_SYN) && seq_eq(seg->seq, h->irs) && !(seg->flags & TCP_ACK) && !rst) {
        if (!accecn_syn_again(h, seg))
            return (struct tcp_verdict){VERDICT_CLOSED, DROP_tcp_ecn_mixed, true};
        h->cookie_due &= seg->opt.has_fast_open;
        return (struct tcp_verdict){VERDICT_ACK, DROP_tcp_syn_again, false}; /* the SYN again */
    }
    if (h->ts_ok && !rst && !seg->opt.has_ts)
        return verdict_drop(DROP_tcp_no_timestamp); /* RFC 7323 3.2 */
    uint32_t len = seg_len(seg);
    bool in_window = seq_in(seg->seq, rcv_nxt, h->rcv_wnd) ||
                     (len > 0 && seq_in(seq_add(seg->seq, len - 1), rcv_nxt, h->rcv_wnd));
    if (rst && !seq_in(seg->seq, rcv_nxt, h->rcv_wnd)) /* RFC 5961 3.2: its own number counts */
        return verdict_drop(DROP_tcp_rst_outside);
    if (!in_window)
        return half_unacceptable(seg, DROP_tcp_seq_outside);
    if (rst) {
        if (seq_eq(seg->seq, rcv_nxt)) /* MUST-11: back to LISTEN, and nobody is told */
            return verdict_of(VERDICT_CLOSED);
        return (struct tcp_verdict){VERDICT_ACK, DROP_tcp_rst_challenged, false};
    }
    /* DEVIATES RFC 9293 3.10.7.4: a SYN within the window of a passive open is answered as in the
     * synchronized states (RFC 5961 4.2) and not by going back to LISTEN, because anybody's guess
     * would undo a handshake. */
    if (seg->flags & TCP_SYN)
        return (struct tcp_verdict){VERDICT_ACK, DROP_tcp_syn_challenged, false};
    if (!(seg->flags & TCP_ACK))
        return verdict_drop(DROP_tcp_no_ack_bit);
    if (!seq_eq(seg->ack, seq_add(h->iss, 1)))
        return verdict_drop_reset(DROP_tcp_bad_handshake_ack);
    return verdict_of(VERDICT_PROMOTE);
}
