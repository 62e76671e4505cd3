/* usertcp_cc.h: congestion control that the host decides, many connections at a time.
 *
 * What happened to a connection is gathered in the engine until a report is due: once per interval,
 * at once when an episode of congestion begins or is undone. A turn leaves reports,
 * `ut_shared.reports_pending` of them; ut_cc_reports takes them, ut_cc_decide answers. A connection
 * whose reports are not answered goes by RFC 5681 until they are; docs/design/congestion.md.
 */
#ifndef USERTCP_CC_H
#define USERTCP_CC_H

#include "include/usertcp.h"

/* CDEF BEGIN */

/* ut_cc_report.events */
enum {
    UT_CC_RECOVERY = 1,  /* fast recovery has begun */
    UT_CC_RECOVERED = 2, /* and is over */
    UT_CC_RTO = 4,       /* the retransmission time-out has fired: cwnd is one segment */
    UT_CC_UNDO = 8,      /* the episode was none: cwnd and ssthresh are back */
    UT_CC_ECN = 16,      /* ECE has come, for the first time in a window */
    UT_CC_IDLE = 32,     /* sending began again after a pause with nothing in flight */
    UT_CC_OVERDUE = 64   /* decisions were waited for too long: RFC 5681 has taken over */
};
/* ut_cc_report.flags */
enum { UT_CC_APP_LIMITED = 1, UT_CC_CWND_LIMITED = 2 };
/* ut_cc_decision.fields */
enum { UT_CC_CWND = 1, UT_CC_SSTHRESH = 2, UT_CC_PACING_RATE = 4, UT_CC_INTERVAL = 8 };
/* ut_cc_attach: what to do about losses is decided by the host too. */
enum { UT_CC_SOLE = 1 };

/* What happened since the report before, and how things are. */
typedef struct {
    ut_handle handle;
    uint64_t at_ns, interval_ns;         /* now; since the report before */
    uint64_t acked, delivered, lost;     /* bytes */
    uint64_t delivery_rate;              /* bytes per second, the latest sample; 0 = none yet */
    uint64_t delivery_rate_max;          /* the greatest of the interval; 0 = no sample */
    uint64_t rtt_min_ns;                 /* of the interval; 0 = no sample */
    uint64_t rtt_last_ns, srtt_ns;       /* the latest sample, the smoothed one; 0 = none yet */
    uint64_t pacing_rate;                /* bytes per second, 0 = not paced */
    uint32_t cwnd, ssthresh, pipe, mss;  /* bytes */
    uint32_t acks, marks, events, flags; /* ACKs with news; ECE, once per window */
} ut_cc_report;

typedef struct {
    ut_handle handle;
    uint64_t pacing_rate; /* bytes per second, 0 = not paced */
    uint64_t interval_ns; /* between reports from now on; 0: a round trip */
    uint32_t cwnd, ssthresh;
    uint32_t fields; /* UT_CC_CWND ...: which of these count */
    uint32_t reserved;
} ut_cc_decision;

/* An established connection goes by the host's decisions from now on. -NO_MEMORY; -INVALID before
 * it is established. */
int ut_cc_attach(ut_stack *s, ut_handle h, unsigned flags, uint64_t interval_ns, uint64_t now);
/* It does so no more, but by the stack's congestion control; `failed`: counted as such. Nothing
 * happens to one that did not. */
int ut_cc_detach(ut_stack *s, ut_handle h, int failed, uint64_t now);
/* Takes up to `max` of the oldest reports; each is to be answered, if need be by no fields. */
int ut_cc_reports(ut_stack *s, ut_cc_report *out, int max);
/* Returns how many concerned a connection that goes by decisions. */
int ut_cc_decide(ut_stack *s, const ut_cc_decision *decisions, int count, uint64_t now);

/* CDEF END */

#endif
