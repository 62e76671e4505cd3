/* listen.c: the table of listeners and their accept queues; see listen.h.
 *
 * Called by api/ for ut_listen, ut_accept and ut_close, by ingress.c with segments for a listening
 * port. RFC 9293 3.9.1.1, 3.10.7.2.
 */
#include "stack/listen.h"

#include "stack/cookie.h"
#include "stack/egress.h"
#include "stack/fastopen.h"
#include "stack/half_open.h"
#include "stack/path.h"
#include "stack/ports.h"
#include "stack/resolve.h"
#include "tcp/arrive.h"
#include "tcp/user.h"

#define LISTENER_SLAB 16u

void listen_init(ut_stack *s)
{
    pool_init(&s->listeners, &s->alloc, sizeof(struct listener), LISTENER_SLAB, LISTENERS_MAX);
    for (uint32_t i = 0; i < LISTENER_BUCKETS; i++)
        s->listener_bucket[i] = POOL_NONE;
}

/* ---- the table ------------------------------------------------------------------------------ */

struct listener *listen_at(const ut_stack *s, uint32_t index)
{
    struct listener *l = pool_at(&s->listeners, index);
    return l != NULL && l->key.lport != 0 ? l : NULL;
}

struct listener *listen_of(const ut_stack *s, ut_handle h)
{
    if (!listen_is_handle(h))
        return NULL;
    struct listener *l = listen_at(s, ((uint32_t)h & ~LISTENER_BIT) - 1);
    return l != NULL && l->notice.handle == h ? l : NULL;
}

static uint32_t *listen_bucket(ut_stack *s, uint16_t port)
{
    return &s->listener_bucket[port % LISTENER_BUCKETS];
}

/* How well the listener's address fits: 3 exactly, 2 any of IPv4, 1 any; 0 not at all. */
static int listen_fit(const struct listener *l, const struct ipaddr *ip)
{
    if (ipaddr_equal(&l->key.local, ip))
        return 3;
    if (!ipaddr_is_unspecified(&l->key.local))
        return 0;
    if (!ipaddr_is_v4(&l->key.local))
        return 1;
    return ipaddr_is_v4(ip) ? 2 : 0;
}

struct listener *listen_find(const ut_stack *s, const struct ipaddr *ip, uint16_t port)
{
    struct listener *best = NULL;
    int best_fit = 0;
    uint32_t i = s->listener_bucket[port % LISTENER_BUCKETS];
    while (i != POOL_NONE) {
        struct listener *l = pool_at(&s->listeners, i);
        int fit = l->key.lport == port ? listen_fit(l, ip) : 0;
        if (fit > best_fit) {
            best = l;
            best_fit = fit;
        }
        i = l->bucket_next;
    }
    return best;
}

/* Highest random weight: that a listener comes or goes moves no connection between the others. */
static uint32_t listen_weight(uint32_t hash, uint32_t index)
{
    uint64_t x = ((uint64_t)hash << 32 | index) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(x >> 32);
}

struct listener *listen_for(ut_stack *s, const struct flow_key *key)
{
    struct listener *best = listen_find(s, &key->local, key->lport);
    if (best == NULL || !best->shares)
        return best;
    uint32_t hash = demux_hash(&s->demux, key), most = 0;
    struct listener *l = best;
    for (;;) {
        uint32_t weight = listen_weight(hash, listen_index(l));
        if (weight > most && l->key.lport == best->key.lport &&
            ipaddr_equal(&l->key.local, &best->key.local)) {
            best = l;
            most = weight;
        }
        if (l->bucket_next == POOL_NONE)
            return best;
        l = pool_at(&s->listeners, l->bucket_next);
    }
}

bool listen_is_taken(const ut_stack *s, const struct ipaddr *ip, uint16_t port, bool share)
{
    uint32_t i = s->listener_bucket[port % LISTENER_BUCKETS];
    while (i != POOL_NONE) {
        const struct listener *l = pool_at(&s->listeners, i);
        if (l->key.lport == port && ipaddr_equal(&l->key.local, ip) && !(share && l->shares))
            return true;
        i = l->bucket_next;
    }
    return false;
}

