/* output.c: the next segment to send: SYN, retransmission, new data, FIN, probe, or a bare ACK.
 *
 * Called by stack/egress.c until it returns false. What bounds new data: the peer's window and
 * cwnd (RFC 5681 2, MUST), Nagle (RFC 9293 3.7.4) and the sender's silly-window avoidance
 * (3.8.6.2.1). A description may carry many segments: the link or egress cuts it at `mss`.
 */
#include "tcp/output.h"

#include "tcp/accecn_option.h"
#include "tcp/ecn.h"
#include "tcp/options.h"
#include "tcp/pace.h"
#include "tcp/prr.h"
#include "tcp/rack.h"
#include "tcp/recovery.h"
#include "tcp/sent.h"
#include "tcp/timers.h"
#include "tcp/times.h"
#include "tcp/tlp.h"
#include "tcp/window.h"

/* Not before ESTABLISHED: tcp_shutdown. */
static bool fin_is_due(const struct tcb *t)
{
    return t->fin_queued && !t->fin_sent && t->state >= TCP_ESTABLISHED;
}

/* RFC 9293 3.7.1 (MUST-16): what the options of the next segment leave of it. */
static uint32_t mss_now(const struct tcb *t) { return t->snd_mss - options_next_length(t); }

/* Everything but sequence number, data and the bits that go with them. */
static void fill(struct tcb *t, ns_t now, seq32 seq, uint16_t flags, struct tcp_out *out)
{
    out->seg.flags = flags | t->ack_flags;
    out->seg.seq = seq;
    out->seg.ack = t->rcv_nxt;
    out->seg.wnd = window_offer(t, false);
    out->seg.urp = 0;
    out->seg.ip_ecn = ECN_NOT_ECT; /* 3168-10, 3168-11: whatever is not new data */
    out->seg.gso_size = 0;
    out->seg.data = NULL;
    out->seg.len = 0;
    options_for_segment(t, now, &out->seg.opt);
    out->mss = (uint16_t)mss_now(t); /* while it is known what these options are */
    if (UT_UNLIKELY(out->seg.opt.accecn != 0))
        accecn_option_sent(t, &out->seg.opt);
    t->dsacks_out += t->dsack_due;
    t->dsack_due = false; /* 2883-02: each is reported once */
    out->data.len[0] = out->data.len[1] = 0;
    t->ack_now = false;
    t->delack_deadline = TIME_NEVER;
    t->last_ack_sent = t->rcv_nxt;
    t->segs_out++;
}

/* Puts [lo, lo + len) of the stream into a filled description. */
static void carry(struct tcb *t, uint64_t lo, uint32_t len, struct tcp_out *out)
{
    if (len == 0)
        return;
    out->data = sendq_view(&t->sendq, &t->env->snd_rings, lo, len);
    out->seg.len = len;
    t->data_segs_out++;
    /* RFC 9293 3.9.1.2 (MUST-61): PSH on the last of what is queued; and on the last of a batch
     * that the link segments, so that a receiver that merges segments does not wait for more. */
    if ((lo + len == t->sendq.end && (!t->unpushed || t->probe_now)) || len > out->mss)
        out->seg.flags |= TCP_PSH;
}

static bool output_syn(struct tcb *t, ns_t now, struct tcp_out *out)
{
    bool with_ack = t->state == TCP_SYN_RECEIVED;
    *out = (struct tcp_out){.mss = t->snd_mss};
    out->seg.flags = (with_ack ? TCP_SYN | TCP_ACK : TCP_SYN) | ecn_syn_flags(t, with_ack);
    out->seg.seq = t->iss;
    if (with_ack)
        out->seg.ack = t->rcv_nxt;
    out->seg.wnd = window_offer(t, true);
    options_for_syn(t, with_ack, now, &out->seg.opt);
    if (t->fast_open.on)
        fast_open_fill_syn(t, out);
    t->snd_nxt = seq_max(t->snd_nxt, seq_add(t->iss, 1 + out->seg.len));
    t->last_ack_sent = t->rcv_nxt;
    t->delack_deadline = TIME_NEVER;
    t->syn_queued = t->ack_now = false;
    if (t->syn_tries < UINT8_MAX)
        t->syn_tries++;
    if (t->syn_tries == 1) {
        t->rtt.timed_since = now;
        t->rtt.timed_seq = t->iss;
    }
    timers_start_rexmt(t, now);
    t->segs_out++;
    return true;
}

