/* guide.h: connections whose congestion control the host decides: reports out, decisions in.
 */
#ifndef UT_STACK_GUIDE_H
#define UT_STACK_GUIDE_H

#include "include/usertcp_cc.h"
#include "stack/conn.h"

/* 0, -INVALID before it is established, -NO_MEMORY. */
int guide_attach(ut_stack *s, struct conn *c, unsigned flags, uint64_t interval_ns);
/* Back to the stack's algorithm; true: it was the host's before. */
bool guide_detach(ut_stack *s, struct conn *c);
/* Takes up to `max` of the oldest reports. */
int guide_reports(ut_stack *s, ut_cc_report *out, int max);
/* False: no such connection goes by decisions. */
bool guide_decide(ut_stack *s, const ut_cc_decision *d);

#endif
