/* timewait.h: TIME-WAIT in 64 bytes: the record, its queue, what arrives for it.
 *
 *      head -> oldest -> ... -> youngest <- tail        all last 2 MSL, so a queue keeps their
 * order
 *
 *   1. a record restarted (RFC 9293 3.10.7.4: a retransmitted FIN) stays where it is and goes to
 * the tail when it comes to the front
 *   2. a record is never believed past its deadline, wherever it stands in the queue
 *   3. a record whose name was taken over (lport 0) stays in the queue until it comes to the front
 */
#ifndef UT_STACK_TIMEWAIT_H
#define UT_STACK_TIMEWAIT_H

#include "stack/conn.h"
#include "stack/ingress.h"
#include "tcp/time_wait.h"

struct time_wait {
    struct flow_key key; /* owners: when it ends, ms, modulo 2^32 */
    struct tcp_tw tw;
    uint32_t next; /* index, POOL_NONE = last */
};

void timewait_init(ut_stack *s);
/* The connection has entered TIME-WAIT: a record takes its place in the demux, if there is room. */
void timewait_enter(ut_stack *s, const struct conn *c);
/* A segment for it. True: it was dealt with; false: the record is gone now, and the segment belongs
 * to a listener (*isn_after set: the new ISN must lie beyond it) or to nobody. */
bool timewait_arrive(ut_stack *s, struct rx *rx, uint32_t index, seq32 *isn_after);
/* When the record of that name ends; 0: there is none. */
ns_t timewait_until(ut_stack *s, const struct flow_key *key);
/* The connection that showed it has lost its user. */
void timewait_hide(ut_stack *s, const struct flow_key *key);
/* Its deadline has come: frees what has ended. */
void timewait_timeout(ut_stack *s);
/* Still believed. */
bool timewait_is_live(const ut_stack *s, const struct time_wait *w);
/* When it ends; 0 when it has ended. */
ns_t timewait_end(const ut_stack *s, const struct time_wait *w);

#endif