static void send_again(struct tcb *t, ns_t now, const struct range *run, struct tcp_out *out)
{
    uint64_t data_end = u64_min(run->hi, t->sendq.end);
    uint32_t len = run->lo < data_end ? (uint32_t)(data_end - run->lo) : 0;
    bool fin = t->fin_sent && run->hi > t->sendq.end;
    if (run->lo == 0)
        accecn_option_give_up(t); /* 9768-26: the first data had one */
    fill(t, now, tcb_snd_seq(t, run->lo), fin ? TCP_FIN : 0, out);
    carry(t, run->lo, len, out);
    recovery_sent(t, run, now);
    if (recovery_has_more(t) && run->hi < t->sendq.end)
        out->seg.flags &= (uint16_t)~TCP_PSH; /* the next one says it */
    if (t->log != NULL)
        sent_note_again(t, run->lo, run->hi, now);
    times_sent_again(t);
    (void)times_note_size(t, len + fin, out->mss);
    pace_sent(t, len, now);
    t->retransmits++;
    t->bytes_retransmitted += len;
    t->last_sent = now;
    if (run->lo == tcb_una_offset(t))
        timers_restart_rexmt(t, now); /* 6298-09 (MUST): an RTO from the last sending of it */
    else
        timers_start_rexmt(t, now);
}

static bool output_again(struct tcb *t, ns_t now, uint32_t limit, struct tcp_out *out)
{
    struct range run;
    if (t->recovery_mode == RECOVERY_NONE && !t->rexmt_now)
        return false;
    uint32_t mss = mss_now(t), room = t->rexmt_now ? UINT32_MAX : pace_room(t, mss, now);
    if (room == 0 || !recovery_next(t, mss, u32_min(limit, room), &run))
        return false;
    send_again(t, now, &run, out);
    return true;
}

/* New bytes the peer's window takes; 0 when it shrank below what is in flight. */
static uint32_t usable_window(const struct tcb *t)
{
    uint32_t flight = tcb_flight(t);
    return t->snd_wnd > flight ? t->snd_wnd - flight : 0;
}

static uint32_t cwnd_room(const struct tcb *t)
{
    uint32_t pipe = recovery_pipe(t);
    return t->cc.cwnd > pipe ? t->cc.cwnd - pipe : 0;
}

uint32_t tcp_output_room(const struct tcb *t) { return u32_min(usable_window(t), cwnd_room(t)); }

static uint32_t unsent(const struct tcb *t)
{
    return t->fin_sent ? 0 : (uint32_t)(t->sendq.end - tcb_nxt_offset(t));
}

uint32_t tcp_output_unsent(const struct tcb *t)
{
    /* Before, snd_nxt counts a SYN that is not acknowledged. */
    return t->state < TCP_ESTABLISHED && !tcb_is_early(t) ? sendq_held(&t->sendq) : unsent(t);
}

/* RFC 9293 3.7.4 holds back a small segment while anything is in flight; as RFC 9293 A.3 has it,
 * after Minshall, while another small one is. */
static bool nagle_minds(const struct tcb *t)
{
    return !t->env->params.nagle_minshall || t->times == NULL ||
           seq_gt(t->times->small_end, t->snd_una);
}

/* How many new bytes may leave in one description; 0 = none now. `avail` bytes wait. */
static uint32_t sendable(struct tcb *t, uint32_t avail, uint32_t mss, uint32_t limit)
{
    t->is_cwnd_limited = false;
    uint32_t usable = usable_window(t), room = cwnd_room(t), flight = tcb_flight(t);
    if (room < mss && room < avail && flight > 0)
        room = 0; /* a fraction of a segment is not worth cwnd's last bytes */
    t->is_cwnd_limited = room < u32_min(avail, usable);
    /* At least two batches in flight, so that the ACKs of one let the next go. */
    limit = u32_min(limit, t->cc.cwnd / 2);
    uint32_t len = u32_min(u32_min(avail, u32_max(limit, mss)), u32_min(usable, room));
    bool nagle = (t->corked || (!t->nodelay && flight > 0 && nagle_minds(t))) && !t->fin_queued;
    if (len > mss && (len < avail || nagle))
        return len - len % mss;
    if (len >= mss || (len > 0 && t->probe_now))
        return len;
    /* RFC 9293 3.8.6.2.1 (MUST-38): (2) all of it, or (3) half the largest window ever offered */
    if (len > 0 && !nagle && (len == avail || len >= t->max_snd_wnd / 2))
        return len;
    return 0;
}

static void restart_after_idle(struct tcb *t, ns_t now)
{
    if (tcb_flight(t) != 0 || t->last_sent == 0 || now <= t->last_sent || t->snd_wnd == 0)
        return; /* with a closed window nothing is about to be sent */
    struct cc_loss state = {now, 0, t->snd_mss - options_data_length(t)};
    cc_on_idle(&t->cc, &state, now - t->last_sent, t->rtt.rto); /* RFC 5681 4.1 */
}

