/* sack.c: the scoreboard of RFC 6675 over ranges of stream offsets.
 *
 * Called by ack.c (update, advance) and recovery.c (who is lost, what next). At most RANGES_MAX
 * runs are kept: what does not fit is as if never reported, which costs a retransmission and no
 * memory.
 */
#include "tcp/sack.h"

bool sack_update(struct tcb *t, const struct tcp_opts *opt, struct sent_news *sent)
{
    bool news = false;
    for (uint8_t i = 0; i < opt->sack_count; i++) {
        const struct tcp_sack_block *b = &opt->sack[i];
        /* RFC 2018 3, 8 (MUST): nonsense is ignored; D-SACK blocks (RFC 2883) lie below snd_una. */
        if (!seq_lt(b->left, b->right) || !seq_gt(b->left, t->snd_una) ||
            seq_gt(b->right, t->snd_nxt))
            continue;
        struct tcp_trouble *trouble = tcb_trouble(t);
        if (trouble == NULL)
            return news;
        uint64_t lo = tcb_snd_offset(t, b->left), hi = tcb_snd_offset(t, b->right);
        if (ranges_covers(&trouble->sacked, lo, hi))
            continue;
        sent_note_delivered(t, lo, hi, sent);
        news |= ranges_add(&trouble->sacked, lo, hi);
    }
    return news;
}

void sack_advance(struct tcb *t)
{
    if (t->trouble == NULL)
        return;
    ranges_trim_below(&t->trouble->sacked, t->sendq.una);
    tcb_trouble_release(t);
}

void sack_clear(struct tcb *t)
{
    if (t->trouble == NULL)
        return;
    ranges_clear(&t->trouble->sacked);
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
    for (uint32_t i = 0; t->trouble != NULL && i < t->trouble->sacked.count; i++) {
        const struct range *run = &t->trouble->sacked.run[i];
        if (run->hi <= from)
            continue;
        if (run->lo > from) {
            to = u64_min(to, run->lo);
            break;
        }
        from = run->hi;
    }
    if (from >= to)
        return false;
    *hole = (struct range){from, to};
    return true;
}
