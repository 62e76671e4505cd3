/* user.c: the user's calls (RFC 9293 3.10.1 to 3.10.6). Called by the stack, which then pulls
 * output.
 */
#include "tcp/user.h"

#include "tcp/ecn.h"
#include "tcp/half.h"
#include "tcp/mtu.h"
#include "tcp/options.h"
#include "tcp/output.h"
#include "tcp/steps.h"
#include "tcp/timers.h"
#include "tcp/window.h"

void tcp_open(struct tcb *t, ns_t now)
{
    (void)now; /* timers start when the SYN leaves */
    t->syn_queued = !t->fast_open.waits;
    tcp_set_state(t, TCP_SYN_SENT);
}

void tcp_open_from_half(struct tcb *t, const struct tcp_half *half, ns_t now)
{
    t->passive = true;
    t->snd_nxt = seq_add(half->iss, 1);
    t->irs = half->irs;
    t->rcv_nxt = t->last_ack_sent = t->rcv_up = seq_add(half->irs, 1);
    t->rcv_adv = seq_add(t->rcv_nxt, half->rcv_wnd);
    t->rcv_wnd = half->rcv_wnd;
    mtu_agree(t, half->peer_mss);
    t->snd_wnd = t->max_snd_wnd = half->snd_wnd;
    t->snd_wl1 = half->irs;
    t->snd_wl2 = half->iss;
    t->ts_ok = half->ts_ok;
    t->sack_ok = half->sack_ok;
    t->rack_on = half->sack_ok && t->env->params.use_rack; /* 8985-01 (MUST) */
    t->wscale_ok = half->wscale_ok;
    t->snd_wscale = half->wscale_ok ? half->snd_wscale : 0;
    t->rcv_wscale = half->wscale_ok ? half->rcv_wscale : 0;
    t->ts_recent = half->ts_recent;
    t->ts_recent_at = now;
    t->syn_retransmitted = half->retransmitted;
    ecn_begin_from_half(t, half);
    cc_start(&t->cc, t->snd_mss - options_data_length(t));
    tcp_set_state(t, TCP_SYN_RECEIVED);
    timers_start_rexmt(t, now);
}

/* Why a connection that is CLOSED takes no more calls. */
static int why_closed(const struct tcb *t, int otherwise)
{
    return t->error != 0 ? -t->error : -otherwise;
}

/* With TCP_NOTSENT_LOWAT, what tcp_send may take: until so much is unsent beside what may leave at
 * once; never a sliver of that, so there may be twice as much. */
static uint64_t unsent_room(const struct tcb *t)
{
    uint64_t room = (uint64_t)tcp_output_room(t) + t->notsent_lowat;
    uint32_t unsent = tcp_output_unsent(t);
    return unsent < room ? u64_max(room - unsent, t->notsent_lowat) : 0;
}

void tcp_tell_writable(struct tcb *t)
{
    if (!t->write_blocked || sendq_free(&t->sendq) < u32_min(t->snd_lowat, t->sendq.limit))
        return;
    if (t->notsent_lowat != 0 && tcp_output_unsent(t) > tcp_output_room(t) + t->notsent_lowat / 2)
        return;
    t->write_blocked = false;
    t->events |= TCP_EV_WRITABLE;
}

int64_t tcp_send(struct tcb *t, const void *data, size_t len, ns_t now)
{
    (void)now;
    if (t->fin_queued)
        return t->state == TCP_CLOSED ? why_closed(t, UT_E_CLOSING) : -UT_E_CLOSING;
    if (t->state == TCP_CLOSED)
        return why_closed(t, UT_E_ABORTED);
    if (len == 0)
        return 0;
    size_t may = UT_UNLIKELY(t->notsent_lowat != 0) ? u64_min(len, unsent_room(t)) : len;
    int64_t n = sendq_put(&t->sendq, &t->env->snd_rings, data, may);
    if (n > 0)
        t->unpushed = t->more_follows;
    /* Full to the brim counts too: who waits for room is to be told. */
    if (n >= 0 && ((size_t)n < len || sendq_held(&t->sendq) >= t->sendq.limit))
        t->write_blocked = true;
    return n != 0 ? n : -UT_E_WOULD_BLOCK;
}

static void after_read(struct tcb *t)
{
    if (reasm_readable(&t->reasm) == 0 && (t->fin_received || t->state == TCP_CLOSED))
        t->events |= TCP_EV_READABLE; /* the end is next: nobody need ask for it */
    if (t->urgent_pending && !seq_gt(t->rcv_up, seq_sub(t->rcv_nxt, reasm_readable(&t->reasm))))
        t->urgent_pending = false;
    if (!t->fin_received && t->state >= TCP_ESTABLISHED && window_update_is_due(t))
        t->ack_now = true;
}

