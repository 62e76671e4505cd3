/* cc.h: congestion control: how much may be in flight. What to resend is recovery.h's business.
 *
 * A table of functions and a union of per-algorithm state inside the tcb, so that switching
 * allocates nothing. Algorithms read and write cwnd and ssthresh (bytes) only.
 */
#ifndef UT_TCP_CC_H
#define UT_TCP_CC_H

#include "base/time.h"

struct tcp_cc;

/* What one ACK told. */
struct cc_ack {
    ns_t now;
    uint32_t acked;  /* bytes newly acknowledged, cumulatively */
    uint32_t flight; /* bytes outstanding before this ACK */
    uint32_t mss;
    ns_t rtt;              /* sample, 0 = none */
    bool was_cwnd_limited; /* the sender had filled cwnd */
};

struct cc_ops {
    const char *name;
    void (*init)(struct tcp_cc *cc, uint32_t mss);
    /* New data acknowledged outside fast recovery. */
    void (*on_ack)(struct tcp_cc *cc, const struct cc_ack *ack);
    /* Loss detected by duplicate ACKs or SACK: sets ssthresh and cwnd. */
    void (*on_loss)(struct tcp_cc *cc, uint32_t flight, uint32_t mss, ns_t now);
    void (*on_recovered)(struct tcp_cc *cc, uint32_t mss, ns_t now);
    /* First RTO of a flight: sets ssthresh; every RTO: cwnd (RFC 5681 3.1). */
    void (*on_rto)(struct tcp_cc *cc, uint32_t flight, uint32_t mss, bool first, ns_t now);
    /* About to send after an idle time longer than the RTO (RFC 5681 4.1). */
    void (*on_idle)(struct tcp_cc *cc, uint32_t mss);
    /* The last loss or time-out was none (RFC 3522, RFC 4015): recovery.h restores cwnd and
     * ssthresh, the algorithm what else it had changed. May be NULL. */
    void (*on_undo)(struct tcp_cc *cc, uint32_t mss, ns_t now);
    /* The algorithm paces recovery itself: PRR (RFC 9937) leaves cwnd alone. */
    bool owns_recovery;
};

struct tcp_cc {
    const struct cc_ops *ops;
    uint32_t cwnd, ssthresh; /* bytes */
    union {
        struct {
            uint32_t bytes_acked; /* RFC 3465 byte counting in congestion avoidance */
        } newreno;
    };
};

extern const struct cc_ops cc_newreno;

/* All there are, NULL-terminated; the first is the default. */
extern const struct cc_ops *const cc_all[];

/* min(10 * mss, max(2 * mss, 14600)): RFC 6928 2. */
uint32_t cc_initial_window(uint32_t mss);

#endif
