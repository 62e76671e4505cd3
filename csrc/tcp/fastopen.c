/* fastopen.c: RFC 7413 4.2, both roles. Called by the stack when a connection begins, by output.c
 * for SYNs, by syn_sent.c and ack.c when they are acknowledged, by user.c.
 */
#include "tcp/fastopen.h"

#include "tcp/half.h"
#include "tcp/output.h"
#include "tcp/steps.h"
#include "tcp/timers.h"
#include "tcp/user.h"

void fast_open_ask(struct tcb *t) { t->fast_open.on = true; }

void fast_open_wait(struct tcb *t, const struct tcp_cookie *cookie, uint16_t mss, ns_t now)
{
    t->fast_open.on = t->fast_open.waits = true;
    t->cookie = *cookie;
    t->snd_mss = (uint16_t)u32_min(mss, t->mtu.path_mss); /* until the SYN,ACK names the peer's */
    t->delack_deadline = time_after(now, FAST_OPEN_PATIENCE); /* nothing is there to acknowledge */
    t->events |= TCP_EV_CONNECTED | TCP_EV_WRITABLE;
}

void fast_open_accept(struct tcb *t, const struct tcp_half *half, const struct tcp_seg *syn,
                      const struct tcp_cookie *fresh, ns_t now)
{
    tcp_open_from_half(t, half, now);
    timers_stop_rexmt(t); /* it starts when the SYN,ACK leaves */
    t->snd_una = seq_add(t->iss, 1);
    t->fast_open.on = true;
    t->syn_queued = true;
    if (fresh != NULL)
        t->cookie = *fresh;
    struct arrival a = {.seg = syn, .seq = t->rcv_nxt, .data = syn->data, .now = now};
    a.len = u32_min(syn->len, t->rcv_wnd);
    if (a.len > 0) {
        struct tcp_verdict v = arrive_text(t, &a);
        if (v.reason != DROP_none)
            tcp_count_drop(t->env, v.reason); /* the peer will send it again */
    }
    if (a.len < syn->len)
        tcp_count_drop(t->env, DROP_tcp_window_overrun);
    t->data_segs_in += syn->len > 0;
    t->segs_in++;
    t->keepalive.heard = now;
    t->fast_open.data_acked = !seq_eq(t->rcv_nxt, seq_add(t->irs, 1));
}

/* RFC 7413 4.2.2: any data up to the server's MSS. As Linux, with room for any options: what one of
 * the two gets through a path the other does. */
static void carry_data(struct tcb *t, struct tcp_out *out)
{
    uint32_t room = t->snd_mss - TCP_OPT_MAX_LEN;
    uint32_t len = u32_min(sendq_held(&t->sendq), room);
    if (len == 0)
        return;
    out->data = sendq_view(&t->sendq, &t->env->snd_rings, 0, len);
    out->seg.len = len;
    t->fast_open.data_sent = true;
    t->data_segs_out++;
}

void fast_open_fill_syn(struct tcb *t, struct tcp_out *out)
{
    t->fast_open.waits = false;
    bool with_ack = out->seg.flags & TCP_ACK;
    /* 7413-07, 7413-08 (SHOULD): what is sent again has neither option nor data, should it be these
     * that do not get through. A SYN,ACK of simultaneous open never has. */
    if (t->syn_tries != 0 || with_ack != t->passive || (with_ack && t->cookie.len == 0))
        return;
    out->seg.opt.has_fast_open = true;
    out->seg.opt.cookie_len = t->cookie.len;
    out->seg.opt.cookie = t->cookie.bytes;
    if (!with_ack && t->cookie.len != 0)
        carry_data(t, out);
}

void fast_open_opened(struct tcb *t, const struct tcp_seg *seg)
{
    t->cookie = (struct tcp_cookie){0};
    if (t->passive || !t->fast_open.data_sent)
        return;
    uint32_t sent = seq_len(t->snd_nxt, t->iss) - 1, acked = seq_len(seg->ack, t->iss) - 1;
    sendq_ack(&t->sendq, &t->env->snd_rings, acked);
    t->fast_open.data_acked = acked > 0;
    if (acked < sent) {
        /* 7413-10 (SHOULD): with the ACK of the SYN,ACK. The peer has none of it, so it counts as
         * new data, and snd_nxt is the highest number that is of use to anybody. */
        t->retransmits++;
        t->bytes_retransmitted += sent - acked;
        t->fast_open.again = (uint16_t)(sent - acked);
    }
    t->snd_una = t->snd_nxt = seg->ack;
}

void fast_open_release(struct tcb *t)
{
    if (!t->fast_open.waits)
        return;
    t->fast_open.waits = false;
    t->delack_deadline = TIME_NEVER;
    t->syn_queued = true;
}

bool fast_open_outlives_close(const struct tcb *t)
{
    if (!t->fast_open.on)
        return false;
    bool is_half_close = t->cookie.len != 0 && !t->user_gone; /* who was told it is connected */
    return t->fast_open.data_sent || sendq_held(&t->sendq) > 0 || is_half_close;
}
