/* conn.c: connections coming, being touched and going. Invariants in conn.h.
 *
 * Called by all of stack/ around each step into tcp/.
 */
#include "stack/conn.h"

#include "stack/egress.h"
#include "stack/fastopen.h"
#include "stack/path.h"
#include "stack/timewait.h"
#include "tcp/respond.h"
#include "tcp/timeout.h"
#include "tcp/user.h"

_Static_assert(sizeof(struct conn) <= 992,
               "idle it costs 1 KiB, its shares of the tables included");

struct conn *conn_at(const ut_stack *s, uint32_t index)
{
    struct conn *c = pool_at(&s->conns, index);
    return c != NULL && conn_is_live(c) ? c : NULL;
}

struct conn *conn_of(const ut_stack *s, ut_handle h)
{
    uint32_t low = (uint32_t)h;
    if (low == 0 || low > DEMUX_INDEX_MAX)
        return NULL;
    struct conn *c = conn_at(s, low - 1);
    return c != NULL && c->notice.handle == h ? c : NULL;
}

/* A new generation for the slot pool_get will hand out next. */
static uint32_t conn_next_generation(const ut_stack *s)
{
    const struct conn *former = pool_at(&s->conns, s->conns.free_head);
    return former != NULL ? (uint32_t)(former->notice.handle >> 32) + 1 : 1;
}

int conn_new(ut_stack *s, const struct flow_key *key, uint32_t instead, struct conn **out)
{
    if (s->conns.in_use >= s->config.max_connections)
        return -UT_E_TOO_MANY;
    if (!stack_reserve_deadline(s) || (instead == 0 && !demux_reserve(&s->demux)))
        return -UT_E_NO_MEMORY;
    uint32_t generation = conn_next_generation(s), index;
    struct conn *c = pool_get(&s->conns, &index);
    if (c == NULL)
        return -UT_E_NO_MEMORY;
    c->key = *key;
    c->key.owners = demux_flow_label(&s->demux, key);
    c->notice.handle = (ut_handle)generation << 32 | (index + 1);
    list_init(&c->notice.node);
    list_init(&c->work);
    c->timer = (struct deadline_node){.at = TIME_NEVER, .kind = DEADLINE_CONN};
    c->ttl = CONN_TTL_DEFAULT;
    c->may_be_heard = true;
    uint32_t ref = demux_ref(RECORD_CONN, index);
    if (instead != 0)
        demux_replace(&s->demux, key, instead, ref);
    else
        demux_insert(&s->demux, key, ref);
    s->last_flow.ref = 0;
    *out = c;
    return 0;
}

void conn_add_up(struct totals *sum, const struct tcb *t)
{
    sum->segs_out += t->segs_out;
    sum->data_segs_out += t->data_segs_out;
    sum->bytes_out += t->sendq.una;
    sum->bytes_in += t->reasm.nxt;
    sum->bytes_retransmitted += t->bytes_retransmitted;
    sum->retransmits += t->retransmits;
    sum->rto_count += t->rto_count;
    sum->fast_recoveries += t->fast_recoveries;
    sum->dup_acks_in += t->dup_acks_in;
    sum->challenge_acks += t->challenge_acks;
    sum->tlp_probes += t->tlp_probes;
    sum->spurious_retransmits += t->dsacks_in;
    sum->spurious_recoveries += t->undos;
}

/* Nobody hears it under its name any more. */
static void conn_leave_demux(ut_stack *s, struct conn *c)
{
    if (!c->may_be_heard)
        return;
    demux_remove(&s->demux, &c->key, demux_ref(RECORD_CONN, conn_index(c)));
    c->may_be_heard = false;
    s->last_flow.ref = 0;
}

void conn_free(ut_stack *s, struct conn *c)
{
    conn_leave_demux(s, c);
    events_forget(&s->events, &c->notice);
    list_remove(&c->work);
    deadline_remove(&s->heap, &c->timer);
    conn_add_up(&s->totals, &c->tcb);
    tcb_fini(&c->tcb);
    uint32_t index = conn_index(c);
    c->key.lport = 0;
    pool_put(&s->conns, index);
}

void conn_mark_dirty(ut_stack *s, struct conn *c)
{
    if (c->is_waiting || list_is_linked(&c->work))
        return;
    list_append(&s->dirty, &c->work);
}

void conn_wait(ut_stack *s, struct conn *c)
{
    list_remove(&c->work);
    list_append(&s->waiting, &c->work);
    c->is_waiting = true;
}

