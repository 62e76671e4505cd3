/* conn.h: a connection as the stack sees it: its tcb, its name, its user, its place on the lists.
 *
 *   1. it is in the demux from conn_new until its tcb is CLOSED or TIME-WAIT
 *   2. it lives on after that while it has a user, who may read what was received
 *   3. `work` is on the dirty or on the waiting list, or on none; `notice` on the ready list only
 * with a user, on its listener's accept queue only without
 *   4. its deadline node has the earliest of tcb's timers after each stack_settle
 */
#ifndef UT_STACK_CONN_H
#define UT_STACK_CONN_H

#include "stack/stack.h"
#include "tcp/half.h"
#include "tcp/tcb.h"
#include "tcp/verdict.h"

struct conn {
    struct flow_key key; /* owners: the IPv6 flow label */
    struct notice notice;
    struct list work;
    struct deadline_node timer;
    struct tcb tcb;
    neigh_ref neighbour;
    uint32_t listener; /* index + 1 of whose accept queue it is on; 0 = none */
    uint8_t ttl, dscp;
    bool has_user;
    uint8_t discover;     /* enum path_discover */
    bool may_fragment;    /* IPv4 packets leave without DF */
    bool is_waiting;      /* on the waiting list */
    bool may_be_heard;    /* in the demux */
    bool resets_on_close; /* UT_OPT_LINGER 0 */
    uint32_t fast_open;   /* index + 1 of whose pending ones it is among, RFC 7413; 0 = none */
};

#define CONN_TTL_DEFAULT 64 /* RFC 9293 3.9.2 (SHLD-23): configurable */

static inline bool conn_is_live(const struct conn *c) { return c->key.lport != 0; }
static inline uint32_t conn_index(const struct conn *c)
{
    return (uint32_t)(c->notice.handle & UINT32_C(0x7fffffff)) - 1;
}
/* NULL: no such index, or free. */
struct conn *conn_at(const ut_stack *s, uint32_t index);
/* Whoever has the handle, user or not; NULL: stale. */
struct conn *conn_of(const ut_stack *s, ut_handle h);

/* A CLOSED connection in the demux, in place of the record `instead` (0: of none). -TOO_MANY or
 * -NO_MEMORY. */
int conn_new(ut_stack *s, const struct flow_key *key, uint32_t instead, struct conn **out);
/* Its tcb must be CLOSED or TIME-WAIT. */
void conn_free(ut_stack *s, struct conn *c);
/* After every call into tcp/ on it: events, transitions (by `cause`), the end of its life, and the
 * dirty list. May free it when it has no user. */
void conn_after(ut_stack *s, struct conn *c, struct trace_cause cause);
/* Passes on what the tcb has to tell its user. */
void conn_tell(ut_stack *s, struct conn *c);
/* Output has to be asked for. */
void conn_mark_dirty(ut_stack *s, struct conn *c);
/* Nothing can be sent until its station is known. */
void conn_wait(ut_stack *s, struct conn *c);
/* Puts its transitions into the trace. */
void conn_trace(ut_stack *s, struct conn *c, struct trace_cause cause);
/* Its deadline has come. */
void conn_timeout(ut_stack *s, struct conn *c);
/* RST if one is due, then CLOSED with `error`; what conn_after does follows. */
void conn_abort(ut_stack *s, struct conn *c, int error, const char *call);
/* Adds what it counted to the stack's totals. */
void conn_add_up(struct totals *sum, const struct tcb *t);
/* Unsent or unacknowledged data, or a FIN that is. */
bool conn_is_unfinished(const struct conn *c);

#endif
