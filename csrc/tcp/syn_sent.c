/* syn_sent.c: a segment in SYN-SENT (RFC 9293 3.10.7.3).
 */
#include "tcp/arrive.h"
#include "tcp/ecn.h"
#include "tcp/options.h"
#include "tcp/steps.h"
#include "tcp/timers.h"
#include "tcp/window.h"

static void note_irs(struct tcb *t, const struct tcp_seg *seg, ns_t now)
{
    t->irs = seg->seq;
    t->rcv_nxt = t->rcv_adv = t->rcv_up = seq_add(seg->seq, 1);
    t->last_ack_sent = t->rcv_nxt;
    options_learn(t, seg, now);
    ecn_learn(t, seg);
    /* The window of the SYN we sent was offered from here on. */
    t->rcv_adv = seq_add(t->rcv_nxt, t->rcv_wnd);
    /* RFC 7323 2.2 (MUST): a SYN's window is not scaled. */
    t->snd_wnd = t->max_snd_wnd = seg->wnd;
    t->snd_wl1 = seg->seq;
    t->snd_wl2 = seg->ack;
}

/* RFC 5681 3.1, RFC 6928 2 (MUST): a SYN lost more than once leaves one segment; RFC 6298 5.7: the
 * measured or default RTO is not trusted then. */
static void syn_acked(struct tcb *t, const struct tcp_seg *seg, ns_t now)
{
    const struct tcp_params *p = &t->env->params;
    if (t->rtt.timed_since != TIME_NEVER)
        rtt_on_sample(&t->rtt, time_between(t->rtt.timed_since, now), now, t->rto_min, p->rto_max);
    else if (t->syn_retransmitted)
        t->rtt.rto = u64_min(u64_max(t->rtt.rto, 3 * NS_PER_S), p->rto_max);
    t->rtt.timed_since = TIME_NEVER;
    t->rtt.backoff = 0;
    if (t->syn_tries > 2)
        cc_lost_syns(&t->cc, t->snd_mss);
    timers_stop_rexmt(t);
    t->syn_queued = false;
    if (t->fast_open.on)
        fast_open_opened(t, seg);
}

struct tcp_verdict arrive_syn_sent(struct tcb *t, const struct tcp_seg *seg, ns_t now)
{
    bool ack = seg->flags & TCP_ACK;
    /* first: the ACK must be of our SYN */
    if (ack && !(seq_gt(seg->ack, t->iss) && seq_leq(seg->ack, t->snd_nxt)))
        return seg->flags & TCP_RST ? verdict_drop(DROP_tcp_bad_handshake_ack)
                                    : verdict_drop_reset(DROP_tcp_bad_handshake_ack);
    /* second: RST, believed only with that ACK (RFC 5961 3.2) */
    if (seg->flags & TCP_RST)
        return ack ? close_with(t, UT_E_REFUSED) : verdict_drop(DROP_tcp_rst_no_ack);
    /* fourth: SYN */
    if (!(seg->flags & TCP_SYN))
        return verdict_drop(DROP_tcp_listen_not_syn);
    if (seg->flags & TCP_FIN)
        return verdict_drop(DROP_tcp_flags);
    note_irs(t, seg, now);
    if (!ack) {
        /* simultaneous open: RFC 9293 3.5 (MUST-10), figure 7 */
        tcp_set_state(t, TCP_SYN_RECEIVED);
        t->syn_queued = true;
        t->rexmt_since = TIME_NEVER;
        return verdict_continue();
    }
    t->snd_una = seg->ack;
    syn_acked(t, seg, now);
    t->ack_now = true;
    t->events |= TCP_EV_CONNECTED | TCP_EV_WRITABLE;
    tcp_set_state(t, TCP_ESTABLISHED);
    if (t->fin_queued) /* CLOSE came before: fast_open_outlives_close */
        tcp_set_state(t, TCP_FIN_WAIT_1);
    struct arrival a = {seg, seq_add(seg->seq, 1), seg->data, seg->len, false, false, now};
    if (a.len > t->rcv_wnd)
        a.len = t->rcv_wnd;
    return a.len > 0 ? arrive_text(t, &a) : verdict_continue();
}