void conn_trace(ut_stack *s, struct conn *c, struct trace_cause cause)
{
    struct tcp_moves *moves = &s->env.moves;
    if (moves->count == 0)
        return;
    struct trace_subject of = {s->now,     c->notice.handle, &c->key,
                               c->tcb.iss, c->tcb.irs,       c->tcb.error};
    for (uint32_t i = 0; i < moves->count; i++) {
        if (moves->item[i].from == TCP_SYN_RECEIVED && c->fast_open != 0)
            fast_open_ended(s, c);
        if (moves->item[i].from == TCP_SYN_SENT && c->tcb.fast_open.on)
            fast_open_learn(s, c, moves->item[i].to, cause.is_received ? cause.seg : NULL);
        /* The half-open entry told LISTEN -> SYN-RECEIVED already. */
        if (moves->item[i].from == TCP_CLOSED && moves->item[i].to == TCP_SYN_RECEIVED)
            continue;
        if (moves->item[i].from == moves->item[i].to)
            path_note(s, c);
        else
            trace_add(&s->trace, &of, moves->item[i].from, moves->item[i].to, cause);
    }
    moves->count = 0;
}

static void conn_count_end(ut_stack *s, const struct conn *c)
{
    switch (c->tcb.error) {
    case UT_E_RESET:
    case UT_E_REFUSED:
        stack_count(s, COUNTER_connections_reset);
        break;
    case UT_E_TIMED_OUT:
        stack_count(s, COUNTER_connections_timed_out);
        break;
    case UT_E_ABORTED:
        stack_count(s, COUNTER_connections_aborted);
        break;
    case UT_E_HOST_UNREACHABLE:
    case UT_E_NET_UNREACHABLE:
        stack_count(s, COUNTER_connections_unreachable);
        break;
    default:
        break;
    }
}

/* The last thing its user hears of it, once. */
static void conn_end(ut_stack *s, struct conn *c)
{
    if (!c->may_be_heard)
        return;
    c->tcb.events |= TCP_EV_CLOSED;
    if (c->tcb.state == TCP_TIME_WAIT) {
        s->last_flow.ref = 0;
        timewait_enter(s, c);
        c->may_be_heard = false;
        deadline_set(&s->heap, &c->timer,
                     c->has_user ? time_after(s->now, 2 * s->config.msl_ns) : TIME_NEVER);
        return;
    }
    conn_count_end(s, c);
    conn_leave_demux(s, c);
    deadline_set(&s->heap, &c->timer, TIME_NEVER);
    list_remove(&c->work);
    c->is_waiting = false;
}

void conn_tell(ut_stack *s, struct conn *c)
{
    uint32_t events = c->tcb.events;
    c->tcb.events = 0;
    c->notice.error = c->tcb.error;
    if (c->has_user)
        events_tell(&s->events, &c->notice, events);
    else
        c->notice.events |= events; /* told when it is accepted */
}

void conn_after(ut_stack *s, struct conn *c, struct trace_cause cause)
{
    conn_trace(s, c, cause);
    bool is_closed = c->tcb.state == TCP_CLOSED;
    if (UT_UNLIKELY(is_closed || c->tcb.state == TCP_TIME_WAIT))
        conn_end(s, c);
    conn_tell(s, c);
    if (!is_closed)
        conn_mark_dirty(s, c); /* in TIME-WAIT the ACK of the peer's FIN has yet to leave */
    else if (!c->has_user && c->listener == 0)
        conn_free(s, c);
}

/* With a user it shows TIME-WAIT for as long as the record lasts. */
static void conn_time_wait_over(ut_stack *s, struct conn *c)
{
    ns_t until = timewait_until(s, &c->key);
    if (until > s->now) {
        deadline_set(&s->heap, &c->timer, until);
        return;
    }
    tcp_set_state(&c->tcb, TCP_CLOSED);
    s->env.moves.count = 0; /* told by the record */
}

void conn_timeout(ut_stack *s, struct conn *c)
{
    if (c->tcb.state == TCP_CLOSED)
        return;
    if (c->tcb.state == TCP_TIME_WAIT) {
        conn_time_wait_over(s, c);
        return;
    }
    tcp_timeout(&c->tcb, s->now);
    conn_after(s, c, (struct trace_cause){.call = "timeout"});
}

void conn_abort(ut_stack *s, struct conn *c, int error, const char *call)
{
    struct tcp_seg rst;
    struct trace_cause cause = {.call = call};
    if (c->tcb.state == TCP_CLOSED)
        return;
    if (respond_abort(&c->tcb, s->now, &rst)) {
        egress_segment(s, &c->key, &rst, NULL);
        cause.seg = &rst;
    }
    if (c->tcb.state != TCP_TIME_WAIT)
        tcp_abort(&c->tcb, error);
    conn_after(s, c, cause);
}

bool conn_is_unfinished(const struct conn *c)
{
    const struct tcb *t = &c->tcb;
    if (t->state == TCP_CLOSED || t->state == TCP_TIME_WAIT)
        return false;
    return sendq_held(&t->sendq) > 0 || (t->fin_queued && !tcb_fin_acked(t));
}
