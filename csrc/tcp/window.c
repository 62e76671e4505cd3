/* window.c: receive window: silly-window avoidance, scaling, and an edge that never moves left.
 *
 * Called by output.c for every segment, by user.c after reads, by ack.c for the peer's window.
 */
#include "tcp/window.h"

#include "tcp/options.h"

#define WHOLE_MIN 4u /* super-segments in a window, for its edge to keep to their ends */

uint8_t window_scale_for(uint32_t bytes)
{
    uint8_t shift = 0;
    while (shift < TCP_MAX_WSCALE && (UINT32_C(65535) << shift) < bytes)
        shift++;
    return shift;
}

/* The largest window this connection can have, and can say. */
static inline uint32_t window_most(const struct tcb *t)
{
    return u32_min(t->reasm.limit, UINT32_C(65535) << t->rcv_wscale);
}

/* How far the offered edge could move by what room there is. */
static inline uint32_t window_growth(const struct tcb *t)
{
    uint32_t offered = seq_len(t->rcv_adv, t->rcv_nxt);
    uint32_t room = u32_min(reasm_window(&t->reasm), window_most(t));
    return room > offered ? room - offered : 0;
}

static inline uint32_t silly_threshold(const struct tcb *t)
{
    return u32_max(1, u32_min(window_most(t) / 2, t->rcv_mss));
}

/* What to offer where there is more room: all of it; or, where the peer sends super-segments, what
 * so many of their usual length fill. At another edge it would cut its last one, and the pieces
 * would cost a frame and a copy each (base/posted.h). What is kept back comes when a whole one has
 * been read: RFC 9293 3.8.6.2.2 says how little an edge may move, and this is more. */
static uint32_t window_whole(const struct tcb *t)
{
    const uint32_t offered = seq_len(t->rcv_adv, t->rcv_nxt);
    const uint32_t room = u32_min(reasm_window(&t->reasm), window_most(t));
    const uint32_t text = t->env->rcv.posted.want;
    if (text == 0 || window_most(t) / WHOLE_MIN < text)
        return room;
    const uint32_t grain = UINT32_C(1) << t->rcv_wscale;
    const uint32_t whole = (room - room % text + grain - 1) & ~(grain - 1); /* into the spare */
    return whole >= offered + silly_threshold(t) ? whole : offered;
}

uint16_t window_offer(struct tcb *t, bool syn)
{
    uint32_t offered = seq_len(t->rcv_adv, t->rcv_nxt);
    uint32_t wnd = offered;
    /* RFC 9293 3.8.6.2.2 (MUST-39): the edge moves by at least a segment or half the buffer. */
    if (!t->fin_received && window_growth(t) >= silly_threshold(t))
        wnd = window_whole(t);
    if (syn) {
        /* RFC 7323 2.2 (MUST): the window of a SYN is never scaled. RFC 9293 3.8.6 (SHLD-14): sent
         * again it offers no less, whatever limit its user has set since; with Fast Open more may
         * have been offered since the first SYN,ACK. */
        wnd = u32_min(u32_max(reasm_window(&t->reasm), t->rcv_wnd), 65535);
        t->rcv_adv = seq_max(t->rcv_adv, seq_add(t->rcv_nxt, wnd));
        t->rcv_wnd = seq_len(t->rcv_adv, t->rcv_nxt);
        return (uint16_t)wnd;
    }
    uint8_t shift = t->rcv_wscale; /* 0 when scaling was not agreed */
    uint32_t field = wnd >> shift;
    /* RFC 9293 3.8.6 (SHLD-14), RFC 7323 2.4: rounding should not take back what was offered.
     * Rounded up, the edge creeps right with each ACK: into the ring's spare, and no further than
     * the ring. */
    if (field << shift < offered) {
        uint32_t up = (offered + (1u << shift) - 1) >> shift;
        if (up << shift <= t->env->rcv.rings.size - reasm_readable(&t->reasm))
            field = up;
    }
    field = u32_min(field, 65535);
    if (field << shift > offered)
        t->rcv_adv = seq_add(t->rcv_nxt, field << shift);
    t->rcv_wnd = seq_len(t->rcv_adv, t->rcv_nxt);
    return (uint16_t)field;
}

bool window_update_is_due(const struct tcb *t)
{
    uint32_t growth = window_growth(t);
    if (growth < silly_threshold(t))
        return false;
    /* A peer with room left hears of more with the ACKs it gets anyway. */
    const uint32_t offered = seq_len(t->rcv_adv, t->rcv_nxt);
    if (growth < window_most(t) / 2 && offered >= u32_min(2u * t->rcv_mss, window_most(t) / 2))
        return false;
    return window_whole(t) > offered;
}

bool window_take(struct tcb *t, seq32 seq, seq32 ack, uint16_t field)
{
    /* RFC 9293 3.10.7.4, fifth: only a segment not older than the last that set the window.
     * DEVIATES RFC 9293 3.10.7.4: so does one that acknowledges new data, whatever its SEQ,
     * because a retransmission's new ACK would else move SND.UNA, leave SND.WND, and so reach
     * beyond the window that was offered. */
    bool newer = seq_lt(t->snd_wl1, seq) || (seq_eq(t->snd_wl1, seq) && seq_leq(t->snd_wl2, ack));
    if (!newer && !seq_gt(ack, t->snd_una))
        return false;
    uint32_t wnd = (uint32_t)field << (t->wscale_ok ? t->snd_wscale : 0);
    bool changed = wnd != t->snd_wnd;
    t->snd_wnd = wnd;
    t->max_snd_wnd = u32_max(t->max_snd_wnd, wnd);
    t->snd_wl1 = seq_max(t->snd_wl1, seq);
    t->snd_wl2 = ack;
    return changed;
}
