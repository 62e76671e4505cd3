/* ack.c: fifth, check the ACK field (RFC 9293 3.10.7.4; RFC 5961 5.2; RFC 5681; RFC 6298 5).
 *
 * Called by arrive.c for SYN-RECEIVED and synchronized states.
 */
#include "tcp/arrive.h"
#include "tcp/ecn.h"
#include "tcp/note.h"
#include "tcp/options.h"
#include "tcp/prr.h"
#include "tcp/rate.h"
#include "tcp/recovery.h"
#include "tcp/sack.h"
#include "tcp/sent.h"
#include "tcp/steps.h"
#include "tcp/timers.h"
#include "tcp/times.h"
#include "tcp/user.h"
#include "tcp/window.h"

/* SYN-RECEIVED: the ACK of our SYN establishes the connection. */
static struct tcp_verdict ack_in_syn_received(struct tcb *t, const struct arrival *a)
{
    const struct tcp_params *p = &t->env->params;
    const struct tcp_seg *seg = a->seg;
    if (!(seq_gt(seg->ack, t->iss) && seq_leq(seg->ack, t->snd_nxt)))
        return verdict_drop_reset(DROP_tcp_bad_handshake_ack); /* EV-11 */
    t->snd_una = seq_add(t->iss, 1);
    t->snd_wnd = (uint32_t)seg->wnd << (seg->flags & TCP_SYN ? 0 : t->snd_wscale);
    t->max_snd_wnd = u32_max(t->max_snd_wnd, t->snd_wnd);
    t->snd_wl1 = seg->seq;
    t->snd_wl2 = seg->ack;
    t->syn_queued = false;
    if (t->rtt.timed_since != TIME_NEVER)
        rtt_on_sample(&t->rtt, time_between(t->rtt.timed_since, a->now), a->now, t->rto_min,
                      p->rto_max);
    t->rtt.timed_since = TIME_NEVER;
    t->rtt.backoff = 0;
    timers_stop_rexmt(t);
    if (t->fast_open.on)
        fast_open_opened(t, seg);
    t->events |= TCP_EV_CONNECTED | TCP_EV_WRITABLE;
    tcp_set_state(t, TCP_ESTABLISHED);
    if (t->fin_queued) /* CLOSE came before (RFC 9293 3.10.4, SYN-RECEIVED) */
        tcp_set_state(t, TCP_FIN_WAIT_1);
    return verdict_continue();
}

static void ack_take_sample(struct tcb *t, const struct arrival *a)
{
    const struct tcp_params *p = &t->env->params;
    const struct tcp_opts *o = &a->seg->opt;
    ns_t sample;
    if (t->rtt.timed_since != TIME_NEVER) {
        if (!seq_gt(a->seg->ack, t->rtt.timed_seq))
            return;
        sample = time_between(t->rtt.timed_since, a->now);
        t->rtt.timed_since = TIME_NEVER;
        /* RFC 5927 7.2, maxsizeacked: one segment of a round trip stands for all. */
        t->mtu.acked_mss = (uint16_t)u32_max(t->mtu.acked_mss, t->rtt.timed_len);
    } else if (t->ts_ok && o->has_ts && o->ts_ecr != 0 && t->rtt.backoff > 0) {
        /* RFC 7323 4.1: the echo tells which transmission is acknowledged, so that even a
         * retransmission yields a sample; coarse (1 ms), hence only where Karn forbids the other.
         */
        uint32_t ticks = options_ts_now(t->ts_offset, a->now) - o->ts_ecr;
        sample = u64_max(1, ticks) * NS_PER_MS;
        if (ticks > INT32_MAX || sample > p->rto_max)
            return;
    } else {
        return;
    }
    rtt_on_sample(&t->rtt, sample, a->now, t->rto_min, p->rto_max);
    t->rack.tlp_sampled = true;
    t->restarted_at = TIME_NEVER;
    tcp_note(t, NOTE_METRICS, sample, 0);
}

static void ack_tell_user(struct tcb *t, const struct arrival *a)
{
    if (t->write_blocked)
        tcp_tell_writable(t);
    if (t->user_gone && t->wait_deadline != TIME_NEVER)
        t->wait_deadline = time_after(a->now, t->env->params.orphan_timeout);
}

/* Of the bytes acknowledged those that SACK or duplicate ACKs had not told of: a burst of reordered
 * segments is no reason to grow by all of them at once. */