int listen_open(ut_stack *s, const struct flow_key *local, uint32_t backlog, bool shares,
                struct listener **out)
{
    bool is_any = ipaddr_is_unspecified(&local->local);
    if (!is_any && addr_find(&s->addresses, &local->local) == NULL)
        return -UT_E_ADDRESS_NOT_AVAILABLE;
    uint16_t port = local->lport != 0 ? local->lport : ports_choose_listening(s, &local->local);
    if (port == 0)
        return -UT_E_NO_PORTS;
    /* RFC 9293 3.9.1.1 (MUST-41, MUST-42): existing connections of the port do not matter. */
    if (listen_is_taken(s, &local->local, port, shares))
        return -UT_E_ADDRESS_IN_USE;
    const struct listener *former = pool_at(&s->listeners, s->listeners.free_head);
    uint32_t generation = former != NULL ? (uint32_t)(former->notice.handle >> 32) + 1 : 1, index;
    struct listener *l = pool_get(&s->listeners, &index);
    if (l == NULL)
        return s->listeners.in_use == LISTENERS_MAX ? -UT_E_TOO_MANY : -UT_E_NO_MEMORY;
    l->key = *local;
    l->key.lport = port;
    l->notice.handle = (ut_handle)generation << 32 | LISTENER_BIT | (index + 1);
    list_init(&l->notice.node);
    list_init(&l->accept_queue);
    l->backlog = backlog;
    l->shares = shares;
    l->bucket_next = *listen_bucket(s, port);
    *listen_bucket(s, port) = index;
    *out = l;
    return 0;
}

int listen_option_set(ut_stack *s, ut_handle h, int option, int64_t value)
{
    struct listener *l = listen_of(s, h);
    switch (option) {
    case UT_OPT_CONGESTION:
        if (cc_at(value) == NULL)
            return -UT_E_INVALID;
        l->congestion = cc_at(value);
        return 0;
    case UT_OPT_ECN:
        if (value < 0 || value > 1)
            return -UT_E_INVALID;
        l->refuses_ecn = value == 0;
        return 0;
    case UT_OPT_FAST_OPEN:
        if (value < 0 || value > INT32_MAX)
            return -UT_E_INVALID;
        l->fast_open_max = (uint32_t)value;
        return 0;
    default:
        return -UT_E_NOT_SUPPORTED;
    }
}

int listen_option_get(const struct listener *l, int option, int64_t *value)
{
    if (option != UT_OPT_FAST_OPEN)
        return -UT_E_NOT_SUPPORTED;
    *value = l->fast_open_max;
    return 0;
}

void listen_shut(ut_stack *s, struct listener *l)
{
    half_open_drop_all(s, l);
    struct conn *c;
    while ((c = listen_accept(s, l)) != NULL) {
        c->has_user = false;
        if (c->tcb.state == TCP_CLOSED)
            conn_free(s, c);
        else
            conn_abort(s, c, UT_E_ABORTED, "close of its listener");
    }
    fast_open_forget_listener(s, l);
    uint32_t index = listen_index(l), *at = listen_bucket(s, l->key.lport);
    while (*at != index)
        at = &((struct listener *)pool_at(&s->listeners, *at))->bucket_next;
    *at = l->bucket_next;
    events_forget(&s->events, &l->notice);
    l->key.lport = 0;
    pool_put(&s->listeners, index);
}

/* ---- segments ------------------------------------------------------------------------------- */

static void listen_syn(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after)
{
    stack_count(s, COUNTER_syn_received);
    if (l->refuses_ecn)
        rx->seg.flags &= (uint16_t)~TCP_FLAGS_ECN;
    if (s->config.syn_cookies == 2) {
        cookie_send(s, rx);
        return;
    }
    /* 7413-01 (MUST): unless the application asked for it the option means nothing; nor while SYN
     * cookies are at work, RFC 7413 5.1. */
    rx->seg.opt.has_fast_open &= fast_open_is_served(s, l) && half_open_has_room(s, l);
    if (rx->seg.opt.has_fast_open && fast_open_begin(s, rx, l, isn_after))
        return;
    if (half_open_begin(s, rx, l, isn_after))
        return;
    /* RFC 4987 3.6: under pressure the peer keeps the state. */
    stack_count(s, COUNTER_half_open_full);
    if (s->config.syn_cookies == 1)
        cookie_send(s, rx);
    else
        stack_drop(s, DROP_tcp_half_open_full);
}

