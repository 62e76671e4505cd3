/* mtu.c: the size of segments after the handshake. The picture is in mtu.h.
 *
 * Called by stack/path.c (reports, what others learnt), timeout.c, recovery.c and output.c. Nothing
 * here is on the way of a segment but while a probe is due or out.
 */
#include "tcp/mtu.h"

#include "tcp/mss.h"
#include "tcp/options.h"
#include "tcp/recovery.h"
#include "tcp/sack.h"

/* What every path carries: 1280 bytes over IPv6, which is where its default MSS comes from. */
static uint16_t least_mss(const struct tcb *t)
{
    return t->path.default_mss > MTU_BASE_MSS ? t->path.default_mss : MTU_LEAST_MSS;
}

static uint16_t base_mss(const struct tcb *t)
{
    if (t->env->params.mtu_base != 0)
        return t->env->params.mtu_base;
    return (uint16_t)u32_max(MTU_BASE_MSS, least_mss(t));
}

static uint16_t most_mss(const struct tcb *t) { return mss_to_send(t->path.mss, t->mtu.peer_mss); }

static void set_path(struct tcb *t, uint16_t mss)
{
    t->mtu.path_mss = mss;
    t->snd_mss = mss_to_send(mss, t->mtu.peer_mss);
}

static void set_lower(struct tcb *t, uint16_t mss)
{
    uint32_t before = t->snd_mss;
    set_path(t, mss);
    /* RFC 5681 3.1 (5681-22): as many segments as before, so that no burst of small ones leaves;
     * ssthresh stays, because nothing was congested (8201-04, MUST). */
    t->cc.cwnd = u32_max((uint32_t)((uint64_t)t->cc.cwnd * t->snd_mss / before), t->snd_mss);
    t->mtu.acked_mss = (uint16_t)u32_min(t->mtu.acked_mss, t->snd_mss);
    t->mtu.held_mss = 0;
    t->mtu.part = MTU_PART_NONE;
}

/* -- the search (RFC 4821 7.2, RFC 8899 5.3) -------------------------------------------------- */

static void search_stop(struct tcb *t)
{
    t->mtu.search_mss = 0;
    t->rack.mtu_due = false;
}

/* Sizes below `below`; goes on while there is something worth finding. */
static void search(struct tcb *t, uint32_t below, bool try_top)
{
    struct tcp_mtu *m = &t->mtu;
    bool is_worth = below > t->snd_mss + (try_top ? 1u : MTU_SEARCH_STEP);
    if (t->env->params.mtu_probing == MTU_PROBING_OFF || !is_worth) {
        search_stop(t);
        return;
    }
    m->search_mss = (uint16_t)below;
    m->try_top = try_top;
    m->probes_lost = 0;
    t->rack.mtu_due = true;
}

static uint16_t probe_mss(const struct tcb *t)
{
    return (uint16_t)(t->mtu.probe_len + options_data_length(t));
}

static void probe_failed(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    if (++m->probes_lost >= MTU_PROBES)
        search(t, probe_mss(t), false);
    else
        t->rack.mtu_due = true;
}

/* RFC 8899 5.3.2 leaves the order of sizes open: from a base that was chosen the first goes half
 * the way up, as Linux's does; else the largest comes first. 0: another order holds. */
static uint32_t first_size(const struct tcb *t)
{
    const struct tcp_mtu *m = &t->mtu;
    uint32_t base = t->env->params.mtu_base;
    uint32_t half = base != 0 && m->try_top ? (base + m->search_mss) / 2u : 0;
    return half > t->snd_mss ? half : 0;
}

uint32_t mtu_probe_due(struct tcb *t, uint32_t avail, uint32_t usable, uint32_t room)
{
    struct tcp_mtu *m = &t->mtu;
    uint32_t mss = first_size(t);
    if (mss == 0)
        mss = m->try_top ? m->search_mss - 1u : (t->snd_mss + m->search_mss) / 2u;
    uint32_t len = mss - options_data_length(t);
    /* RFC 4821 7.4: only with enough behind it to tell that it alone was lost. */
    uint32_t need = len + 3u * t->snd_mss;
    if (t->recovery_mode != RECOVERY_NONE || t->trouble != NULL || t->rack.tlp_out || t->dsack_due)
        return 0;
    /* RFC 6582 3.2 (2): without SACK duplicates start nothing before this is passed. */
    if (!t->sack_ok && t->had_recovery && tcb_nxt_offset(t) <= t->recovery_point)
        return 0;
    if (u32_min(u32_min(avail, usable), t->cc.cwnd) < need || room < len)
        return 0;
    return len;
}

