/* trace.h: the last state transitions of a stack, with what caused them, in figure notation.
 *
 * A ring of ut_transition; the oldest gives way. With capacity 0 nothing is kept, and nothing is
 * put into words.
 */
#ifndef UT_STACK_TRACE_H
#define UT_STACK_TRACE_H

#include "base/alloc.h"
#include "base/time.h"
#include "include/usertcp_info.h"
#include "stack/flow.h"
#include "stack/notes.h"
#include "tcp/state.h"
#include "wire/tcp.h"

struct trace {
    ut_transition *item;
    uint32_t capacity;
    uint32_t first, count;
    struct notes notes; /* states go there too, while it is on */
};

/* Why: a call or timer by name, or a segment, whose numbers are shown relative to the two bases. */
struct trace_cause {
    const char *call;          /* "connect", "timeout" ...; NULL with a segment alone */
    const struct tcp_seg *seg; /* NULL: none */
    bool is_received;          /* of the segment */
};

/* What the transition is of. */
struct trace_subject {
    ns_t now;
    ut_handle handle; /* 0 for a half-open or TIME-WAIT entry */
    const struct flow_key *key;
    seq32 iss, irs;
    int error; /* why it is CLOSED; 0: orderly */
};

/* False: out of memory. */
bool trace_init(struct trace *t, struct alloc *a, uint32_t capacity);
void trace_fini(struct trace *t, struct alloc *a);
void trace_write(struct trace *t, const struct trace_subject *of, enum tcp_state from,
                 enum tcp_state to, struct trace_cause cause);
static inline void trace_add(struct trace *t, const struct trace_subject *of, enum tcp_state from,
                             enum tcp_state to, struct trace_cause cause)
{
    if (UT_UNLIKELY(t->capacity != 0 || notes_are_on(&t->notes)))
        trace_write(t, of, from, to, cause);
}
/* Takes up to `max` of the oldest. */
int trace_take(struct trace *t, ut_transition *out, int max);

void trace_endpoint(ut_endpoint *to, const struct ipaddr *ip, uint16_t port);

#endif
