/* info.c: fills ut_info and the counters. Called by api/ for whoever looks.
 */
#include "stack/info.h"

#include "stack/half_open.h"
#include "stack/path.h"
#include "stack/timewait.h"
#include "tcp/accecn_option.h"
#include "tcp/rack.h"
#include "tcp/recovery.h"
#include "tcp/sent.h"
#include "tcp/timers.h"
#include "tcp/times.h"
#include "wire/checksum.h"

/* One set of numbers inside and outside. */
#define STATE(name, text) \
    _Static_assert((int)TCP_##name == (int)UT_STATE_##name, "state numbers are the public ones");
#include "tcp/states.def"
#undef STATE
_Static_assert((int)TCP_EV_READABLE == UT_READABLE && (int)TCP_EV_WRITABLE == UT_WRITABLE &&
                   (int)TCP_EV_CONNECTED == UT_CONNECTED && (int)TCP_EV_CLOSED == UT_CLOSED &&
                   (int)TCP_EV_URGENT == UT_URGENT && (int)TCP_EV_ALL_SENT == UT_ALL_SENT,
               "event bits are the public ones");

/* ---- snapshots ------------------------------------------------------------------------------ */

/* Everything zero but what every kind of entry has. */
static void info_begin(ut_info *out, ut_handle handle, enum tcp_state is,
                       const struct flow_key *key)
{
    *out = (ut_info){handle, is, .deadline_ns = TIME_NEVER};
    trace_endpoint(&out->local, &key->local, key->lport);
    trace_endpoint(&out->remote, &key->remote, key->rport);
}

static void info_sequence(const struct tcb *t, ut_info *out)
{
    out->iss = t->iss.v;
    out->snd_una = t->snd_una.v;
    out->snd_nxt = t->snd_nxt.v;
    out->snd_wnd = t->snd_wnd;
    out->snd_wl1 = t->snd_wl1.v;
    out->snd_wl2 = t->snd_wl2.v;
    out->max_snd_wnd = t->max_snd_wnd;
    out->irs = t->irs.v;
    out->rcv_nxt = t->rcv_nxt.v;
    out->rcv_wnd = t->rcv_wnd;
    out->rcv_up = t->rcv_up.v;
    out->snd_up = t->snd_up.v;
    out->snd_mss = t->snd_mss;
    out->rcv_mss = t->rcv_mss;
    out->snd_wscale = t->snd_wscale;
    out->rcv_wscale = t->rcv_wscale;
    out->wscale_ok = t->wscale_ok;
    out->timestamps_ok = t->ts_ok;
    out->sack_ok = t->sack_ok;
    out->nodelay = t->nodelay;
    out->orphan = t->user_gone;
}

static void info_sending(const struct tcb *t, ut_info *out)
{
    out->in_recovery = t->recovery_mode != RECOVERY_NONE;
    out->cwnd = t->cc.cwnd;
    out->ssthresh = t->cc.ssthresh;
    out->flight_size = tcb_flight(t);
    out->pipe = recovery_pipe(t);
    if (out->in_recovery)
        out->recovery_point = tcb_snd_seq(t, t->recovery_point).v;
    out->backoff = t->rtt.backoff;
    out->srtt_ns = t->rtt.srtt;
    out->rttvar_ns = t->rtt.rttvar;
    out->rto_ns = t->rtt.rto;
    out->rtt_min_ns = t->rtt.min;
    out->deadline_ns = timers_next(t);
    struct cc_value values[CC_VALUES];
    out->pacing_rate = t->cc.pacing_rate;
    out->congestion_count = t->cc.ops->describe(&t->cc, values);
    for (uint32_t i = 0; i < out->congestion_count; i++)
        out->congestion[i] = (ut_named){values[i].name, values[i].value};
    const char *name = t->cc.ops->name;
    memcpy(out->congestion_control, name,
           u64_min(strlen(name), sizeof out->congestion_control - 1));
}

static void info_recovery(const struct tcb *t, ut_info *out)
{
    out->reo_wnd_ns = t->rack_on ? rack_reo_wnd(t) : 0;
    out->reo_wnd_mult = t->rack.reo_wnd_mult;
    out->reordering_seen = t->rack.reordering_seen;
    out->reordering = t->rack.reordering;
    if (t->trouble != NULL) {
        out->sacked = (uint32_t)ranges_bytes_in(&t->trouble->sacked, 0, UINT64_MAX);
        out->lost = (uint32_t)ranges_bytes_in(&t->trouble->lost, 0, UINT64_MAX);
    }
    out->tlp_probes = t->tlp_probes;
    out->spurious_retransmits = t->dsacks_in;
    out->spurious_recoveries = t->undos;
    out->dsacks_out = t->dsacks_out;
}

static void info_ecn(const struct tcb *t, ut_info *out)
{
    out->ecn_ok = t->ecn.on + t->ecn.ect;
    out->accecn = t->ecn.accurate;
    out->ce_in = t->ecn.ce_in;
    out->ece_in = t->ecn.ece_in;
    out->ecn_reductions = t->ecn.reductions;
    const struct tcp_accecn *r = accecn_record(t);
    if (r != NULL) {
        out->ce_bytes_in = r->in[ECN_CE];
        out->ce_bytes_delivered = r->out[ECN_CE];
    }
    out->syn_data = t->fast_open.data_acked;
}

static void info_counts(const struct tcb *t, ut_info *out)
{
    out->snd_queued = sendq_held(&t->sendq);
    out->snd_free = sendq_free(&t->sendq);
    out->rcv_readable = reasm_readable(&t->reasm);
    if (t->trouble != NULL)
        out->rcv_out_of_order =
            (uint32_t)ranges_bytes_in(&t->trouble->runs, t->reasm.nxt, UINT64_MAX);
    uint64_t sent = t->sendq.una;
    if ((t->state >= TCP_ESTABLISHED && t->state != TCP_TIME_WAIT) || tcb_is_early(t))
        sent += tcb_flight(t) - (t->fin_sent && !tcb_fin_acked(t));
    out->bytes_sent = sent;
    out->bytes_acked = t->sendq.una;
    out->bytes_received = t->reasm.nxt;
    out->bytes_retransmitted = t->bytes_retransmitted;
    out->segs_out = t->segs_out;
    out->segs_in = t->segs_in;
    out->data_segs_out = t->data_segs_out;
    out->data_segs_in = t->data_segs_in;
    out->retransmits = t->retransmits;
    out->rto_count = t->rto_count;
    out->fast_recoveries = t->fast_recoveries;
    out->dup_acks_in = t->dup_acks_in;
    out->challenge_acks = t->challenge_acks;
    info_recovery(t, out);
    info_ecn(t, out);
}

static uint32_t info_memory(const ut_stack *s, const struct tcb *t)
{
    uint32_t bytes = sizeof(struct conn) + sizeof(struct demux_entry) + sizeof(void *);
    if (ring_is_open(&t->sendq.ring))
        bytes += s->env.snd_rings.size;
    if (ring_is_open(&t->reasm.ring))
        bytes += s->env.rcv.rings.size;
    if (t->trouble != NULL)
        bytes += (uint32_t)trouble_memory(t->trouble);
    if (t->times != NULL)
        bytes += sizeof *t->times;
    if (t->log != NULL)
        bytes += sizeof *t->log;
    if (t->ecn.record != 0)
        bytes += sizeof(struct tcp_accecn);
    return bytes;
}

void info_conn(const ut_stack *s, const struct conn *c, ut_info *out)
{
    info_begin(out, c->notice.handle, c->tcb.state, &c->key);
    out->error = c->tcb.error;
    out->soft_error = c->tcb.soft_error;
    info_sequence(&c->tcb, out);
    info_sending(&c->tcb, out);
    info_counts(&c->tcb, out);
    out->pmtu = path_mtu(c);
    out->memory = info_memory(s, &c->tcb);
    if (c->tcb.state == TCP_TIME_WAIT)
        out->deadline_ns = c->timer.at;
}

void info_listener(const ut_stack *s, const struct listener *l, ut_info *out)
{
    (void)s;
    info_begin(out, l->notice.handle, TCP_LISTEN, &l->key);
    out->half_open = l->half_count;
    out->accept_queue = l->accept_count;
    out->backlog = l->backlog;
    out->fast_open = l->fast_open_max;
    out->fast_open_pending = l->fast_open_count;
    out->memory = sizeof *l;
}

static void info_half(const struct half_open *h, ut_info *out)
{
    info_begin(out, 0, TCP_SYN_RECEIVED, &h->key);
    out->iss = out->snd_una = h->half.iss.v;
    out->snd_nxt = seq_add(h->half.iss, 1).v;
    out->irs = h->half.irs.v;
    out->rcv_nxt = seq_add(h->half.irs, 1).v;
    out->rcv_wnd = h->half.rcv_wnd;
    out->snd_wnd = h->half.snd_wnd;
    out->snd_wscale = h->half.snd_wscale;
    out->rcv_wscale = h->half.rcv_wscale;
    out->wscale_ok = h->half.wscale_ok;
    out->timestamps_ok = h->half.ts_ok;
    out->sack_ok = h->half.sack_ok;
    out->deadline_ns = h->timer.at;
    out->memory = sizeof *h;
}

static void info_time_wait(const ut_stack *s, const struct time_wait *w, ut_info *out)
{
    info_begin(out, 0, TCP_TIME_WAIT, &w->key);
    out->snd_una = out->snd_nxt = w->tw.snd_nxt.v;
    out->rcv_nxt = w->tw.rcv_nxt.v;
    out->timestamps_ok = w->tw.ts_ok;
    out->deadline_ns = timewait_end(s, w);
    out->memory = sizeof *w;
}

struct info_sink {
    ut_info *out;
    int max, count;
};

/* Where the next entry goes; once the caller's array is full, to a place nobody reads. */
static ut_info *info_next(struct info_sink *sink, ut_info *nowhere)
{
    return sink->count++ < sink->max ? &sink->out[sink->count - 1] : nowhere;
}

int info_list(const ut_stack *s, ut_info *out, int max)
{
    struct info_sink sink = {out, max, 0};
    ut_info nowhere;
    for (uint32_t i = 0; i < s->listeners.fresh; i++) {
        const struct listener *l = listen_at(s, i);
        if (l != NULL)
            info_listener(s, l, info_next(&sink, &nowhere));
    }
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        const struct conn *c = conn_at(s, i);
        if (c != NULL)
            info_conn(s, c, info_next(&sink, &nowhere));
    }
    for (uint32_t i = 0; i < s->halves.fresh; i++) {
        const struct half_open *h = pool_at(&s->halves, i);
        if (half_open_is_live(h))
            info_half(h, info_next(&sink, &nowhere));
    }
    for (uint32_t i = 0; i < s->time_waits.fresh; i++) {
        const struct time_wait *w = pool_at(&s->time_waits, i);
        if (timewait_is_live(s, w) && !w->tw.is_shown)
            info_time_wait(s, w, info_next(&sink, &nowhere));
    }
    return sink.count;
}

