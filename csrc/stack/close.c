/* close.c: called by api/ for ut_shutdown, ut_close, ut_abort.
 */
#include "stack/close.h"

#include "stack/egress.h"
#include "stack/timewait.h"
#include "tcp/respond.h"
#include "tcp/user.h"

int close_sending(ut_stack *s, struct conn *c)
{
    int code = tcp_shutdown(&c->tcb, s->now);
    if (c->tcb.state != TCP_CLOSED || c->may_be_heard)
        conn_after(s, c, (struct trace_cause){.call = "shutdown"});
    return code;
}

void close_conn(ut_stack *s, struct conn *c, bool abort)
{
    struct tcb *t = &c->tcb;
    c->has_user = false;
    events_forget(&s->events, &c->notice);
    if (t->state == TCP_CLOSED) {
        conn_free(s, c);
        return;
    }
    if (t->state == TCP_TIME_WAIT) {
        timewait_hide(s, &c->key);
        deadline_set(&s->heap, &c->timer, TIME_NEVER);
        conn_mark_dirty(s, c); /* freed once its last ACK has left */
        return;
    }
    /* RFC 9293 3.6.1 (SHLD-3): what the user never read was not delivered, and the peer must know.
     */
    if (abort || c->resets_on_close || tcp_close_must_reset(t)) {
        conn_abort(s, c, UT_E_ABORTED, abort ? "abort" : "close");
        return;
    }
    tcp_close(t, s->now);
    conn_after(s, c, (struct trace_cause){.call = "close"});
}
