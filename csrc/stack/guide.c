/* guide.c: what lies between tcp/cc_external.h and ut_cc_*. Called by api/.
 */
#include "stack/guide.h"

#include "base/errors.h"
#include "tcp/cc_external.h"
#include "tcp/options.h"
#include "tcp/user.h"

_Static_assert((int)CC_EV_RECOVERY == UT_CC_RECOVERY && (int)CC_EV_RECOVERED == UT_CC_RECOVERED &&
                   (int)CC_EV_RTO == UT_CC_RTO && (int)CC_EV_UNDO == UT_CC_UNDO &&
                   (int)CC_EV_ECN == UT_CC_ECN && (int)CC_EV_IDLE == UT_CC_IDLE &&
                   (int)CC_EV_OVERDUE == UT_CC_OVERDUE,
               "events are the public ones");
_Static_assert((int)CC_SETS_CWND == UT_CC_CWND && (int)CC_SETS_SSTHRESH == UT_CC_SSTHRESH &&
                   (int)CC_SETS_RATE == UT_CC_PACING_RATE && (int)CC_SETS_AT == UT_CC_INTERVAL,
               "fields are the public ones");

int guide_attach(ut_stack *s, struct conn *c, unsigned flags, uint64_t interval_ns)
{
    struct tcb *t = &c->tcb;
    if (t->state < TCP_ESTABLISHED || (flags & ~(unsigned)UT_CC_SOLE) != 0)
        return -UT_E_INVALID; /* before, the segment size is not known yet */
    const struct cc_ops *ops = flags & UT_CC_SOLE ? &cc_external_sole : &cc_external;
    struct cc_external *x = cc_external_attach(&t->cc, ops, t->snd_mss - options_data_length(t));
    if (x == NULL)
        return -UT_E_NO_MEMORY;
    x->owner = c->notice.handle;
    x->interval = interval_ns;
    x->since = s->now;
    return 0;
}

bool guide_detach(ut_stack *s, struct conn *c)
{
    if (!cc_is_external(&c->tcb.cc))
        return false;
    tcp_set_congestion(&c->tcb, s->env.cc.standard);
    conn_mark_dirty(s, c);
    return true;
}

static void guide_fill(const struct cc_external *x, ns_t now, ut_cc_report *out)
{
    const struct tcp_cc *cc = x->cc;
    *out = (ut_cc_report){
        .handle = x->owner,
        .at_ns = now,
        .interval_ns = time_between(x->since, now),
        .acked = x->acked,
        .delivered = x->delivered,
        .lost = x->lost,
        .delivery_rate = x->rate,
        .delivery_rate_max = x->rate_max,
        .rtt_min_ns = x->rtt_min,
        .rtt_last_ns = x->rtt_last,
        .srtt_ns = x->srtt,
        .pacing_rate = cc->pacing_rate,
        .cwnd = cc->cwnd,
        .ssthresh = cc->ssthresh,
        .pipe = x->pipe,
        .mss = x->mss,
        .acks = x->acks,
        .marks = x->marks,
        .events = x->events,
        .flags =
            (x->app_limited ? UT_CC_APP_LIMITED : 0u) | (x->cwnd_limited ? UT_CC_CWND_LIMITED : 0u),
    };
}

int guide_reports(ut_stack *s, ut_cc_report *out, int max)
{
    int count = 0;
    struct cc_external *x;
    while (count < max && (x = cc_external_next(&s->env.cc)) != NULL) {
        guide_fill(x, s->now, &out[count++]);
        cc_external_taken(x, s->now);
    }
    return count;
}

bool guide_decide(ut_stack *s, const ut_cc_decision *d)
{
    struct conn *c = conn_of(s, d->handle);
    if (c == NULL || !cc_is_external(&c->tcb.cc))
        return false;
    cc_external_decide(&c->tcb.cc, &(struct cc_decision){d->fields, d->cwnd, d->ssthresh,
                                                         d->pacing_rate, d->interval_ns});
    if (d->fields != 0 && c->tcb.state != TCP_CLOSED)
        conn_mark_dirty(s, c);
    return true;
}
