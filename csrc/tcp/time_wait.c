/* time_wait.c: TIME-WAIT in a few words (RFC 9293 3.6.1 and 3.10.7.4; RFC 1337 3; RFC 6191 2).
 *
 * Called by stack/timewait.c, which owns the record, its 2 MSL and its addresses.
 */
#include "tcp/time_wait.h"

#include "tcp/arrive.h"
#include "tcp/options.h"

void tw_init(struct tcp_tw *w, const struct tcb *t)
{
    *w = (struct tcp_tw){
        .snd_nxt = t->snd_nxt,
        .rcv_nxt = t->rcv_nxt,
        .ts_recent = t->ts_recent,
        .ts_offset = t->ts_offset,
        .wnd = (uint16_t)u32_min(
            seq_len(t->rcv_adv, t->rcv_nxt) >> (t->wscale_ok ? t->rcv_wscale : 0), 65535),
        .ts_ok = t->ts_ok,
        .ace = t->ecn.accurate ? t->ack_flags >> TCP_ACE_SHIFT & TCP_ACE_MASK : 0,
    };
}

/* RFC 9293 3.6.1 (MAY-2), RFC 6191 2: is this SYN surely newer than the old connection? */
static bool syn_is_new(const struct tcp_tw *w, const struct tcp_seg *seg)
{
    if (w->ts_ok && seg->opt.has_ts && seg->opt.ts_val != w->ts_recent)
        return (int32_t)(seg->opt.ts_val - w->ts_recent) > 0;
    return seq_gt(seg->seq, w->rcv_nxt);
}

struct tcp_verdict tw_arrive(struct tcp_tw *w, const struct tcp_seg *seg)
{
    struct tcp_verdict answer = {VERDICT_ACK, DROP_tcp_time_wait, false};
    if (seg->flags & TCP_RST)
        return verdict_drop(DROP_tcp_time_wait); /* RFC 1337 3, fix F1: no assassination */
    if (seg->flags & TCP_SYN)
        return !(seg->flags & (TCP_ACK | TCP_FIN)) && syn_is_new(w, seg) ? verdict_of(VERDICT_SYN)
                                                                         : answer;
    /* DEVIATES RFC 9293 3.10.7.4: what takes no sequence space is not answered, acceptable or not,
     * because a record has no budget for answers, and two that disagree would never stop (SEC-13).
     * Whoever still waits for our ACK sends a FIN. */
    if (seg_len(seg) == 0)
        return verdict_drop(DROP_tcp_time_wait);
    if (w->ts_ok && seg->opt.has_ts && (int32_t)(seg->opt.ts_val - w->ts_recent) < 0)
        return answer;
    /* EV-15: the peer did not hear our last ACK. */
    if ((seg->flags & TCP_FIN) && seq_eq(seq_add(seg->seq, seg_len(seg)), w->rcv_nxt))
        return verdict_of(VERDICT_RESTART);
    return answer;
}

void tw_ack(const struct tcp_tw *w, ns_t now, struct tcp_seg *out)
{
    *out = (struct tcp_seg){.flags = (uint16_t)(TCP_ACK | w->ace << TCP_ACE_SHIFT),
                            .seq = w->snd_nxt,
                            .ack = w->rcv_nxt,
                            .wnd = w->wnd};
    if (w->ts_ok) {
        out->opt.has_ts = true;
        out->opt.ts_val = options_ts_now(w->ts_offset, now);
        out->opt.ts_ecr = w->ts_recent;
    }
}