static uint32_t ack_newly_delivered(const struct tcb *t, const struct tcp_news *n)
{
    if (t->rack.ecn_echoed)
        return 0; /* RFC 3168 6.1.2 (SHOULD NOT): nor by what an ACK with ECE acknowledges */
    if (t->sack_ok)
        return u32_min(n->acked, n->delivered);
    return n->acked - u32_min(n->acked, (uint32_t)t->dup_acks * t->snd_mss);
}

/* What an ACK with news is to congestion control. Fast recovery keeps it from algorithms that leave
 * cwnd to it (cc.h) and measure nothing. */
static void ack_tell_cc(struct tcb *t, ns_t now, uint32_t acked, uint32_t delivered)
{
    if (t->recovery_mode == RECOVERY_FAST && !cc_wants_rate(&t->cc))
        return;
    struct cc_ack told;
    struct rate_sample sample;
    told.now = now;
    told.srtt = t->rtt.srtt;
    told.una = tcb_una_offset(t);
    told.nxt = told.una + tcb_flight(t);
    told.acked = acked;
    told.delivered = delivered;
    told.mss = t->snd_mss - options_data_length(t);
    /* In slow start half of cwnd in use will be all of it a round trip later. */
    told.was_cwnd_limited = t->was_cwnd_limited || (t->cc.cwnd < t->cc.ssthresh &&
                                                    t->cc.cwnd < 2 * (uint64_t)t->max_flight);
    told.rtt = t->cc.wants_rtt ? times_rtt(t, now) : 0;
    told.rate = NULL;
    if (cc_wants_rate(&t->cc)) {
        told.rtt = sent_rtt(t, now);
        told.pipe = recovery_pipe(t);
        rate_sample_take(t, delivered, now, &sample);
        told.rate = &sample;
        told.lost = (uint32_t)sample.newly_lost;
        told.in_recovery = t->recovery_mode == RECOVERY_FAST;
    }
    cc_on_ack(&t->cc, &told);
    if (UT_UNLIKELY(t->cc.is_limited))
        rate_mark_app_limited(t);
}

/* An ACK that SACKs something without acknowledging more. */
static void ack_tell_cc_sacked(struct tcb *t, ns_t now, const struct tcp_news *n)
{
    /* DEVIATES RFC 5681 3.1: where the path was seen to reorder, cwnd grows with what is SACKed
     * outside recovery, not only with what is acknowledged, because a SACK is no sign of loss
     * there, and many ACKs come as such. Each byte counts once (ack_newly_delivered). */
    bool grows = t->rack.reordering_seen > 0 && t->recovery_mode == RECOVERY_NONE &&
                 !t->rack.ecn_echoed && !prr_has_marks(t);
    if (grows || cc_wants_rate(&t->cc))
        ack_tell_cc(t, now, grows ? n->delivered : 0, n->delivered);
}

/* Nothing is missing, suspected or being probed for, and this ACK reports nothing of the kind. */
static bool is_quiet(const struct tcb *t, const struct arrival *a)
{
    return t->trouble == NULL && a->seg->opt.sack_count == 0 &&
           !(t->rack.tlp_out || t->rack.mtu_probe_out || t->rack.ecn_echoed) &&
           t->recovery_mode == RECOVERY_NONE && t->dup_acks == 0;
}

static void ack_advance(struct tcb *t, const struct arrival *a, uint32_t acked)
{
    t->snd_una = a->seg->ack;
    uint32_t data = tcb_fin_acked(t) && t->fin_sent && acked > 0 ? acked - 1 : acked;
    data = u32_min(data, sendq_held(&t->sendq));
    sendq_ack(&t->sendq, &t->env->snd_rings, t->sendq.una + data);
}

/* What the ACK says of losses, before congestion control hears of it. */
static struct tcp_news ack_scoreboard(struct tcb *t, const struct arrival *a, uint32_t acked)
{
    struct tcp_news news = {
        .seg = a->seg, .now = a->now, .una = tcb_una_offset(t) - acked, .acked = acked};
    sack_advance(t, &news);
    if (t->sack_ok && a->seg->opt.sack_count > 0)
        sack_update(t, &news);
    return news;
}

/* Several ACKs of one instant are the rule: what the first of them did to the timers stands. */
static bool timers_stand(const struct tcb *t, ns_t now)
{
    return t->restarted_at == now && tcb_flight(t) > t->snd_mss &&
           (t->rexmt_kind == REXMT_PROBE || t->rexmt_kind == REXMT_DATA);
}

