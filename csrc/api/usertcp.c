/* usertcp.c: the ut_* calls of usertcp.h on stacks, connections and listeners: arguments checked,
 * the stack's mutex taken, the handle looked up, one step into stack/ and tcp/, output settled.
 *
 * Looking (ut_get_info and the like) is in look.c.
 */
#include <errno.h>

#include "api/enter.h"
#include "api/links.h"
#include "base/errors.h"
#include "stack/busy.h"
#include "stack/close.h"
#include "stack/connect.h"
#include "stack/egress.h"
#include "stack/fastopen.h"
#include "stack/poll.h"
#include "stack/resolve.h"
#include "stack/transfer.h"

/* ---- stack ---------------------------------------------------------------------------------- */

void ut_config_default(ut_config *c)
{
    *c = (ut_config){
        .max_connections = 262144,
        .max_time_wait = 65536,
        .max_half_open = 4096,
        .rcv_buffer = 2u << 20,
        .snd_buffer = 2u << 20,
        /* DEVIATES RFC 9293 3.4.2: an MSL of 30 s instead of 2 min, because no network keeps a
         * segment longer, timestamps tell old duplicates apart, and other stacks do the same. */
        .msl_ns = 30 * NS_PER_S,
        .rto_initial_ns = NS_PER_S,
        /* DEVIATES RFC 6298 2.4: a least RTO of 200 ms instead of 1 s, because delays within a
         * network are milliseconds now and acknowledgements are delayed by 40 ms at most. */
        .rto_min_ns = 200 * NS_PER_MS,
        .rto_max_ns = 120 * NS_PER_S,
        .delack_ns = 40 * NS_PER_MS,
        .quick_acks = 16, /* as Linux: a peer with Nagle on is not kept waiting at the start */
        .user_timeout_ns = 924 * NS_PER_S,    /* RFC 9293 3.8.3 (SHLD-11): R2 at least 100 s */
        .connect_timeout_ns = 180 * NS_PER_S, /* RFC 9293 3.8.3 (MUST-23) */
        .orphan_timeout_ns = 60 * NS_PER_S,
        .synack_retries = 5,
        .syn_cookies = 1,
        .use_timestamps = 1,
        .use_window_scale = 1,
        .use_sack = 1,
        .use_rack = 1,
        .path_mtu_discovery = 1, /* RFC 7323 5.7 (7323-24, MUST) */
        .mtu_probing = 1,
        .ecn = 2,            /* RFC 9293 3.8.2 (SHLD-8), as Linux: who asks is answered */
        .port_first = 32768, /* RFC 6056 3.2: a large range */
        .port_last = 65535,
        .challenge_ack_limit = 10,
    };
}

ut_stack *ut_stack_new(const ut_config *c, ut_link *link, int *error)
{
    ut_stack *s = NULL;
    *error = stack_new(c, ut_link_inner(link), &s);
    if (*error != 0) {
        ut_link_close(link);
        return NULL;
    }
    s->outer = link;
    return s;
}

void ut_stack_free(ut_stack *s)
{
    if (s == NULL)
        return;
    ut_link *link = s->outer;
    pump_stop(s);
    stack_free(s);
    ut_link_close(link);
}

ut_shared *ut_stack_shared(ut_stack *s) { return &s->shared; }

ut_link *ut_stack_link(ut_stack *s) { return s->outer; }

int ut_address_add(ut_stack *s, const uint8_t ip[16], int prefix_len, int check_duplicates,
                   uint64_t now)
{
    struct ipaddr address = enter_address(ip);
    enter_at(s, now);
    return enter_leave(s, resolve_address_add(s, &address, prefix_len, check_duplicates != 0));
}

int ut_address_state(ut_stack *s, const uint8_t ip[16])
{
    struct ipaddr address = enter_address(ip);
    enter(s);
    return enter_leave(s, resolve_address_state(s, &address));
}

int ut_gateway_set(ut_stack *s, const uint8_t ip[16])
{
    struct ipaddr address = enter_address(ip);
    enter(s);
    return enter_leave(s, resolve_gateway_set(s, &address));
}

int ut_poll(ut_stack *s, uint64_t now, int budget, ut_event *events, int max_events)
{
    enter_at(s, now);
    pump_on_loop_turn(s);
    bool has_more = poll_turn(s, budget);
    int count = events_take(&s->events, events, max_events);
    if (has_more)
        s->shared.deadline = s->now;
    if (s->link_is_down && count == 0)
        count = -UT_E_LINK_DOWN; /* after the last event has been told */
    pthread_mutex_unlock(&s->lock);
    return count;
}

int ut_busy_poll(ut_stack *s, uint64_t most_ns) { return busy_poll(s, most_ns); }

int ut_pump_start(ut_stack *s, int *system_error)
{
    enter(s);
    int code = pump_start(s);
    *system_error = code < 0 ? errno : 0;
    pthread_mutex_unlock(&s->lock);
    return code;
}

int ut_pump_fd(ut_stack *s)
{
    enter(s);
    int fd = s->pump.event_fd;
    pthread_mutex_unlock(&s->lock);
    return fd;
}

/* ---- connections ---------------------------------------------------------------------------- */

static struct flow_key key_of(const ut_endpoint *local, const ut_endpoint *remote)
{
    struct flow_key key = {.local = enter_address(local->ip), .lport = local->port};
    if (remote != NULL) {
        key.remote = enter_address(remote->ip);
        key.rport = remote->port;
    }
    return key;
}