static void send_fin(struct tcb *t)
{
    t->fin_sent = true;
    t->fin_seq = t->snd_nxt;
    t->snd_nxt = seq_add(t->snd_nxt, 1);
    if (t->state == TCP_CLOSE_WAIT)
        tcp_set_state(t, TCP_LAST_ACK);
}

/* Sends `len` new bytes from snd_nxt, and the FIN with them, in a description that is filled. */
static void send_filled(struct tcb *t, ns_t now, uint32_t len, bool fin, struct tcp_out *out)
{
    uint64_t lo = tcb_nxt_offset(t);
    carry(t, lo, len, out);
    if (UT_UNLIKELY(t->ecn.on))
        ecn_mark_new(t, out);
    if (t->rtt.timed_since == TIME_NEVER && t->recovery_mode == RECOVERY_NONE && !t->probe_now) {
        t->rtt.timed_since = now; /* RFC 6298 3 (MUST): one at a time, never of a retransmission */
        t->rtt.timed_seq = t->snd_nxt;
        t->rtt.timed_len = len >= out->mss ? t->snd_mss : (uint16_t)len;
    }
    times_sent(t, t->snd_nxt, seq_add(t->snd_nxt, len), now);
    if (times_note_size(t, len + fin, out->mss))
        t->times->small_end = seq_add(t->snd_nxt, len);
    prr_on_sent(t, len);
    if (t->cc.wants_log)
        sent_note_new(t, lo, lo + len + fin, now);
    t->snd_nxt = seq_add(t->snd_nxt, len);
    t->flight_before_at = TIME_NEVER; /* FlightSize is another one now */
    if (fin) {
        t->fin_was_alone = len == 0;
        send_fin(t);
    }
    t->last_sent = now;
}

static void send_new(struct tcb *t, ns_t now, uint32_t len, bool fin, struct tcp_out *out)
{
    fill(t, now, t->snd_nxt, fin ? TCP_FIN : 0, out);
    send_filled(t, now, len, fin, out);
}

/* RFC 7661 4.1, over a round trip and not an ACK: whether cwnd was the limit, else how much of it
 * was used at most. ACKs that come in one batch all find the same. */
static void cwnd_used(struct tcb *t)
{
    uint32_t flight = tcb_flight(t);
    if (!t->is_cwnd_limited && !seq_geq(t->snd_una, t->cwnd_use_end) &&
        (t->was_cwnd_limited || flight <= t->max_flight))
        return;
    t->was_cwnd_limited = t->is_cwnd_limited;
    t->max_flight = flight;
    t->cwnd_use_end = t->snd_nxt;
}

static bool output_new(struct tcb *t, ns_t now, uint32_t limit, struct tcp_out *out)
{
    uint32_t avail = unsent(t);
    if (avail == 0 && !fin_is_due(t))
        return false;
    restart_after_idle(t, now);
    uint32_t mss = mss_now(t), room = pace_room(t, mss, now);
    uint32_t len = avail > 0 ? sendable(t, avail, mss, u32_min(limit, room)) : 0;
    if (room == 0 && len > 0)
        return false; /* the pace deadline runs */
    bool fin = fin_is_due(t) && len == avail && usable_window(t) > len;
    if (len == 0 && !fin) {
        if (t->is_cwnd_limited && avail > 0)
            cwnd_used(t);
        if (tcb_flight(t) == 0 && t->rexmt_kind == REXMT_NONE)
            timers_start_persist(t, now); /* a closed or silly window: RFC 9293 3.8.6.1 */
        return false;
    }
    /* In a burst the timers stand, but for the second segment: a flight of one has its own PTO. */
    bool runs = t->rexmt_kind == REXMT_PROBE && t->last_sent == now && tcb_flight(t) > 2 * mss;
    send_new(t, now, len, fin, out);
    cwnd_used(t);
    t->probe_now = false;
    pace_sent(t, len, now);
    if (!runs)
        timers_start_rexmt(t, now); /* RFC 6298 5.1 */
    return true;
}

/* TLP_send_probe() of RFC 8985 7.3 (8985-15): new data if there is some and the peer takes it, else
 * the last segment again. cwnd is not asked: there is one probe at most. */
static bool output_tail_probe(struct tcb *t, ns_t now, struct tcp_out *out)
{
    t->rack.tlp_now = false;
    if (tcb_flight(t) == 0 || t->recovery_mode != RECOVERY_NONE)
        return false;
    uint32_t mss = mss_now(t), usable = usable_window(t);
    uint32_t avail = unsent(t);
    uint32_t len = u32_min(avail, mss);
    bool fin = fin_is_due(t) && len == avail && usable > len;
    bool resent = usable < len || (len == 0 && !fin);
    if (resent) {
        struct range last = tlp_last(t, mss);
        send_again(t, now, &last, out);
    } else {
        send_new(t, now, len, fin, out);
    }
    tlp_sent(t, resent);
    timers_restart_rexmt(t, now); /* 8985-16 (MUST) */
    return true;
}

