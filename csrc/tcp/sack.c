/* sack.c: the scoreboard of RFC 6675 over ranges of stream offsets.
 *
 * Called by ack.c (update, advance) and recovery.c (who is lost, what next). At most RANGES_MAX
 * runs are kept: what does not fit is as if never reported, which costs a retransmission and no
 * memory.
 */
#include "tcp/sack.h"

#include "tcp/sent.h"
#include "tcp/times.h"

/* [lo, hi) is at the peer: what of it is news was delivered by this ACK. */
static void deliver(struct tcb *t, uint64_t lo, uint64_t hi, struct tcp_news *n)
{
    struct range gap;
    if (t->rack_on)
        n->place = resent_place(&t->trouble->resent, lo);
    for (uint64_t at = lo; ranges_next_gap(&t->trouble->sacked, at, hi, &gap); at = gap.hi) {
        if (t->log != NULL)
            sent_note_delivered(t, gap.lo, gap.hi);
        n->delivered += (uint32_t)(gap.hi - gap.lo);
        n->beyond |= gap.hi > t->recovery_point;
        if (t->rack_on)
            rack_delivered(t, &gap, n);
    }
    if (t->rack_on && lo < hi) /* at once: hole by hole, the rest would move for each of them */
        rack_forget(t, lo, hi);
}

void sack_advance(struct tcb *t, struct tcp_news *n)
{
    if (t->trouble == NULL) {
        n->delivered += n->acked;
        if (t->log != NULL)
            sent_note_delivered(t, n->una, n->una + n->acked);
        return;
    }
    uint64_t una = tcb_una_offset(t);
    deliver(t, n->una, una, n);
    ranges_trim_below(&t->trouble->sacked, una);
    ranges_trim_below(&t->trouble->lost, una);
    resent_cut(&t->trouble->resent, 0, una);
}

/* RFC 2883 4 (2883-04, 2883-05, MUST): the first block, if it lies below this segment's own ACK or
 * within the second block. */
static bool is_dsack(const struct tcp_seg *seg)
{
    const struct tcp_sack_block *b = seg->opt.sack;
    if (!seq_lt(b[0].left, b[0].right))
        return false;
    if (seq_lt(b[0].left, seg->ack))
        return seq_leq(b[0].right, seg->ack);
    return seg->opt.sack_count > 1 && seq_geq(b[0].left, b[1].left) &&
           seq_leq(b[0].right, b[1].right);
}

static void take_dsack(struct tcb *t, struct tcp_news *n)
{
    const struct tcp_sack_block *b = &n->seg->opt.sack[0];
    /* Only of bytes that were sent, and no more often than anything was sent again: else the
     * network duplicates, or the peer lies. */
    if (seq_lt(b->left, t->snd_una) && seq_len(t->snd_una, b->left) > t->sendq.una)
        return;
    if (seq_gt(b->right, t->snd_nxt) || t->dsacks_in >= t->retransmits)
        return;
    t->dsacks_in++;
    n->has_dsack = true;
    n->dsack = (struct range){tcb_snd_offset(t, b->left), tcb_snd_offset(t, b->right)};
}

/* RFC 2018 3, 8 (MUST): nonsense is ignored. */
static bool is_sound(const struct tcb *t, const struct tcp_sack_block *b)
{
    return seq_lt(b->left, b->right) && seq_gt(b->left, t->snd_una) &&
           seq_leq(b->right, t->snd_nxt);
}

/* RFC 2018 4: SACKed are the segments that lie within a block as a whole. */
static bool holds_no_segment(const struct tcb *t, const struct tcp_sack_block *b)
{
    return seq_len(b->right, b->left) < times_least(t);
}

void sack_update(struct tcb *t, struct tcp_news *n)
{
    const struct tcp_opts *opt = &n->seg->opt;
    struct range sound[TCP_OPT_MAX_SACK];
    uint32_t count = 0;
    if (opt->sack_count > 0 && is_dsack(n->seg))
        take_dsack(t, n);
    for (uint8_t i = 0; i < opt->sack_count; i++) {
        if (!is_sound(t, &opt->sack[i]) || holds_no_segment(t, &opt->sack[i]))
            continue;
        struct range one = {tcb_snd_offset(t, opt->sack[i].left),
                            tcb_snd_offset(t, opt->sack[i].right)};
        uint32_t at = count++; /* in order of sequence: RACK tells reordering by it */
        for (; at > 0 && sound[at - 1].lo > one.lo; at--)
            sound[at] = sound[at - 1];
        sound[at] = one;
    }
    if (count == 0 || tcb_trouble(t) == NULL)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct ranges *sacked = &t->trouble->sacked;
        if (ranges_covers(sacked, sound[i].lo, sound[i].hi))
            continue;
        if (!ranges_touches(sacked, sound[i].lo - 1, sound[i].hi + 1) && !ranges_has_room(sacked))
            continue; /* no room: as if never reported */
        deliver(t, sound[i].lo, sound[i].hi, n);
        n->sacked |= ranges_add(sacked, sound[i].lo, sound[i].hi);
    }
}

void sack_clear(struct tcb *t)
{
    if (t->trouble == NULL)
        return;
    ranges_clear(&t->trouble->sacked);
    t->trouble->fack = t->trouble->once_end = 0;
    tcb_trouble_release(t);
}

uint64_t sack_lost_edge(const struct tcb *t)
{
    if (t->trouble == NULL)
        return t->sendq.una;
    /* RFC 6675 4, IsLost: DupThresh runs above it, or more than (DupThresh - 1) * SMSS bytes. */
    const struct ranges *s = &t->trouble->sacked;
    uint64_t bytes = 0;
    uint32_t runs = 0;
    for (uint32_t i = s->count; i-- > 0;) {
        bytes += s->run[i].hi - s->run[i].lo;
        runs++;
        if (runs >= DUP_THRESH || bytes > (uint64_t)(DUP_THRESH - 1) * t->snd_mss)
            return s->run[i].lo;
    }
    return t->sendq.una;
}

uint64_t sack_bytes_in(const struct tcb *t, uint64_t lo, uint64_t hi)
{
    return t->trouble != NULL && lo < hi ? ranges_bytes_in(&t->trouble->sacked, lo, hi) : 0;
}

uint64_t sack_highest(const struct tcb *t)
{
    if (t->trouble == NULL || ranges_is_empty(&t->trouble->sacked))
        return t->sendq.una;
    return t->trouble->sacked.run[t->trouble->sacked.count - 1].hi;
}

bool sack_next_hole(const struct tcb *t, uint64_t from, uint64_t to, struct range *hole)
{
    static const struct ranges none;
    return ranges_next_gap(t->trouble != NULL ? &t->trouble->sacked : &none, from, to, hole);
}