static void ack_timers(struct tcb *t, ns_t now, bool quiet)
{
    t->soft_error = 0;
    times_acked(t);
    if (quiet && timers_stand(t, now))
        return;
    t->restarted_at = quiet ? now : TIME_NEVER;
    t->rexmt_since = TIME_NEVER; /* answered: R2 counts anew */
    if (tcb_flight(t) == 0) {
        timers_stop_rexmt(t); /* RFC 6298 5.2 */
        times_forget(t);
    } else if (t->snd_wnd > 0) {
        timers_restart_rexmt(t, now); /* RFC 6298 5.3 */
    }
}

/* FlightSize before the ACKs of this instant: what had been in the network when it said what they
 * say. They are taken in together, and nothing leaves between them. */
static void note_flight(struct tcb *t, ns_t now)
{
    if (t->flight_before_at == now)
        return;
    t->flight_before_at = now;
    t->flight_before = tcb_flight(t);
    if (t->trouble != NULL)
        t->trouble->sacked_before =
            (uint32_t)sack_bytes_in(t, tcb_una_offset(t), tcb_nxt_offset(t));
}

/* Snd.una moves: data, and the FIN last. */
static void ack_new(struct tcb *t, const struct arrival *a, uint32_t acked)
{
    bool quiet = is_quiet(t, a);
    struct tcp_news news = {.delivered = acked};
    note_flight(t, a->now);
    ack_advance(t, a, acked);
    if (!quiet)
        news = ack_scoreboard(t, a, acked);
    else if (t->log != NULL)
        sent_note_delivered(t, tcb_una_offset(t) - acked, tcb_una_offset(t));
    ack_take_sample(t, a);
    if (t->log != NULL)
        sent_advance(t, tcb_una_offset(t));
    if (quiet || !prr_has_marks(t))
        ack_tell_cc(t, a->now, quiet ? acked : ack_newly_delivered(t, &news), news.delivered);
    if (t->log != NULL && (tcb_flight(t) == 0 || !t->cc.wants_log))
        sent_forget(t);
    if (quiet)
        t->rexmt_now = false;
    else
        recovery_on_ack(t, &news);
    ack_timers(t, a->now, quiet);
    ack_tell_user(t, a);
}

static bool has_more_to_send(const struct tcb *t)
{
    return sendq_held(&t->sendq) > 0 || (t->fin_queued && !tcb_fin_acked(t));
}

/* The closed window (RFC 9293 3.8.6.1): probed, and left with whatever the probe put in flight. */
static void ack_mind_window(struct tcb *t, const struct arrival *a)
{
    if (t->snd_wnd == 0) {
        if (!has_more_to_send(t))
            return;
        if (t->rexmt_kind != REXMT_PERSIST) {
            t->rtt.backoff = 0;
            t->rexmt_now = false;
            timers_start_persist(t, a->now);
        } else {
            t->rexmt_since = a->now; /* MUST-37: answered probes keep the connection open */
        }
        return;
    }
    if (t->rexmt_kind == REXMT_PERSIST) {
        timers_stop_rexmt(t);
        t->rtt.backoff = 0;
        t->probe_now = false;
        if (tcb_flight(t) > 0) {
            t->rexmt_now = true; /* the probe's byte came when there was no room for it */
            timers_start_rexmt(t, a->now);
        }
    }
}

static bool is_duplicate(const struct tcb *t, const struct arrival *a, bool window_changed)
{
    /* RFC 5681 2: (a) data outstanding, (b) no data, (c) no SYN or FIN, (d) same ACK, (e) same
     * window. */
    return tcb_flight(t) > 0 && a->seg->len == 0 && !(a->seg->flags & (TCP_SYN | TCP_FIN)) &&
           seq_eq(a->seg->ack, t->snd_una) && !window_changed && t->rexmt_kind != REXMT_PERSIST &&
           t->rexmt_kind != REXMT_NONE;
}

/* The same ACK again, with or without news of what arrived beyond it. Or the handshake's, to a
 * server that sent before (RFC 7413): no timer runs for that yet. */
