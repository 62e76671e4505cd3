/* cc_external.c: congestion control by reports and decisions, and what holds between them.
 *
 * Called by way of cc.h, and by stack/guide.c.
 */
#include "tcp/cc_external.h"

#include "base/base.h"
#include "tcp/rate.h"

#define PATIENCE (100 * NS_PER_MS) /* or four round trips, if that is longer */
#define INTERVAL_MIN NS_PER_MS
#define CWND_MAX (UINT32_C(1) << 30)

_Static_assert(sizeof(struct cc_external) + 4 <= CC_LARGE, "the pool's objects are large enough");

static struct cc_external *external_of(const struct tcp_cc *cc) { return cc->own.large.at; }

/* ---- the list of reports that wait ----------------------------------------------------------- */

static void list_add(struct cc_external *x)
{
    struct cc_env *env = x->cc->env;
    x->prev = env->reports.last;
    x->next = NULL;
    if (x->prev != NULL)
        x->prev->next = x;
    else
        env->reports.first = x;
    env->reports.last = x;
    x->is_due = true;
    ++*env->reports.pending;
}

static void list_drop(struct cc_external *x)
{
    struct cc_env *env = x->cc->env;
    if (!x->is_due)
        return;
    if (x->prev != NULL)
        x->prev->next = x->next;
    else
        env->reports.first = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    else
        env->reports.last = x->prev;
    x->is_due = false;
    --*env->reports.pending;
}

static void ask(struct cc_external *x, ns_t now)
{
    if (!x->is_due)
        list_add(x);
    if (x->asked_at == 0)
        x->asked_at = now;
}

static void ask_about(struct cc_external *x, uint32_t event, ns_t now)
{
    x->events |= event;
    ask(x, now);
}

/* ---- what holds without the host ------------------------------------------------------------- */

static bool is_alone(const struct cc_external *x) { return !x->is_guided || x->is_overdue; }
static bool reduces(const struct cc_external *x) { return !x->cc->ops->owns_cwnd || x->is_overdue; }

/* The host does not answer: what it decided may be good no longer. */
static void mind_patience(struct cc_external *x, ns_t now, uint32_t pipe)
{
    struct tcp_cc *cc = x->cc;
    if (x->asked_at == 0 || x->is_overdue || (!x->is_guided && cc->pacing_rate == 0) ||
        now - x->asked_at <= u64_max(PATIENCE, 4 * x->srtt))
        return;
    x->is_overdue = true;
    x->events |= CC_EV_OVERDUE;
    cc->env->reports.overdue++;
    cc->pacing_rate = 0;
    x->wanted_cwnd = 0;
    if (x->lost != 0)
        pipe /= 2; /* losses that nobody has answered */
    cc->cwnd = u32_min(cc->cwnd, u32_max(pipe, cc_initial_window(x->mss)));
    if (x->phase != CC_AFTER_RTO) /* which has left a segment in flight, and its own ssthresh */
        cc->ssthresh = u32_min(cc->ssthresh, cc->cwnd);
}

static void apply_wanted(struct cc_external *x)
{
    x->phase = CC_STEADY;
    if (x->wanted_cwnd != 0)
        x->cc->cwnd = u32_max(x->wanted_cwnd, x->mss);
    x->wanted_cwnd = 0;
}