/* True: a cookie came back, good or bad. */
static bool listen_cookie(ut_stack *s, struct rx *rx, struct listener *l)
{
    struct tcp_half half;
    if (!cookie_is_possible(s, rx))
        return false;
    if (!cookie_redeem(s, rx, &half)) {
        stack_count(s, COUNTER_cookies_bad);
        stack_drop(s, DROP_tcp_cookie_bad);
        /* RFC 9293 3.10.7.2, second, asks for RST: it might be a lost connection's. But data that
         * overtook the handshake's ACK looks the same, and RST would end what is about to begin. */
        if (seg_len(&rx->seg) == 0)
            egress_reset(s, rx);
        return true;
    }
    if (l->refuses_ecn)
        half.ecn = ECN_NONE;
    if (listen_promote(s, rx, l, &(struct promotion){&half, 0, TIME_NEVER}))
        stack_count(s, COUNTER_cookies_ok);
    return true;
}

void listen_arrive(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after)
{
    if (listen_cookie(s, rx, l))
        return;
    struct tcp_verdict v = tcp_arrive_listen(&rx->seg);
    if (v.reason != DROP_none)
        stack_drop(s, v.reason);
    if (v.reset)
        egress_reset(s, rx);
    if (v.kind == VERDICT_SYN)
        listen_syn(s, rx, l, isn_after);
}

struct conn *listen_admit(ut_stack *s, struct rx *rx, struct listener *l,
                          const struct tcp_half *half, uint32_t instead)
{
    if (l->accept_count >= l->backlog) {
        /* The peer thinks it is connected; it will send again, and so will we. */
        stack_count(s, COUNTER_accept_overflows);
        stack_drop(s, DROP_tcp_accept_full);
        return NULL;
    }
    struct conn *c;
    if (conn_new(s, &rx->key, instead, &c) != 0) {
        stack_drop(s, DROP_tcp_table_full);
        return NULL;
    }
    stack_count(s, COUNTER_passive_opens);
    tcb_init(&c->tcb, &s->env, &(struct tcp_start){half->iss, half->ts_offset, half->path});
    path_begin(s, c);
    if (l->congestion != NULL)
        tcp_set_congestion(&c->tcb, l->congestion);
    c->listener = listen_index(l) + 1;
    list_append(&l->accept_queue, &c->notice.node);
    l->accept_count++;
    resolve_learn(s, rx);
    return c;
}

bool listen_promote(ut_stack *s, struct rx *rx, struct listener *l, const struct promotion *p)
{
    struct conn *c = listen_admit(s, rx, l, p->half, p->instead);
    if (c == NULL)
        return false;
    tcp_open_from_half(&c->tcb, p->half, s->now);
    c->tcb.rtt.timed_since = p->synack_at; /* RFC 6298 3: the SYN,ACK was timed too */
    struct tcp_verdict v = tcp_arrive(&c->tcb, &rx->seg, s->now);
    if (v.reset)
        egress_reset(s, rx);
    events_tell(&s->events, &l->notice, UT_ACCEPTABLE);
    conn_after(s, c, (struct trace_cause){.seg = &rx->seg, .is_received = true});
    return true;
}

struct conn *listen_accept(ut_stack *s, struct listener *l)
{
    if (list_is_empty(&l->accept_queue))
        return NULL;
    struct conn *c = UT_CONTAINER_OF(l->accept_queue.next, struct conn, notice.node);
    list_remove(&c->notice.node);
    l->accept_count--;
    c->listener = 0;
    c->has_user = true;
    uint32_t waiting = c->notice.events;
    c->notice.events = 0;
    events_tell(&s->events, &c->notice, waiting);
    return c;
}