int info_unfinished(const ut_stack *s)
{
    int count = 0;
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        const struct conn *c = conn_at(s, i);
        count += c != NULL && conn_is_unfinished(c);
    }
    return count;
}

int info_awaiting_fin(const ut_stack *s)
{
    int count = 0;
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        const struct conn *c = conn_at(s, i);
        count += c != NULL && c->tcb.state == TCP_FIN_WAIT_2;
    }
    return count;
}

/* ---- counters ------------------------------------------------------------------------------- */

static const char *const info_names[] = {
#define UT_COUNTER(name, sentence) #name,
#include "stack/counters.def"
#undef UT_COUNTER
#define UT_DROP(name, sentence) "drop_" #name,
#include "base/drops.def"
#undef UT_DROP
    "connections",
    "listeners",
    "half_open",
    "time_wait",
    "neighbours",
    "neighbours_failed",
    "memory",
    "tcp_segments_out",
    "tcp_data_segments_out",
    "tcp_bytes_acked",
    "tcp_bytes_received",
    "tcp_bytes_retransmitted",
    "tcp_retransmits",
    "tcp_rto_count",
    "tcp_fast_recoveries",
    "tcp_dup_acks_in",
    "tcp_challenge_acks",
    "tcp_tlp_probes",
    "tcp_spurious_retransmits",
    "tcp_spurious_recoveries",
    "congestion_overdue",
    "link_rx_frames",
    "link_rx_bytes",
    "link_tx_frames",
    "link_tx_bytes",
    "link_tx_full",
    "link_tx_errors",
    "link_rx_errors",
    "link_recv_calls",
    "link_flush_calls",
    "link_tap_missed",
};

