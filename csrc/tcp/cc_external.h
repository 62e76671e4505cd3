/* cc_external.h: congestion control that the host decides: measurements are gathered here, taken as
 * reports, many at a time, and answered by decisions.
 *
 *      on_ack, on_lost ... --> struct cc_external --(due)--> cc_env.reports --> cc_external_take
 *      cwnd, ssthresh, pacing_rate <-- cc_external_decide <-- the host
 *
 *   1. a report is due once per interval, with an ACK; at once when an episode begins or is undone
 *   2. on the list exactly when is_due; `owner` is the stack's, and nothing to tcp/
 *   3. the host that has not decided yet leaves it to RFC 5681. So does one that lets a report wait
 *      for PATIENCE, until it answers: cwnd comes down to what is in flight, or half of it after
 *      losses
 *   4. a time-out takes cwnd to one segment whoever decides (RFC 5681 3.1). The rest of an episode
 *      is RFC 5681's and PRR's with cc_external: decisions on cwnd wait for its end.
 *      cc_external_sole is the host's alone
 */
#ifndef UT_TCP_CC_EXTERNAL_H
#define UT_TCP_CC_EXTERNAL_H

#include "tcp/cc.h"

/* What happened since the last report; numbers equal UT_CC_... of include/usertcp_cc.h. */
enum cc_external_event {
    CC_EV_RECOVERY = 1,
    CC_EV_RECOVERED = 2,
    CC_EV_RTO = 4,
    CC_EV_UNDO = 8,
    CC_EV_ECN = 16,
    CC_EV_IDLE = 32,
    CC_EV_OVERDUE = 64,
};

enum cc_external_phase { CC_STEADY, CC_IN_RECOVERY, CC_AFTER_RTO };

struct cc_external {
    struct cc_external *next, *prev;
    struct tcp_cc *cc;
    uint64_t owner;
    ns_t interval; /* 0: a round trip */
    ns_t due_at;
    ns_t asked_at; /* since when an answer is waited for; 0 = it is not */
    /* since the last report */
    ns_t since;
    uint64_t acked, delivered, lost;
    uint64_t rate, rate_max; /* of the latest sample, and the greatest, bytes per second */
    ns_t rtt_min, rtt_last;  /* 0 = no sample */
    uint32_t acks, marks, events;
    bool app_limited, cwnd_limited;
    /* now */
    ns_t srtt;
    uint32_t pipe, mss;
    uint32_t bytes_acked; /* RFC 3465 */
    uint32_t wanted_cwnd; /* decided in an episode, for its end; 0 = nothing */
    uint8_t phase;        /* enum cc_external_phase */
    bool is_due;
    bool is_guided; /* the host has decided on cwnd */
    bool is_overdue;
};

enum cc_decision_field { CC_SETS_CWND = 1, CC_SETS_SSTHRESH = 2, CC_SETS_RATE = 4, CC_SETS_AT = 8 };

struct cc_decision {
    uint32_t fields; /* enum cc_decision_field: which of these count */
    uint32_t cwnd, ssthresh;
    uint64_t pacing_rate;
    ns_t interval; /* between reports from now on; 0: a round trip */
};

extern const struct cc_ops cc_external, cc_external_sole;

static inline bool cc_is_external(const struct tcp_cc *cc)
{
    return cc->ops == &cc_external || cc->ops == &cc_external_sole;
}
/* From now on, in place of what was there. NULL: no memory, and CUBIC decides. The caller sets
 * owner, interval and since. */
struct cc_external *cc_external_attach(struct tcp_cc *cc, const struct cc_ops *ops, uint32_t mss);
/* The oldest report that waits, NULL = none: to be read before cc_external_taken is called. */
static inline struct cc_external *cc_external_next(const struct cc_env *env)
{
    return env->reports.first;
}
void cc_external_taken(struct cc_external *x, ns_t now);
/* The answer to a report, empty or not. */
void cc_external_decide(struct tcp_cc *cc, const struct cc_decision *d);

#endif
