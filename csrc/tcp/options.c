/* options.c: negotiation on SYNs, timestamps and SACK blocks on the rest.
 *
 * Called by output.c, half.c and the opening steps. RFC 7323, RFC 2018, RFC 6691.
 */
#include "tcp/options.h"

#include "tcp/accecn_option.h"
#include "tcp/mtu.h"

void options_learn(struct tcb *t, const struct tcp_seg *syn, ns_t now)
{
    const struct tcp_opts *o = &syn->opt;
    const struct tcp_params *p = &t->env->params;
    mtu_agree(t, o->has_mss ? o->mss : 0);
    t->sack_ok = p->use_sack && o->sack_permitted;
    t->rack_on = t->sack_ok && p->use_rack; /* 8985-01 (MUST) */
    t->ts_ok = p->use_timestamps && o->has_ts;
    if (t->ts_ok) {
        t->ts_recent = o->ts_val;
        t->ts_recent_at = now;
    }
    t->wscale_ok = p->use_window_scale && o->has_wscale;
    /* RFC 7323 2.3 (MUST): a shift above 14 is taken as 14. */
    t->snd_wscale = t->wscale_ok ? (uint8_t)u32_min(o->wscale, TCP_MAX_WSCALE) : 0;
    if (!t->wscale_ok)
        t->rcv_wscale = 0;
    cc_start(&t->cc, t->snd_mss - options_data_length(t));
}

void options_for_syn(const struct tcb *t, bool with_ack, ns_t now, struct tcp_opts *out)
{
    const struct tcp_params *p = &t->env->params;
    *out = (struct tcp_opts){.has_mss = true, .mss = t->rcv_mss};
    /* A SYN offers; a SYN,ACK repeats only what the SYN it answers offered (RFC 7323 2.2, 3.2). */
    out->sack_permitted = with_ack ? t->sack_ok : p->use_sack;
    out->has_wscale = with_ack ? t->wscale_ok : p->use_window_scale;
    out->wscale = t->rcv_wscale;
    out->has_ts = with_ack ? t->ts_ok : p->use_timestamps;
    if (out->has_ts) {
        out->ts_val = options_ts_now(t->ts_offset, now);
        out->ts_ecr = with_ack ? t->ts_recent : 0;
    }
}

static struct tcp_sack_block sack_block(const struct tcb *t, const struct range *run)
{
    seq32 base = seq_add(t->irs, 1);
    return (struct tcp_sack_block){seq_add(base, (uint32_t)run->lo),
                                   seq_add(base, (uint32_t)run->hi)};
}

static bool options_has_told(const struct range *const *told, uint8_t n, const struct range *run)
{
    for (uint8_t i = 0; i < n; i++) {
        if (told[i] == run)
            return true;
    }
    return false;
}

/* RFC 2018 4 (MUST): the first block holds the segment that came last; the others repeat the most
 * recently reported ones. `recent` has an offset of each, newest first; runs that met since are
 * one. */
static void options_sack(const struct tcb *t, struct tcp_opts *out)
{
    const struct tcp_trouble *trouble = t->trouble;
    uint32_t room = t->ts_ok ? 3 : 4; /* RFC 2018 3: what fits beside a timestamp */
    const struct range *told[TCP_OPT_MAX_SACK] = {NULL};
    uint8_t n = 0;
    if (t->dsack_due) /* RFC 2883 4 (2883-01): the first block; 2883-03: its run comes second */
        out->sack[n++] = (struct tcp_sack_block){t->dsack_lo, t->dsack_hi};
    for (uint32_t i = 0; trouble != NULL && i < trouble->recent_count && n < room; i++) {
        const struct range *run = ranges_find(&trouble->runs, trouble->recent[i]);
        if (run == NULL || options_has_told(told, n, run))
            continue;
        told[n] = run;
        out->sack[n++] = sack_block(t, run);
    }
    /* As many as fit (SHOULD): those whose report fell out of `recent`, the highest first. */
    for (uint32_t i = trouble != NULL ? trouble->runs.count : 0; i > 0 && n < room; i--) {
        const struct range *run = &trouble->runs.run[i - 1];
        if (!options_has_told(told, n, run)) {
            told[n] = run;
            out->sack[n++] = sack_block(t, run);
        }
    }
    out->sack_count = n;
}

static bool owes_sack(const struct tcb *t)
{
    return t->sack_ok &&
           (t->dsack_due || (t->trouble != NULL && !ranges_is_empty(&t->trouble->runs)));
}

void options_for_segment(const struct tcb *t, ns_t now, struct tcp_opts *out)
{
    out->has_mss = out->has_wscale = out->sack_permitted = false;
    out->sack_count = out->accecn = 0;
    out->has_ts = t->ts_ok;
    if (t->ts_ok) {
        /* RFC 7323 3.2 (MUST): on every segment but RST once negotiated. */
        out->ts_val = options_ts_now(t->ts_offset, now);
        out->ts_ecr = t->ts_recent;
    }
    if (owes_sack(t))
        options_sack(t, out);
    if (UT_UNLIKELY(t->ecn.record != 0))
        accecn_option_put(t, out);
}

uint32_t options_next_length(const struct tcb *t)
{
    if (!owes_sack(t) && UT_LIKELY(t->ecn.record == 0))
        return options_data_length(t);
    struct tcp_opts o;
    options_for_segment(t, 0, &o);
    return (uint32_t)tcp_opt_length(&o);
}