int ut_connect(ut_stack *s, const ut_endpoint *local, const ut_endpoint *remote, unsigned flags,
               uint64_t now, ut_handle *out)
{
    struct flow_key name = key_of(local, remote);
    struct conn *c;
    *out = 0;
    const unsigned ecn = UT_CONNECT_ECN | UT_CONNECT_NO_ECN;
    if (name.rport == 0 || (flags & ~(ecn | UT_CONNECT_FAST_OPEN)) != 0 || (flags & ecn) == ecn)
        return -UT_E_INVALID;
    enter_at(s, now);
    int code = connect_begin(s, &name, flags, &c);
    if (code >= 0)
        *out = c->notice.handle;
    return enter_leave(s, code);
}

int ut_listen(ut_stack *s, const ut_endpoint *local, int backlog, unsigned flags, uint64_t now,
              ut_handle *out)
{
    struct flow_key name = key_of(local, NULL);
    struct listener *l;
    *out = 0;
    if ((flags & ~(unsigned)UT_LISTEN_SHARE) != 0)
        return -UT_E_INVALID;
    enter_at(s, now);
    bool shares = (flags & UT_LISTEN_SHARE) != 0;
    int code = listen_open(s, &name, backlog > 0 ? (uint32_t)backlog : 1, shares, &l);
    if (code == 0)
        *out = l->notice.handle;
    return enter_leave(s, code);
}

int ut_accept(ut_stack *s, ut_handle listener, uint64_t now, ut_handle *out, ut_endpoint *local,
              ut_endpoint *remote)
{
    *out = 0;
    enter_at(s, now);
    struct listener *l = listen_of(s, listener);
    if (l == NULL)
        return enter_leave(s, -UT_E_STALE_HANDLE);
    struct conn *c = listen_accept(s, l);
    if (c == NULL)
        return enter_leave(s, -UT_E_WOULD_BLOCK);
    *out = c->notice.handle;
    trace_endpoint(local, &c->key.local, c->key.lport);
    trace_endpoint(remote, &c->key.remote, c->key.rport);
    return enter_leave(s, 0);
}

/* The connection a user's call is about, or NULL. */
static struct conn *user_conn(const ut_stack *s, ut_handle h)
{
    struct conn *c = conn_of(s, h);
    return c != NULL && c->has_user ? c : NULL;
}

int64_t ut_send(ut_stack *s, ut_handle h, const void *data, size_t len, uint64_t now)
{
    int64_t result = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        result = transfer_send(s, c, data, len);
    enter_leave(s, 0);
    return result;
}

int64_t ut_recv(ut_stack *s, ut_handle h, void *to, size_t cap, size_t max, ut_span *lent,
                uint64_t now)
{
    int64_t result = -UT_E_STALE_HANDLE;
    lent->data = NULL;
    lent->len = 0;
    enter_at(s, now);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        result = transfer_receive(s, c, &(struct transfer_to){to, cap, max}, lent);
    enter_leave(s, 0);
    return result;
}

int ut_recv_done(ut_stack *s, ut_handle h, size_t len, uint64_t now)
{
    int code = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        code = transfer_receive_done(s, c, len);
    return enter_leave(s, code);
}

int ut_recv_keep(ut_stack *s, ut_handle h, void *memory, size_t size, uint64_t now)
{
    int code = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        code = transfer_receive_keep(s, c, memory, size);
    return enter_leave(s, code);
}

_Static_assert(UT_POSTED_MAX == POSTED_MAX, "include/usertcp.h says the same");

int ut_post(ut_stack *s, uint32_t number, void *memory, size_t size)
{
    enter(s);
    const bool given = posted_give(&s->env.rcv.posted, number, memory, size);
    pthread_mutex_unlock(&s->lock);
    return given ? 0 : -UT_E_INVALID;
}

int ut_shutdown(ut_stack *s, ut_handle h, uint64_t now)
{
    int code = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        code = close_sending(s, c);
    return enter_leave(s, code);
}

static int give_up(ut_stack *s, ut_handle h, uint64_t now, bool abort)
{
    enter_at(s, now);
    struct listener *l = listen_of(s, h);
    struct conn *c = l == NULL ? user_conn(s, h) : NULL;
    if (l != NULL)
        listen_shut(s, l);
    else if (c != NULL)
        close_conn(s, c, abort);
    else
        return enter_leave(s, -UT_E_STALE_HANDLE);
    return enter_leave(s, 0);
}

int ut_close(ut_stack *s, ut_handle h, uint64_t now) { return give_up(s, h, now, false); }

int ut_abort(ut_stack *s, ut_handle h, uint64_t now) { return give_up(s, h, now, true); }

int ut_option_set(ut_stack *s, ut_handle h, int option, int64_t value, uint64_t now)
{
    int code = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        code = transfer_option_set(s, c, option, value);
    else if (listen_of(s, h) != NULL)
        code = listen_option_set(s, h, option, value);
    return enter_leave(s, code);
}

int ut_option_get(ut_stack *s, ut_handle h, int option, int64_t *value)
{
    int code = -UT_E_STALE_HANDLE;
    *value = 0;
    enter(s);
    struct conn *c = user_conn(s, h);
    if (c != NULL)
        code = transfer_option_get(c, option, value);
    else if (listen_of(s, h) != NULL)
        code = listen_option_get(listen_of(s, h), option, value);
    return enter_leave(s, code);
}

void ut_output_hold(ut_stack *s, int on, uint64_t now)
{
    enter_at(s, now);
    egress_hold(s, on != 0);
    enter_leave(s, 0);
}

void ut_fast_open_key_set(ut_stack *s, const uint8_t key[16], uint64_t now)
{
    enter_at(s, now);
    fast_open_set_key(s, key);
    enter_leave(s, 0);
}
