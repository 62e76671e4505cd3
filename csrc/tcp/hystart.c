/* hystart.c: the rounds of HyStart++ (RFC 9406 4.2 and 4.3).
 *
 * Called by cc_cubic.c with every ACK of the first slow start.
 */
#include "tcp/hystart.h"

#include "base/base.h"

#define MIN_RTT_THRESH (4 * NS_PER_MS)
#define MAX_RTT_THRESH (16 * NS_PER_MS)
#define MIN_RTT_DIVISOR 8
#define N_RTT_SAMPLE 8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS 5

void hystart_init(struct hystart *h)
{
    *h = (struct hystart){.phase = HYSTART_SLOW_START,
                          .last_round_min_rtt = TIME_NEVER,
                          .current_round_min_rtt = TIME_NEVER,
                          .css_baseline_min_rtt = TIME_NEVER};
}

ns_t hystart_rtt_thresh(const struct hystart *h)
{
    if (h->last_round_min_rtt == TIME_NEVER)
        return 0;
    /* RFC 9406 4.2: RttThresh = max(MIN, min(lastRoundMinRTT / 8, MAX)) */
    return u64_max(MIN_RTT_THRESH,
                   u64_min(h->last_round_min_rtt / MIN_RTT_DIVISOR, MAX_RTT_THRESH));
}

static void begin_round(struct hystart *h, const struct cc_ack *a)
{
    h->window_end = a->nxt;
    h->last_round_min_rtt = h->current_round_min_rtt;
    h->current_round_min_rtt = TIME_NEVER;
    h->rtt_sample_count = 0;
    /* RFC 9406 4.2: the round in which CSS began counts as one of the five. */
    if (h->phase == HYSTART_CSS && ++h->css_rounds >= CSS_ROUNDS)
        h->phase = HYSTART_OFF;
}

static void judge(struct hystart *h)
{
    if (h->rtt_sample_count < N_RTT_SAMPLE)
        return;
    if (h->phase == HYSTART_SLOW_START) {
        if (h->last_round_min_rtt == TIME_NEVER ||
            h->current_round_min_rtt < h->last_round_min_rtt + hystart_rtt_thresh(h))
            return;
        h->css_baseline_min_rtt = h->current_round_min_rtt;
        h->css_rounds = 0;
        h->phase = HYSTART_CSS;
    } else if (h->current_round_min_rtt < h->css_baseline_min_rtt) {
        /* RFC 9406 4.2: delay fell again, the rise was jitter. */
        h->css_baseline_min_rtt = TIME_NEVER;
        h->phase = HYSTART_SLOW_START;
    }
}

uint32_t hystart_on_ack(struct hystart *h, const struct cc_ack *a)
{
    if (a->una > h->window_end || h->window_end == 0)
        begin_round(h, a);
    if (h->phase == HYSTART_OFF)
        return 0;
    if (a->rtt != 0) {
        h->current_round_min_rtt = u64_min(h->current_round_min_rtt, a->rtt);
        if (h->rtt_sample_count < UINT8_MAX)
            h->rtt_sample_count++;
        judge(h);
    }
    /* DEVIATES RFC 9406 4.3 (06): no limit L, because slow start is paced (cc_pace);
     * where a round trip is too short for that, one ACK of a link that merges is for 64 KiB. */
    if (h->phase == HYSTART_SLOW_START)
        return a->acked;
    h->css_credit += a->acked;
    uint32_t grow = h->css_credit / CSS_GROWTH_DIVISOR;
    h->css_credit %= CSS_GROWTH_DIVISOR;
    return grow;
}
