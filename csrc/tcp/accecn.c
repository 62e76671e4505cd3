/* accecn.c: RFC 9768 3.1 and 3.2.1 to 3.2.2: handshake, ACE and its safe reading.
 */
#include "tcp/accecn.h"

#include "tcp/accecn_option.h"
#include "tcp/half.h"
#include "tcp/options.h"
#include "tcp/steps.h"

#define CEP_INIT 5u /* 3.2.1: of r.cep and s.cep; distinct from a field that was zeroed */
#define SEGS_MASK 31u
/* 3.2.2.5.1: CE marks that are told at once, with data that is not acknowledged and without. */
#define MARKS_DATA 2u
#define MARKS_NO_DATA 3u
/* A.2.1: a wrap is suspected of a peer whose ACKs are for so few segments on average, in eighths.
 * Stretch ACKs as such are the rule where segments are merged. */
#define AVG_SUSPECT (8 * 4u)
#define AVG_MOST 31u

/* The codes of 3.1.2. */
enum { CODE_NONE, CODE_CLASSIC_SYNACK, CODE_NOT_ECT, CODE_CLASSIC_SYN, CODE_RESERVED = 5, CODE_CE };

uint8_t accecn_field(const struct tcp_seg *seg)
{
    return (uint8_t)(seg->flags >> TCP_ACE_SHIFT & TCP_ACE_MASK);
}

uint16_t accecn_code(uint8_t ip_ecn)
{
    /* 9768-02, 9768-16: Not-ECT, ECT(1), ECT(0), CE */
    static const uint8_t codes[] = {CODE_NOT_ECT, 3, 4, CODE_CE};
    return (uint16_t)(codes[ip_ecn] << TCP_ACE_SHIFT);
}

uint16_t accecn_counter(uint32_t marks)
{
    return (uint16_t)(((CEP_INIT + marks) & TCP_ACE_MASK) << TCP_ACE_SHIFT);
}

/* 9768-15 (MUST): on every segment but a SYN. */
static void set_ace(struct tcb *t) { t->ack_flags = TCP_ACK | accecn_counter(t->ecn.ce_in); }

static void bar(struct tcb *t) { t->ecn.ect = !(t->ecn.barred = true); }

/* 3.2.2.1 note 1, 3.2.2.4: feedback that is none. */
static void ignore_feedback(struct tcb *t)
{
    t->ecn.deaf = true;
    bar(t);
}

/* 3.2.2.2: a marked SYN or SYN,ACK of ours. What is sent first is one segment, as after lost SYNs
 * (RFC 5681 3.1). */
static void answer_handshake_mark(struct tcb *t) { cc_lost_syns(&t->cc, t->snd_mss); }

/* ---- opening --------------------------------------------------------------------------------- */

void accecn_begin(struct tcb *t, bool ect)
{
    t->ecn.on = t->ecn.accurate = true;
    t->ecn.ect = ect;
    t->ecn.barred = !ect;
    t->ecn.acked_avg = 2 * 8;
    set_ace(t);
}

void accecn_judge(struct tcb *t, const struct tcp_seg *seg)
{
    uint8_t code = accecn_field(seg);
    /* 9768-18: Not-ECT has become something else on the way. Feedback goes on. */
    if (code != CODE_NOT_ECT && code != CODE_RESERVED)
        bar(t);
    if (code == CODE_CE)
        answer_handshake_mark(t);
}

/* 9768-16: the pure ACK that comes next tells what the SYN,ACK came with. */
static void owe_handshake(struct tcb *t, const struct tcp_seg *seg)
{
    t->ack_flags = TCP_ACK | accecn_code(seg->ip_ecn);
    t->ecn.owes_handshake = t->rack.ecn_waits = true;
    if (seg->ip_ecn == ECN_CE && t->ecn.ce_in == 0)
        t->ecn.ce_in = 1; /* 3.2.2.2: once, however many come marked */
}

void accecn_learn(struct tcb *t, const struct tcp_seg *seg)
{
    accecn_begin(t, true); /* 3.1.5: also of a client that has sent a SYN without the flags */
    accecn_judge(t, seg);
    accecn_options_begin(t, true);
    accecn_option_hear(t, seg);
    owe_handshake(t, seg);
}