static const struct ranges *runs_of(const struct tcb *t)
{
    return t->trouble != NULL ? &t->trouble->runs : NULL;
}

int64_t tcp_receive(struct tcb *t, void *to, uint32_t max, ns_t now)
{
    (void)now;
    uint32_t n = reasm_take(&t->reasm, &t->env->rcv, runs_of(t), to, max);
    if (n > 0) {
        after_read(t);
        return n;
    }
    if (t->state == TCP_CLOSED && t->error != 0)
        return -t->error; /* MUST-12: FIN and RST are told apart */
    if (t->fin_received || t->state == TCP_CLOSED)
        return -UT_E_END_OF_STREAM;
    if (max > 0)
        fast_open_release(t); /* who waits for the peer to begin */
    return -UT_E_WOULD_BLOCK;
}

uint32_t tcp_receive_lend(struct tcb *t, uint32_t max, uint8_t **at)
{
    const uint32_t n = reasm_peek(&t->reasm, &t->env->rcv, max, at);
    t->reasm.lent = n & REASM_LEND_MAX; /* no more than that */
    return n;
}

void tcp_receive_done(struct tcb *t, uint32_t len, ns_t now)
{
    (void)now;
    reasm_consume(&t->reasm, &t->env->rcv, runs_of(t), u32_min(len, t->reasm.lent));
    after_read(t);
}

void tcp_set_congestion(struct tcb *t, const struct cc_ops *ops)
{
    if (ops != t->cc.ops)
        cc_choose(&t->cc, ops, t->snd_mss - options_data_length(t));
}

int tcp_shutdown(struct tcb *t, ns_t now)
{
    (void)now;
    if (t->fin_queued)
        return 0;
    switch (t->state) {
    case TCP_SYN_SENT:
        if (!fast_open_outlives_close(t)) {
            close_with(t, UT_E_ABORTED);
            return 0;
        }
        fast_open_release(t);
        break;
    case TCP_ESTABLISHED:
        tcp_set_state(t, TCP_FIN_WAIT_1);
        break;
    /* DEVIATES RFC 9293 3.10.4: in SYN-RECEIVED the FIN waits for ESTABLISHED, also when nothing
     * was given to send, because before its SYN is acknowledged a peer need not look at it. */
    case TCP_SYN_RECEIVED:
    case TCP_CLOSE_WAIT: /* LAST-ACK when the FIN leaves */
        break;
    default:
        return 0;
    }
    t->fin_queued = true;
    return 0;
}

bool tcp_close_must_reset(const struct tcb *t)
{
    if ((t->state < TCP_ESTABLISHED && !tcb_is_early(t)) || t->state == TCP_TIME_WAIT)
        return false;
    /* RFC 9293 3.6.1 (SHLD-3): what the user will never read must not look delivered. What lies
     * beyond a gap does not: nobody acknowledged it, and a reset would cost data of our own. */
    return reasm_readable(&t->reasm) > 0;
}

void tcp_close(struct tcb *t, ns_t now)
{
    t->user_gone = true;
    tcp_shutdown(t, now);
    if (t->state != TCP_CLOSED && t->state != TCP_TIME_WAIT)
        t->wait_deadline = time_after(now, t->env->params.orphan_timeout);
}

void tcp_abort(struct tcb *t, int error)
{
    if (t->state != TCP_CLOSED)
        close_with(t, error);
}

int tcp_set_rcv_limit(struct tcb *t, uint32_t bytes)
{
    uint32_t size = t->env->rcv.rings.size;
    uint32_t most = size - window_spare(size, t->rcv_wscale);
    if (bytes == 0)
        return -UT_E_INVALID;
    /* What was offered stays offered (SHLD-14): the limit takes hold as the window is used up. */
    t->reasm.limit = u32_min(bytes, most);
    return 0;
}

void tcp_set_notsent_lowat(struct tcb *t, uint32_t bytes)
{
    t->notsent_lowat = bytes;
    tcp_tell_writable(t);
}

int tcp_set_snd_limit(struct tcb *t, uint32_t bytes)
{
    if (bytes == 0)
        return -UT_E_INVALID;
    t->sendq.limit = u32_min(bytes, t->env->snd_rings.size);
    t->snd_lowat = u32_max(1, u32_min(t->snd_lowat, t->sendq.limit / 4));
    return 0;
}