void mtu_probe_sent(struct tcb *t, uint32_t len)
{
    t->mtu.tried = t->snd_nxt;
    t->mtu.probe_len = (uint16_t)len;
    t->mtu.part = MTU_PART_NONE;
    t->rack.mtu_due = false;
    t->rack.mtu_probe_out = true;
}

static struct range probe_range(const struct tcb *t)
{
    uint64_t lo = tcb_snd_offset(t, t->mtu.tried);
    return (struct range){lo, lo + t->mtu.probe_len};
}

void mtu_on_ack(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    if (seq_lt(t->snd_una, seq_add(m->tried, m->probe_len)))
        return;
    t->rack.mtu_probe_out = false;
    set_path(t, probe_mss(t));
    m->acked_mss = t->snd_mss;
    m->is_guess = true;
    tcp_tell_path(t);
    search(t, m->search_mss, false);
}

static bool is_alone(const struct tcb *t, const struct range *probe)
{
    const struct tcp_trouble *o = t->trouble;
    struct range hole;
    if (t->rack_on)
        return o != NULL && o->lost.count == 1 && o->lost.run[0].lo >= probe->lo &&
               o->lost.run[0].hi <= probe->hi;
    if (tcb_una_offset(t) != probe->lo)
        return false;
    return !t->sack_ok || (sack_next_hole(t, probe->lo, sack_highest(t), &hole) &&
                           hole.hi == probe->hi && sack_lost_edge(t) <= probe->hi);
}

bool mtu_lost_probe(struct tcb *t)
{
    struct range probe = probe_range(t);
    t->rack.mtu_probe_out = false;
    if (!is_alone(t, &probe)) {
        t->rack.mtu_due = true; /* RFC 4821 7.6.4: congestion, and nothing is known of the size */
        return false;
    }
    probe_failed(t);
    probe.lo = u64_max(probe.lo, tcb_una_offset(t)); /* some of it may have been acknowledged */
    recovery_on_mtu(t, &probe);
    return true;
}

/* -- reports ---------------------------------------------------------------------------------- */

static void send_again(struct tcb *t)
{
    struct range all = {tcb_una_offset(t), tcb_nxt_offset(t)};
    t->rack.mtu_probe_out = false;
    t->mtu.large_end = t->snd_una; /* 1191-07: a burst of reports is answered once */
    recovery_on_mtu(t, &all);
}

static bool is_probe(const struct tcb *t, seq32 seq)
{
    return t->rack.mtu_probe_out && seq_in(seq, t->mtu.tried, t->mtu.probe_len);
}

/* A report about a probe: it says what the search is after. */
static enum mtu_verdict probe_over(struct tcb *t, uint16_t mss)
{
    struct range probe = probe_range(t);
    t->rack.mtu_probe_out = false;
    search(t, mss + 1u, true);
    recovery_on_mtu(t, &probe);
    return MTU_PROBE_OVER;
}

enum mtu_verdict mtu_report(struct tcb *t, seq32 seq, uint16_t mss)
{
    struct tcp_mtu *m = &t->mtu;
    /* RFC 5927 4.1 (5927-01), 8201-02: about something that is on its way. */
    if (t->state < TCP_ESTABLISHED || !seq_in(seq, t->snd_una, tcb_flight(t)))
        return MTU_NOT_SENT;
    if (mss >= t->snd_mss) {
        if (is_probe(t, seq) && mss < probe_mss(t))
            return probe_over(t, mss);
        if (!seq_lt(seq, m->large_end))
            return MTU_NO_NEWS; /* 1191-05 (MUST): never upwards */
        send_again(t);
        return MTU_RESENT;
    }
    /* RFC 5927 7.2 (5927-03): what contradicts the evidence waits for more; and so does what would
     * have all in flight sent again for each byte less. */
    m->reports = seq_eq(m->large_end, t->snd_una) ? m->reports : 0;
    if (mss < m->acked_mss || m->reports >= MTU_REPORTS) {
        if (m->held_mss != 0 && !seq_in(m->held_seq, t->snd_una, tcb_flight(t)))
            tcp_count_drop(t->env, DROP_pmtu_doubted);
        m->held_mss = mss;
        m->held_seq = seq;
        return MTU_HELD;
    }
    m->reports++;
    set_lower(t, mss);
    m->is_guess = false;
    search_stop(t);
    send_again(t);
    return MTU_TAKEN;
}

/* -- time-outs -------------------------------------------------------------------------------- */

static bool held_is_true(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    uint16_t mss = m->held_mss;
    m->held_mss = 0;
    if (!seq_in(m->held_seq, t->snd_una, tcb_flight(t)) || mss >= t->snd_mss) {
        tcp_count_drop(t->env, DROP_pmtu_doubted); /* it arrived all the same */
        return false;
    }
    set_lower(t, mss);
    m->is_guess = false;
    tcp_tell_path(t);
    search_stop(t);
    send_again(t);
    return true;
}