const char *info_counter_name(int index)
{
    return index >= 0 && (size_t)index < UT_COUNTOF(info_names) ? info_names[index] : NULL;
}

/* Ended connections and living ones. */
static struct totals info_totals(const ut_stack *s)
{
    struct totals sum = s->totals;
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        const struct conn *c = conn_at(s, i);
        if (c != NULL)
            conn_add_up(&sum, &c->tcb);
    }
    return sum;
}

int info_counters(const ut_stack *s, uint64_t *out, int max)
{
    uint64_t all[UT_COUNTOF(info_names)];
    const struct link_stats *k = &s->link->stats;
    struct totals t = info_totals(s);
    const uint64_t rest[] = {
        s->conns.in_use,
        s->listeners.in_use,
        s->halves.in_use,
        s->time_waits.in_use,
        s->neighbours.pool.in_use,
        s->neighbours.failed,
        s->alloc.in_use,
        t.segs_out,
        t.data_segs_out,
        t.bytes_out,
        t.bytes_in,
        t.bytes_retransmitted,
        t.retransmits,
        t.rto_count,
        t.fast_recoveries,
        t.dup_acks_in,
        t.challenge_acks,
        t.tlp_probes,
        t.spurious_retransmits,
        t.spurious_recoveries,
        s->env.cc.reports.overdue,
        k->rx_frames,
        k->rx_bytes,
        k->tx_frames,
        k->tx_bytes,
        k->tx_full,
        k->tx_errors,
        k->rx_errors,
        k->recv_calls,
        k->flush_calls,
        k->tap_missed,
    };
    _Static_assert(COUNTER_COUNT + (DROP_COUNT - 1) + UT_COUNTOF(rest) == UT_COUNTOF(info_names),
                   "as many names as values");
    memcpy(all, s->counters, sizeof s->counters);
    memcpy(all + COUNTER_COUNT, s->env.drops + 1, (DROP_COUNT - 1) * sizeof *all);
    memcpy(all + COUNTER_COUNT + DROP_COUNT - 1, rest, sizeof rest);
    int count = (int)UT_COUNTOF(all);
    if (max > 0)
        memcpy(out, all, (size_t)(max < count ? max : count) * sizeof *out);
    return count;
}

const char *info_checksum_name(void)
{
    checksum_init();
    return checksum_chosen()->name;
}

const char *info_congestion_name(int index)
{
    const struct cc_ops *ops = cc_at(index);
    return ops != NULL ? ops->name : NULL;
}
