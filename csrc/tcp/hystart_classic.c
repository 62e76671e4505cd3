/* hystart_classic.c: HyStart, which HyStart++ grew out of (Ha and Rhee, "Taming the Elephants: New
 * TCP Slow Start", Computer Networks 55, 2011): slow start ends at once, where Linux ends it.
 *
 * Called by cc_cubic.c with every ACK of the first slow start, where ut_config.hystart asks for it.
 */
#include "base/base.h"
#include "tcp/hystart.h"

#define LOW_WINDOW 16u            /* segments: below it nothing is looked at */
#define ACK_DELTA (2 * NS_PER_MS) /* ACKs this close to each other are a train */
#define DELAY_MIN (4 * NS_PER_MS) /* eta is an eighth of the least RTT within these */
#define DELAY_MAX (16 * NS_PER_MS)
#define SAMPLES 8u /* of a round, beyond which its least RTT tells */

static void begin_round(struct hystart *h, const struct cc_ack *a)
{
    h->window_end = a->nxt;
    h->round_start = a->now;
    h->train_ended = false;
    h->current_round_min_rtt = TIME_NEVER;
    h->rtt_sample_count = 0;
}

/* A train as long as the way out: what is in flight fills the path. What is paced leaves over half
 * a round trip anyway, and says so only when it is twice as long. */
static bool train_is_long(struct hystart *h, const struct cc_ack *a, ns_t last, bool is_paced)
{
    if (a->now != h->round_start && time_between(last, a->now) > ACK_DELTA)
        h->train_ended = true;
    return !h->train_ended && h->min_rtt != TIME_NEVER &&
           time_between(h->round_start, a->now) > (is_paced ? h->min_rtt : h->min_rtt / 2);
}

static bool delay_has_risen(struct hystart *h, ns_t rtt)
{
    if (rtt == 0)
        return false;
    h->current_round_min_rtt = u64_min(h->current_round_min_rtt, rtt);
    if (h->rtt_sample_count < SAMPLES) {
        h->rtt_sample_count++;
        return false;
    }
    return h->current_round_min_rtt > h->min_rtt + hystart_classic_eta(h);
}

ns_t hystart_classic_eta(const struct hystart *h)
{
    if (h->min_rtt == TIME_NEVER)
        return 0;
    return u64_max(DELAY_MIN, u64_min(h->min_rtt / 8, DELAY_MAX));
}

uint32_t hystart_classic_on_ack(struct hystart *h, const struct cc_ack *a, uint32_t cwnd, ns_t last,
                                bool is_paced)
{
    if (a->rtt != 0)
        h->min_rtt = u64_min(h->min_rtt, a->rtt);
    if (cwnd < LOW_WINDOW * a->mss)
        return a->acked;
    if (a->una > h->window_end || h->window_end == 0)
        begin_round(h, a);
    bool is_full = train_is_long(h, a, last, is_paced);
    is_full |= delay_has_risen(h, a->rtt);
    if (!is_full)
        return a->acked;
    h->phase = HYSTART_OFF;
    return 0;
}