static uint16_t part_mss(const struct tcb *t)
{
    return t->mtu.part == MTU_PART_BASE ? base_mss(t) : least_mss(t);
}

/* A part has arrived, and what comes next, in full segments again, has not. */
static void found_hole(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    uint16_t was = t->snd_mss;
    set_lower(t, part_mss(t));
    m->in_hole = m->is_guess = true;
    m->tried = t->snd_una;
    m->search_mss = was; /* tried; the search begins when something has arrived */
    m->try_top = false;
    t->rack.mtu_due = false;
}

/* RFC 4821 7.7, RFC 8899 4.3: segments of this size do not come through, and nobody says so. From
 * the second time-out on what is sent again is a part of a segment, which tells a black hole from
 * loss and from an outage. */
static void look_for_hole(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    uint32_t timed_out = u32_min(tcb_flight(t), t->snd_mss), count = t->rtt.backoff + 1u;
    seq32 part_end = seq_add(m->tried, m->probe_len);
    bool has_passed = m->part != MTU_PART_NONE && seq_eq(t->snd_una, part_end);
    bool is_again = t->rto_una == tcb_una_offset(t);
    if (t->env->params.mtu_probing == MTU_PROBING_OFF)
        return;
    if (has_passed && timed_out > part_mss(t)) {
        found_hole(t);
        return;
    }
    m->part = MTU_PART_NONE;
    if (!is_again || count < MTU_PART_RTOS)
        return;
    m->part = count == MTU_PART_RTOS && t->snd_mss > base_mss(t) ? MTU_PART_BASE : MTU_PART_LEAST;
    if (timed_out <= part_mss(t)) {
        m->part = MTU_PART_NONE; /* it is no larger than that */
        return;
    }
    m->tried = t->snd_una;
    m->probe_len = (uint16_t)(part_mss(t) - options_data_length(t));
}

uint32_t mtu_again(const struct tcb *t, uint32_t mss)
{
    const struct tcp_mtu *m = &t->mtu;
    bool is_part = m->part != MTU_PART_NONE && seq_eq(t->snd_una, m->tried);
    return is_part ? u32_min(mss, m->probe_len) : mss;
}

bool mtu_on_rto(struct tcb *t)
{
    if (t->rack.mtu_probe_out) {
        t->rack.mtu_probe_out = false;
        if (seq_eq(t->snd_una, t->mtu.tried))
            probe_failed(t);
        else
            t->rack.mtu_due = true;
    }
    if (t->mtu.held_mss != 0 && held_is_true(t))
        return true;
    look_for_hole(t);
    return false;
}

void mtu_on_recovered(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    if (!m->in_hole || !seq_gt(t->snd_una, m->tried))
        return;
    m->in_hole = false;
    tcp_tell_path(t);
    search(t, m->search_mss, false);
}

/* -- opening, and what others know ------------------------------------------------------------ */

void mtu_agree(struct tcb *t, uint16_t announced)
{
    struct tcp_mtu *m = &t->mtu;
    /* RFC 9293 3.7.1 (MUST-15): without the option the peer takes the default. */
    m->peer_mss = announced != 0 ? announced : t->path.default_mss;
    set_path(t, m->path_mss);
    m->large_end = t->snd_nxt;
    if (t->env->params.mtu_probing != MTU_PROBING_ALWAYS)
        return;
    if (m->path_mss < t->path.mss) {
        if (m->is_guess) /* others have found it out, some time ago */
            search(t, most_mss(t) + 1u, true);
        return;
    }
    if (t->snd_mss <= base_mss(t))
        return;
    set_path(t, base_mss(t)); /* RFC 8899 5.1.2: BASE_PLPMTU */
    m->is_guess = true;
    search(t, most_mss(t) + 1u, true);
}

void mtu_learn(struct tcb *t, uint16_t mss)
{
    if (mss >= t->mtu.path_mss || mss < t->mtu.acked_mss)
        return; /* nothing new, or this connection knows better */
    if (mss_to_send(mss, t->mtu.peer_mss) == t->snd_mss) {
        t->mtu.path_mss = mss;
        return;
    }
    set_lower(t, mss);
    search_stop(t);
    t->rack.mtu_probe_out = false;
    t->mtu.large_end = t->snd_nxt;
}

void mtu_forget(struct tcb *t)
{
    struct tcp_mtu *m = &t->mtu;
    if (m->path_mss >= t->path.mss || m->in_hole || m->search_mss != 0)
        return;
    if (m->is_guess)
        search(t, most_mss(t) + 1u, true); /* RFC 8899 5.1.1: PMTU_RAISE_TIMER */
    else
        set_path(t, t->path.mss); /* 1191-06: a router will say so if it is too much */
}