static void ack_again(struct tcb *t, const struct arrival *a, bool window_changed)
{
    struct tcp_news news = {.seg = a->seg, .now = a->now, .una = tcb_una_offset(t)};
    if (t->sack_ok && a->seg->opt.sack_count > 0) {
        if (t->dup_acks == 0) /* later ones know what limited transmit added */
            note_flight(t, a->now);
        sack_update(t, &news);
    }
    news.duplicate = is_duplicate(t, a, window_changed);
    /* RFC 5681 3.2 (MUST), 5681-15: with SACK, a duplicate that reports nothing new is no sign. */
    bool counts = news.sacked || (!t->sack_ok && news.duplicate);
    t->dup_acks_in += counts;
    if (UT_UNLIKELY(news.delivered > 0))
        ack_tell_cc_sacked(t, a->now, &news);
    if (counts || news.has_dsack || t->rack.tlp_out || t->recovery_mode == RECOVERY_RTO) {
        recovery_on_ack(t, &news);
        timers_choose_rexmt(t, a->now);
    }
    if (t->rexmt_kind == REXMT_NONE && tcb_flight(t) > 0)
        timers_start_rexmt(t, a->now);
}

/* One that a later one has overtaken: what it SACKs has arrived all the same. */
static void ack_late(struct tcb *t, const struct arrival *a)
{
    struct tcp_news news = {.seg = a->seg, .now = a->now, .una = tcb_una_offset(t)};
    if (tcb_flight(t) > 0)
        sack_update(t, &news);
    if (!news.sacked && !news.has_dsack)
        return;
    if (news.delivered > 0)
        ack_tell_cc_sacked(t, a->now, &news);
    recovery_on_ack(t, &news);
    timers_choose_rexmt(t, a->now);
}

/* What the acknowledgment of our FIN leads to. */
static struct tcp_verdict ack_of_fin(struct tcb *t, ns_t now)
{
    if (!tcb_fin_acked(t))
        return verdict_continue();
    switch (t->state) {
    case TCP_FIN_WAIT_1:
        t->events |= TCP_EV_ALL_SENT;
        tcp_set_state(t, TCP_FIN_WAIT_2);
        if (t->user_gone)
            t->wait_deadline = time_after(now, t->env->params.orphan_timeout);
        return verdict_continue();
    case TCP_CLOSING:
        t->events |= TCP_EV_ALL_SENT | TCP_EV_CLOSED;
        timers_stop_all(t);
        tcp_set_state(t, TCP_TIME_WAIT);
        return verdict_continue();
    case TCP_LAST_ACK:
        t->events |= TCP_EV_ALL_SENT;
        return close_with(t, 0);
    default:
        return verdict_continue();
    }
}

static seq32 oldest_ack(const struct tcb *t)
{
    uint64_t acked = t->sendq.una + tcb_fin_acked(t);
    return seq_sub(t->snd_una, (uint32_t)u64_min(t->max_snd_wnd, acked));
}

struct tcp_verdict arrive_ack(struct tcb *t, const struct arrival *a)
{
    const struct tcp_seg *seg = a->seg;
    if (t->state == TCP_SYN_RECEIVED) {
        struct tcp_verdict v = ack_in_syn_received(t, a);
        if (v.kind != VERDICT_CONTINUE)
            return v;
    }
    /* RFC 5961 5.2 (MUST): SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT, and never before the first
     * byte there was (attack 22). */
    if (seq_gt(seg->ack, t->snd_nxt) ||
        (seq_lt(seg->ack, t->snd_una) && seq_lt(seg->ack, oldest_ack(t)))) {
        if (challenge_may_leave(t, a->now))
            t->ack_now = true;
        return verdict_drop(DROP_tcp_ack_outside);
    }
    if (UT_UNLIKELY(t->ecn.on))
        ecn_arrive(t, a);
    if (UT_UNLIKELY(seq_lt(seg->ack, t->snd_una))) {
        if (t->sack_ok && seg->opt.sack_count > 0)
            ack_late(t, a);
        return verdict_continue(); /* its text may still be good */
    }
    uint32_t acked = seq_len(seg->ack, t->snd_una);
    bool window_changed = window_take(t, seg->seq, seg->ack, seg->wnd);
    if (acked > 0)
        ack_new(t, a, acked);
    else
        ack_again(t, a, window_changed);
    if (window_changed && t->write_blocked)
        tcp_tell_writable(t); /* what waited unsent may leave now */
    ack_mind_window(t, a);
    return ack_of_fin(t, a->now);
}