/* RFC 4821 7.5: new data in one segment larger than any before. */
static bool output_mtu_probe(struct tcb *t, ns_t now, struct tcp_out *out)
{
    uint32_t len = mtu_probe_due(t, unsent(t), usable_window(t), cwnd_room(t));
    if (len == 0 || pace_room(t, len, now) == 0)
        return false;
    mtu_probe_sent(t, len);
    fill(t, now, t->snd_nxt, 0, out);
    out->mss = (uint16_t)len; /* whole: 8899-03, DF is set */
    send_filled(t, now, len, false, out);
    cwnd_used(t);
    pace_sent(t, len, now);
    timers_start_rexmt(t, now);
    return true;
}

/* What leaves before all else. */
static bool output_probes(struct tcb *t, ns_t now, struct tcp_out *out)
{
    if (t->rack.tlp_now && output_tail_probe(t, now, out))
        return true;
    return t->rack.mtu_due && output_mtu_probe(t, now, out);
}

/* RFC 9293 3.8.6.1 (MUST-36): at least one octet into the closed window; or nothing, with a number
 * that the peer has acknowledged and must answer (3.10.7.4), as Linux has it. */
static bool output_probe(struct tcb *t, ns_t now, struct tcp_out *out)
{
    bool waits = tcb_flight(t) > 0 || unsent(t) > 0 || fin_is_due(t);
    if (t->env->params.bare_window_probes && t->snd_wnd == 0 && waits) {
        fill(t, now, seq_add(t->snd_una, UINT32_MAX), 0, out);
    } else if (tcb_flight(t) > 0) {
        uint64_t una = tcb_snd_offset(t, t->snd_una);
        bool fin = una == t->sendq.end;
        fill(t, now, t->snd_una, fin ? TCP_FIN : 0, out);
        carry(t, una, fin ? 0 : 1, out);
        if (t->log != NULL)
            sent_note_again(t, una, una + 1, now);
        t->retransmits++;
    } else if (unsent(t) > 0 || fin_is_due(t)) {
        send_new(t, now, unsent(t) > 0 ? 1 : 0, unsent(t) == 0, out);
    } else {
        t->probe_now = false;
        return false;
    }
    t->probe_now = false;
    return true;
}

/* Data and FIN, old and new. */
static bool output_data(struct tcb *t, ns_t now, uint32_t limit, struct tcp_out *out)
{
    if (UT_UNLIKELY(t->rack.tlp_now || t->rack.mtu_due || t->rack.ecn_waits)) {
        if (ecn_must_wait(t, now))
            return false;
        if (output_probes(t, now, out))
            return true;
    }
    return output_again(t, now, limit, out) || output_new(t, now, limit, out);
}

static bool output_opening(struct tcb *t, ns_t now, struct tcp_out *out)
{
    if (t->fast_open.waits && sendq_held(&t->sendq) > 0)
        fast_open_release(t);
    if (t->syn_queued)
        return output_syn(t, now, out);
    if (t->state == TCP_SYN_SENT || !t->ack_now)
        return false;
    fill(t, now, t->snd_nxt, 0, out);
    return true;
}

bool tcp_output_next(struct tcb *t, ns_t now, uint32_t limit, struct tcp_out *out)
{
    if (t->state == TCP_CLOSED || t->state == TCP_LISTEN)
        return false;
    /* RFC 7413 4.2.2: a server that took the SYN's data may answer before the handshake is over. */
    if (UT_UNLIKELY(t->state < TCP_ESTABLISHED) && (t->syn_queued || !tcb_is_early(t)))
        return output_opening(t, now, out);
    if (t->state != TCP_TIME_WAIT) {
        if (output_data(t, now, limit, out))
            return true;
        if (t->probe_now && output_probe(t, now, out))
            return true;
    }
    if (t->keepalive_now) {
        /* RFC 9293 3.8.4: a number the peer has seen, which it must answer; no data (SHLD-27). */
        t->keepalive_now = false;
        fill(t, now, seq_add(t->snd_nxt, UINT32_MAX), 0, out);
        return true;
    }
    if (!t->ack_now)
        return false;
    fill(t, now, t->snd_nxt, 0, out);
    return true;
}

bool tcp_output_is_due(const struct tcb *t)
{
    if (t->ack_now || t->syn_queued || t->probe_now || t->keepalive_now || t->rexmt_now ||
        t->rack.tlp_now || fin_is_due(t))
        return true;
    if (t->state < TCP_ESTABLISHED)
        return t->fast_open.on && sendq_held(&t->sendq) > 0;
    if (t->state == TCP_TIME_WAIT)
        return false;
    return t->recovery_mode != RECOVERY_NONE || unsent(t) > 0;
}