static void reduce(struct cc_external *x, const struct cc_loss *l, uint32_t cwnd)
{
    x->cc->ssthresh = cc_half_flight(l);
    x->cc->cwnd = cwnd;
    x->bytes_acked = 0;
    x->wanted_cwnd = 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void external_init(struct tcp_cc *cc, uint32_t mss)
{
    uint32_t index;
    struct cc_external *x = pool_get(&cc->env->large, &index);
    if (x == NULL) {
        cc->ops = &cc_cubic;
        cc->ops->init(cc, mss);
        return;
    }
    cc->own.large.at = x;
    cc->own.large.index = index;
    cc->wants_log = true;
    cc->cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX;
    x->cc = cc;
    x->mss = mss;
}

static void external_fini(struct tcp_cc *cc)
{
    list_drop(external_of(cc));
    pool_put(&cc->env->large, cc->own.large.index);
}

static void measure(struct cc_external *x, const struct cc_ack *a)
{
    x->acks++;
    x->acked += a->acked;
    x->delivered += a->delivered;
    x->pipe = a->pipe;
    x->mss = a->mss;
    x->srtt = a->srtt;
    x->cwnd_limited |= a->was_cwnd_limited;
    if (a->rtt != 0) {
        x->rtt_last = a->rtt;
        x->rtt_min = x->rtt_min != 0 ? u64_min(x->rtt_min, a->rtt) : a->rtt;
    }
    if (a->rate->delivery_rate != 0) {
        x->rate = a->rate->delivery_rate;
        x->rate_max = u64_max(x->rate_max, x->rate);
        x->app_limited |= a->rate->is_app_limited;
    }
}

static void external_on_ack(struct tcp_cc *cc, const struct cc_ack *a)
{
    struct cc_external *x = external_of(cc);
    measure(x, a);
    mind_patience(x, a->now, a->pipe);
    if (x->phase == CC_IN_RECOVERY && !a->in_recovery)
        apply_wanted(x); /* it ended without a word: an undo that was not to be */
    if (x->phase != CC_IN_RECOVERY && (is_alone(x) || x->phase == CC_AFTER_RTO))
        cc_grow(cc, a, &x->bytes_acked);
    if (x->phase == CC_AFTER_RTO && cc->cwnd >= cc->ssthresh)
        apply_wanted(x);
    if (a->now >= x->due_at)
        ask(x, a->now);
}

static void external_on_lost(struct tcp_cc *cc, const struct cc_lost *l)
{
    external_of(cc)->lost += l->bytes;
}

static void external_on_recovery(struct tcp_cc *cc, const struct cc_loss *l)
{
    struct cc_external *x = external_of(cc);
    struct cc_loss had = cc_within(l, cc->cwnd);
    mind_patience(x, l->now, l->flight);
    if (reduces(x)) {
        x->phase = CC_IN_RECOVERY;
        reduce(x, &had, cc_half_flight(&had));
    }
    ask_about(x, CC_EV_RECOVERY, l->now);
}

static void external_on_recovered(struct tcp_cc *cc, const struct cc_loss *l)
{
    struct cc_external *x = external_of(cc);
    if (x->phase == CC_IN_RECOVERY) {
        cc->cwnd = u32_max(cc->ssthresh, l->mss); /* RFC 5681 3.2 (6) */
        apply_wanted(x);
    }
    ask_about(x, CC_EV_RECOVERED, l->now);
}

static void external_on_ecn(struct tcp_cc *cc, const struct cc_loss *l)
{
    struct cc_external *x = external_of(cc);
    struct cc_loss had = cc_within(l, cc->cwnd);
    mind_patience(x, l->now, l->flight);
    if (reduces(x))
        reduce(x, &had, u32_max(had.flight / 2, l->mss)); /* RFC 3168 6.1.2 */
    x->marks++;
    ask_about(x, CC_EV_ECN, l->now);
}

static void external_on_rto(struct tcp_cc *cc, const struct cc_loss *l, bool first)
{
    struct cc_external *x = external_of(cc);
    /* PRR's cwnd, or that of slow start, says less of the path than what they lead to. */
    uint32_t cwnd = x->phase == CC_STEADY ? cc->cwnd : u32_max(cc->cwnd, cc->ssthresh);
    struct cc_loss had = cc_within(l, cwnd);
    uint32_t ssthresh = first ? cc_half_flight(&had) : cc->ssthresh;
    reduce(x, l, l->mss); /* RFC 5681 3.1: the loss window */
    cc->ssthresh = ssthresh;
    x->phase = CC_AFTER_RTO;
    ask_about(x, CC_EV_RTO, l->now);
}

static void external_on_undo(struct tcp_cc *cc, const struct cc_loss *now)
{
    struct cc_external *x = external_of(cc);
    apply_wanted(x);
    ask_about(x, CC_EV_UNDO, now->now);
}

static void external_on_idle(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto)
{
    struct cc_external *x = external_of(cc);
    x->events |= CC_EV_IDLE;
    x->due_at = 0; /* with the first ACK */
    if (reduces(x) || is_alone(x))
        cc_restart(cc, now->mss, idle, rto);
}

static uint32_t external_describe(const struct tcp_cc *cc, struct cc_value *out)
{
    const struct cc_external *x = external_of(cc);
    const struct cc_value values[] = {
        {"guided", x->is_guided},
        {"overdue", x->is_overdue},
        {"phase", x->phase},
        {"interval_ns", x->interval},
    };
    memcpy(out, values, sizeof values);
    return UT_COUNTOF(values);
}

/* ---- the host -------------------------------------------------------------------------------- */

struct cc_external *cc_external_attach(struct tcp_cc *cc, const struct cc_ops *ops, uint32_t mss)
{
    cc_choose(cc, ops, mss);
    return cc->ops == ops ? external_of(cc) : NULL;
}

void cc_external_taken(struct cc_external *x, ns_t now)
{
    list_drop(x);
    x->due_at = now + (x->interval != 0 ? x->interval : u64_max(x->srtt, INTERVAL_MIN));
    x->since = now;
    x->acked = x->delivered = x->lost = 0;
    x->rate_max = 0;
    x->rtt_min = 0;
    x->acks = x->marks = x->events = 0;
    x->app_limited = x->cwnd_limited = false;
}

void cc_external_decide(struct tcp_cc *cc, const struct cc_decision *d)
{
    struct cc_external *x = external_of(cc);
    if (!x->is_due)
        x->asked_at = 0;
    x->is_overdue = false;
    if (d->fields & CC_SETS_SSTHRESH)
        cc->ssthresh = u32_max(d->ssthresh, 2 * x->mss);
    if (d->fields & CC_SETS_RATE)
        cc->pacing_rate = d->pacing_rate;
    if (d->fields & CC_SETS_AT) {
        x->due_at = x->since + (d->interval != 0 ? d->interval : u64_max(x->srtt, INTERVAL_MIN));
        x->interval = d->interval;
    }
    if (!(d->fields & CC_SETS_CWND))
        return;
    x->is_guided = true;
    x->wanted_cwnd = u32_max(u32_min(d->cwnd, CWND_MAX), x->mss);
    if (cc->ops->owns_cwnd || x->phase == CC_STEADY)
        apply_wanted(x);
}

#define EXTERNAL(owns) \
    { \
        .name = "external", .owns_cwnd = (owns), .wants_rate = true, .init = external_init, \
        .fini = external_fini, .on_ack = external_on_ack, .on_lost = external_on_lost, \
        .on_recovery = external_on_recovery, .on_recovered = external_on_recovered, \
        .on_ecn = external_on_ecn, .on_rto = external_on_rto, .on_undo = external_on_undo, \
        .describe = external_describe, .on_idle = external_on_idle, \
    }

const struct cc_ops cc_external = EXTERNAL(false);
const struct cc_ops cc_external_sole = EXTERNAL(true);
