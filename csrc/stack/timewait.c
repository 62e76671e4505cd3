/* timewait.c: the queue of TIME-WAIT records; see timewait.h.
 *
 * Called by conn.c when a connection gets there, by ingress.c with what still arrives, by poll.c
 * when the oldest ends. RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191.
 */
#include "stack/timewait.h"

#include "stack/egress.h"
#include "stack/half_open.h"

_Static_assert(sizeof(struct time_wait) <= 64, "architecture.md: a record costs at most 64 bytes");

void timewait_init(ut_stack *s)
{
    s->time_wait = (struct time_wait_queue){.head = POOL_NONE, .tail = POOL_NONE};
    s->time_wait.timer = (struct deadline_node){.at = TIME_NEVER, .kind = DEADLINE_TIME_WAIT};
}

static struct time_wait *timewait_at(const ut_stack *s, uint32_t index)
{
    return pool_at(&s->time_waits, index);
}

/* The end of a wait that begins now, rounded up. */
static uint32_t timewait_end_ms(const ut_stack *s)
{
    return (uint32_t)((s->now + 2 * s->config.msl_ns + NS_PER_MS - 1) / NS_PER_MS);
}

ns_t timewait_end(const ut_stack *s, const struct time_wait *w)
{
    uint64_t now_ms = s->now / NS_PER_MS;
    int32_t left = (int32_t)(w->key.owners - (uint32_t)now_ms);
    return left <= 0 ? 0 : (now_ms + (uint64_t)left) * NS_PER_MS;
}

bool timewait_is_live(const ut_stack *s, const struct time_wait *w)
{
    return w->key.lport != 0 && timewait_end(s, w) > s->now;
}

static void timewait_append(ut_stack *s, uint32_t index)
{
    struct time_wait_queue *q = &s->time_wait;
    timewait_at(s, index)->next = POOL_NONE;
    if (q->tail != POOL_NONE)
        timewait_at(s, q->tail)->next = index;
    else
        q->head = index;
    q->tail = index;
}

static uint32_t timewait_pop(ut_stack *s)
{
    struct time_wait_queue *q = &s->time_wait;
    uint32_t index = q->head;
    q->head = timewait_at(s, index)->next;
    if (q->head == POOL_NONE)
        q->tail = POOL_NONE;
    return index;
}

static void timewait_arm(ut_stack *s)
{
    uint32_t head = s->time_wait.head;
    ns_t at =
        head != POOL_NONE ? u64_max(timewait_end(s, timewait_at(s, head)), s->now + 1) : TIME_NEVER;
    deadline_set(&s->heap, &s->time_wait.timer, at);
}

/* Its name is free again; the record itself goes when it comes to the front. */
static void timewait_forget(ut_stack *s, uint32_t index, struct trace_cause cause)
{
    struct time_wait *w = timewait_at(s, index);
    if (w->key.lport == 0)
        return;
    demux_remove(&s->demux, &w->key, demux_ref(RECORD_TIME_WAIT, index));
    s->last_flow.ref = 0;
    struct trace_subject of = {s->now, 0, &w->key, w->tw.snd_nxt, w->tw.rcv_nxt, 0};
    trace_add(&s->trace, &of, TCP_TIME_WAIT, TCP_CLOSED, cause);
    w->key.lport = 0;
}

static void timewait_free(ut_stack *s, uint32_t index, const char *why)
{
    timewait_forget(s, index, (struct trace_cause){.call = why});
    pool_put(&s->time_waits, index);
}

void timewait_enter(ut_stack *s, const struct conn *c)
{
    uint32_t from = demux_ref(RECORD_CONN, conn_index(c)), index;
    stack_count(s, COUNTER_time_wait_entered);
    if (s->time_waits.in_use == s->config.max_time_wait && s->time_wait.head != POOL_NONE) {
        stack_count(s, COUNTER_time_wait_evicted);
        timewait_free(s, timewait_pop(s), "table full");
    }
    struct time_wait *w = pool_get(&s->time_waits, &index);
    if (w == NULL) {
        demux_remove(&s->demux, &c->key, from);
        return;
    }
    w->key = c->key;
    w->key.owners = timewait_end_ms(s);
    tw_init(&w->tw, &c->tcb);
    w->tw.is_shown = c->has_user;
    demux_replace(&s->demux, &w->key, from, demux_ref(RECORD_TIME_WAIT, index));
    timewait_append(s, index);
    timewait_arm(s);
}

/* Would the SYN open anything? Else nothing ends the wait. Not by a cookie: its ISN cannot be made
 * larger than the last number used (RFC 9293 3.6.1, MAY-2). */
static bool timewait_may_reopen(ut_stack *s, const struct rx *rx)
{
    const struct listener *l = listen_for(s, &rx->key);
    return l != NULL && s->config.syn_cookies != 2 && half_open_has_room(s, l);
}

bool timewait_arrive(ut_stack *s, struct rx *rx, uint32_t index, seq32 *isn_after)
{
    struct time_wait *w = timewait_at(s, index);
    struct tcp_seg ack;
    if (!timewait_is_live(s, w)) {
        timewait_forget(s, index, (struct trace_cause){.call = "2 MSL"});
        return false;
    }
    struct tcp_verdict v = tw_arrive(&w->tw, &rx->seg);
    if (v.reason != DROP_none)
        stack_drop(s, v.reason);
    switch (v.kind) {
    case VERDICT_SYN:
        if (!timewait_may_reopen(s, rx)) {
            stack_drop(s, DROP_tcp_time_wait);
            break;
        }
        /* RFC 9293 3.6.1 (MAY-2): a new connection under the same name. */
        *isn_after = w->tw.snd_nxt;
        stack_count(s, COUNTER_time_wait_reused);
        timewait_forget(s, index, (struct trace_cause){.seg = &rx->seg, .is_received = true});
        return false;
    case VERDICT_RESTART:
        w->key.owners = timewait_end_ms(s);
        break;
    case VERDICT_ACK:
        break;
    default:
        return true;
    }
    tw_ack(&w->tw, s->now, &ack);
    egress_segment(s, &w->key, &ack, rx_station(s, rx));
    return true;
}

/* The record of that name, or NULL. */
static struct time_wait *timewait_of(ut_stack *s, const struct flow_key *key)
{
    uint32_t ref = demux_find(&s->demux, key);
    return demux_kind(ref) == RECORD_TIME_WAIT ? timewait_at(s, demux_index(ref)) : NULL;
}

ns_t timewait_until(ut_stack *s, const struct flow_key *key)
{
    const struct time_wait *w = timewait_of(s, key);
    return w != NULL ? timewait_end(s, w) : 0;
}

void timewait_hide(ut_stack *s, const struct flow_key *key)
{
    struct time_wait *w = timewait_of(s, key);
    if (w != NULL)
        w->tw.is_shown = false;
}

void timewait_timeout(ut_stack *s)
{
    struct time_wait_queue *q = &s->time_wait;
    /* The timer was set by the front record's end: when that still lives it was restarted since. */
    if (q->head != POOL_NONE && timewait_is_live(s, timewait_at(s, q->head)))
        timewait_append(s, timewait_pop(s));
    while (q->head != POOL_NONE && !timewait_is_live(s, timewait_at(s, q->head)))
        timewait_free(s, timewait_pop(s), "2 MSL");
    timewait_arm(s);
}
