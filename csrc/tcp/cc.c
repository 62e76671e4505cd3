/* cc.c: what all congestion controls share: choosing one, and taking back what an episode of
 * congestion changed.
 *
 * Called by tcp/ wherever something happens that congestion control must know.
 */
#include "tcp/cc.h"

#include "base/base.h"

#define PACED_SEGMENTS 20u /* smaller windows are not, in congestion avoidance */

const struct cc_ops *const cc_all[] = {&cc_cubic, &cc_newreno, &cc_bbr, NULL};

uint32_t cc_initial_window(uint32_t mss)
{
    return u32_min(10 * mss, u32_max(2 * mss, 14600)); /* RFC 6928 2 */
}

const struct cc_ops *cc_at(int64_t index)
{
    return index >= 0 && index < (int64_t)UT_COUNTOF(cc_all) - 1 ? cc_all[index] : NULL;
}

int cc_index(const struct cc_ops *ops)
{
    int i = 0;
    while (cc_all[i] != ops && cc_all[i] != NULL)
        i++;
    return i;
}

void cc_init(struct tcp_cc *cc, const struct cc_ops *ops, struct cc_env *env, uint32_t mss)
{
    *cc = (struct tcp_cc){.ops = ops, .env = env};
    ops->init(cc, mss);
}

void cc_choose(struct tcp_cc *cc, const struct cc_ops *ops, uint32_t mss)
{
    uint32_t cwnd = cc->cwnd, ssthresh = cc->ssthresh;
    cc_fini(cc);
    cc_init(cc, ops, cc->env, mss);
    cc->cwnd = cwnd;
    cc->ssthresh = ssthresh;
}

void cc_fini(struct tcp_cc *cc)
{
    if (cc->ops->fini != NULL)
        cc->ops->fini(cc);
}

void cc_start(struct tcp_cc *cc, uint32_t mss)
{
    cc_fini(cc);
    cc_init(cc, cc->ops, cc->env, mss);
}

void cc_lost_syns(struct tcp_cc *cc, uint32_t mss) { cc->cwnd = mss; }

void cc_keep(struct tcp_cc *cc, struct cc_prior *prior)
{
    *prior = (struct cc_prior){cc->cwnd, cc->ssthresh, cc->own};
    cc->may_undo = true;
}

void cc_on_recovery(struct tcp_cc *cc, const struct cc_loss *loss)
{
    struct cc_loss within = cc_within(loss, cc->cwnd);
    cc->ops->on_recovery(cc, &within);
}

void cc_on_recovered(struct tcp_cc *cc, const struct cc_loss *loss)
{
    cc->ops->on_recovered(cc, loss);
}

void cc_on_ecn(struct tcp_cc *cc, const struct cc_loss *loss)
{
    cc->ops->on_ecn(cc, loss);
    /* RFC 4015 3: an explicit report is never spurious. */
    cc->may_undo = false;
}

void cc_on_rto(struct tcp_cc *cc, const struct cc_loss *loss, bool first)
{
    cc->ops->on_rto(cc, loss, first);
}

void cc_undo(struct tcp_cc *cc, const struct cc_prior *prior, const struct cc_loss *now,
             uint32_t cwnd_max)
{
    if (!cc->may_undo)
        return;
    cc->may_undo = false;
    cc->cwnd = u32_max(cc->cwnd, u32_min(prior->cwnd, cwnd_max));
    /* RFC 4015 3.2 (8): slow start may go on to where it was. */
    cc->ssthresh = u32_max(cc->ssthresh, u32_max(prior->ssthresh, prior->cwnd));
    cc->own = prior->own;
    if (cc->ops->on_undo != NULL)
        cc->ops->on_undo(cc, now);
}

/* In congestion avoidance (RFC 9002 7.7), so that what leaves is not in step with the ACKs: at a
 * full queue the ACK clock alone lets one flow take every place that another makes (Floyd and
 * Jacobson 1992).
 *
 * None there while cwnd is no limit, so that replies leave at once, and none of small windows:
 * pairs of segments that wait for their time cost a window of a dozen some per cent. None at all
 * where a round trip is shorter than timers are good for. */
void cc_pace(struct tcp_cc *cc, const struct cc_ack *a)
{
    uint32_t quarters = 8;
    if (cc->cwnd >= cc->ssthresh)
        quarters = a->was_cwnd_limited && cc->cwnd > PACED_SEGMENTS * a->mss ? 5 : 0;
    cc->pacing_rate = 0;
    if (a->srtt >= 2 * PACE_INTERVAL)
        cc->pacing_rate = quarters * (uint64_t)cc->cwnd * NS_PER_S / 4 / a->srtt;
}

void cc_grow(struct tcp_cc *cc, const struct cc_ack *a, uint32_t *bytes_acked)
{
    if (!a->was_cwnd_limited)
        return; /* RFC 7661: an unused window is not evidence that more would fit */
    if (cc->cwnd < cc->ssthresh) {
        /* DEVIATES RFC 5681 3.1: grows by all bytes acknowledged, not at most one SMSS per ACK,
         * because a link that merges segments yields one ACK for up to 64 KiB. Splitting ACKs still
         * gains a peer nothing. */
        uint32_t room = cc->ssthresh - cc->cwnd;
        cc->cwnd += u32_min(a->acked, u32_max(room, a->mss));
        return;
    }
    *bytes_acked += a->acked;
    if (*bytes_acked >= cc->cwnd) {
        *bytes_acked -= cc->cwnd;
        cc->cwnd += a->mss; /* RFC 5681 3.1 (MUST): at most one SMSS per RTT */
    }
}

void cc_restart(struct tcp_cc *cc, uint32_t mss, ns_t idle, ns_t rto)
{
    if (idle > rto)
        cc->cwnd = u32_min(cc->cwnd, cc_initial_window(mss)); /* RFC 5681 4.1 (SHOULD) */
}

void cc_on_idle(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto)
{
    cc->ops->on_idle(cc, now, idle, rto);
}