bool accecn_syn_again(struct tcp_half *h, const struct tcp_seg *seg)
{
    uint8_t code = accecn_field(seg);
    bool is_classic = code == CODE_CLASSIC_SYN;
    if (!h->knows_accurate) {
        /* RFC 3168 6.1.1: a SYN that does not ask any more is believed, and one that asks late is
         * not: a SYN,ACK without ECE has left. */
        if ((code & CODE_CLASSIC_SYN) != CODE_CLASSIC_SYN)
            h->ecn = ECN_NONE;
        return true;
    }
    /* 9768-10 (MUST): the mode stays that of the first. */
    if (h->ecn == ECN_NONE)
        return true;
    if (code == CODE_NONE) {
        h->barred = true; /* 9768-12 (MUST) */
    } else if (is_classic != (h->ecn == ECN_CLASSIC)) {
        return false; /* 9768-11 (MUST) */
    }
    h->syn_ecn = seg->ip_ecn & 3u; /* 3.1.5 (MUST): of the latest */
    h->is_plain = false;
    h->no_option = true;
    return true;
}

void accecn_synack_again(struct tcb *t, const struct tcp_seg *seg)
{
    bool is_synack = (seg->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
    /* 3.2.2.1: an ACK with SACK blocks has the counter. */
    if (t->ecn.accurate && is_synack && !t->passive && seq_eq(seg->seq, t->irs) &&
        t->trouble == NULL) {
        accecn_option_give_up(t); /* our ACK, which had one, has not come */
        owe_handshake(t, seg);
    }
}

bool accecn_must_wait(struct tcb *t)
{
    if (t->ack_now)
        return true;
    t->ecn.owes_handshake = false; /* it has left */
    set_ace(t);
    return false;
}

/* The ACK of our SYN,ACK: the table of 3.2.2.1. */
static void hear_handshake(struct tcb *t, const struct tcp_seg *seg)
{
    uint8_t code = accecn_field(seg);
    accecn_option_hear(t, seg);
    if (code == CODE_NONE) {
        ignore_feedback(t); /* 9768-17 */
        return;
    }
    if (code == CODE_CLASSIC_SYN || code == 4 || code == CODE_CE)
        bar(t); /* 9768-18: our SYN,ACK was Not-ECT */
    if (code == CODE_CE) {
        t->ecn.ece_in = 1;
        answer_handshake_mark(t);
    }
}

/* ---- receiver (3.2.2.5.1) -------------------------------------------------------------------- */

/* Marked packets since the last segment that left. */
static uint32_t marks_waiting(struct tcb *t, uint32_t more)
{
    bool is_first = t->ecn.segs_mark != (t->segs_out & SEGS_MASK);
    uint32_t waiting = is_first ? 0 : t->ecn.marks_waiting;
    t->ecn.segs_mark = t->segs_out & SEGS_MASK;
    t->ecn.marks_waiting = u32_min(waiting + more, 7) & 7;
    return waiting + more;
}

/* Every acceptable packet counts, with data or without (9768-14). */
static void count_mark(struct tcb *t, const struct tcp_seg *seg)
{
    uint32_t packets = ecn_packets(seg);
    t->ecn.ce_in += packets;
    if (!t->ecn.owes_handshake)
        set_ace(t);
    /* 9768-20: at once when marks begin, and then for every few of them. */
    bool has_data = seg->len > 0 || !seq_eq(t->rcv_nxt, t->last_ack_sent);
    if (marks_waiting(t, packets) >= (has_data ? MARKS_DATA : MARKS_NO_DATA) ||
        (seg->len > 0 && !t->ecn.last_was_ce))
        t->ack_now = true;
}

/* ---- sender (3.2.2.2, 3.2.2.5.2) ------------------------------------------------------------- */

/* How many full-sized ones it takes. */
static uint32_t segments(const struct tcb *t, uint32_t bytes)
{
    uint32_t mss = t->snd_mss - options_data_length(t);
    return (bytes + mss - 1) / mss;
}

/* Segments this ACK has first heard of, about. */
static uint32_t newly_acked(const struct tcb *t, uint32_t acked)
{
    if (t->trouble != NULL && acked > 0) {
        uint64_t una = tcb_snd_offset(t, t->snd_una);
        acked -= (uint32_t)ranges_bytes_in(&t->trouble->sacked, una, una + acked);
    }
    return segments(t, acked);
}

/* How far the counter went, if it may have wrapped in ACKs that did not get here (9768-21).
 * `bytes`: newly marked, -1 when nothing says how many. */
static uint32_t safe_increase(struct tcb *t, uint32_t least, uint32_t packets, int64_t bytes)
{
    uint32_t avg = t->ecn.acked_avg;
    if (packets > 0)
        t->ecn.acked_avg = (uint8_t)(avg + u32_min(packets, AVG_MOST) - avg / 8);
    if (packets <= TCP_ACE_MASK)
        return least;
    uint32_t most = packets - ((packets - least) & TCP_ACE_MASK);
    if (bytes < 0)
        return avg > AVG_SUSPECT ? least : most;
    /* A.2.2, but not all or nothing: as often as so many bytes take. */
    uint32_t fit = segments(t, (uint32_t)bytes);
    uint32_t wraps = fit > least ? (fit - least + TCP_ACE_MASK) & ~TCP_ACE_MASK : 0;
    return u32_min(least + wraps, most);
}

/* Superseded by an ACK that came before it, as far as can be told (A.1). */
static bool is_superseded(const struct tcb *t, const struct arrival *a)
{
    const struct tcp_seg *seg = a->seg;
    if (!seq_eq(seg->ack, t->snd_una))
        return seq_lt(seg->ack, t->snd_una);
    if (t->ts_ok && seg->opt.has_ts && (int32_t)(seg->opt.ts_val - t->ts_recent) > 0)
        return false;
    return !(seg->len > 0 && seq_eq(seg->seq, t->rcv_nxt));
}

/* 9768-27 (MUST): bytes were marked and no packet was: somebody rewrites what is fed back. */
static void reconcile(struct tcb *t, const struct tcp_seg *seg, int64_t bytes, uint32_t packets)
{
    struct tcp_accecn *r = accecn_record(t);
    if (seg->opt.accecn == 0 || bytes < 0)
        return;
    if (bytes > 0 && r->ece_at_option == t->ecn.ece_in && packets <= TCP_ACE_MASK)
        bar(t);
    r->ece_at_option = t->ecn.ece_in;
}

/* Packets newly marked. */
static uint32_t hear(struct tcb *t, const struct arrival *a)
{
    if (is_superseded(t, a))
        return 0;
    uint8_t ace = accecn_field(a->seg);
    uint32_t packets = newly_acked(t, seq_len(a->seg->ack, t->snd_una));
    /* 9768-19: a first value of zero is none, unless as many as that could have been marked. */
    if (!t->ecn.ace_seen && ace == 0 && packets < TCP_ACE_MASK + 1 - CEP_INIT)
        ignore_feedback(t);
    t->ecn.ace_seen = true;
    uint32_t least = (ace - (CEP_INIT + t->ecn.ece_in)) & TCP_ACE_MASK;
    int64_t bytes = accecn_option_hear(t, a->seg);
    uint32_t marks = safe_increase(t, least, packets, bytes);
    t->ecn.ece_in += marks;
    reconcile(t, a->seg, bytes, packets);
    return marks;
}

bool accecn_arrive(struct tcb *t, const struct arrival *a)
{
    const struct tcp_seg *seg = a->seg;
    bool is_ce = seg->ip_ecn == ECN_CE;
    if (UT_UNLIKELY(is_ce))
        count_mark(t, seg);
    t->ecn.last_was_ce = is_ce;
    accecn_option_count(t, seg);
    if (seg->flags & TCP_SYN)
        return false; /* 3.2.2 (MUST NOT): no counter there */
    if (UT_UNLIKELY(t->ecn.opening)) {
        t->ecn.opening = false;
        if (seg->len == 0 && seg->opt.sack_count == 0) {
            hear_handshake(t, seg);
            return false;
        }
    }
    return hear(t, a) > 0 && !t->ecn.deaf;
}
