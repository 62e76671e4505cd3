/* stack.c: making, settling and unmaking a stack. Called by api/.
 */
#include "stack/stack.h"

#include "base/errors.h"
#include "stack/egress.h"
#include "stack/fastopen.h"
#include "stack/half_open.h"
#include "stack/isn.h"
#include "stack/path.h"
#include "stack/ports.h"
#include "stack/timewait.h"
#include "tcp/mss.h"
#include "tcp/accecn_option.h"
#include "tcp/ecn.h"
#include "tcp/sent.h"
#include "tcp/times.h"
#include "wire/checksum.h"

#define CONN_SLAB 32u
#define HALF_SLAB 64u
#define TIME_WAIT_SLAB 64u
#define TROUBLE_SLAB 2u
#define TIMES_SLAB 16u
#define SENT_SLAB 4u
#define CC_SLAB 8u
#define ACCECN_SLAB 8u
#define RINGS_KEPT 64u
#define BUFFER_MIN 4096u
#define BUFFER_MAX (UINT32_C(1) << 30) /* RFC 7323 2.3: the largest window there is */
#define MTU_MIN 68u                    /* RFC 791 3.1 */
#define MTU_MAX 65535u
#define TIME_MAX (10 * 24 * 3600 * NS_PER_S) /* TIME-WAIT counts ms in 31 bits */

static bool stack_is_buffer_size(uint32_t size)
{
    return size >= BUFFER_MIN && size <= BUFFER_MAX && (size & (size - 1)) == 0;
}

static bool stack_config_is_valid(const ut_config *c)
{
    const uint64_t times[] = {c->msl_ns,           c->rto_initial_ns,  c->rto_min_ns,
                              c->rto_max_ns,       c->user_timeout_ns, c->connect_timeout_ns,
                              c->orphan_timeout_ns};
    for (size_t i = 0; i < UT_COUNTOF(times); i++)
        if (times[i] == 0 || times[i] > TIME_MAX)
            return false;
    return cc_at(c->congestion) != NULL && stack_is_buffer_size(c->rcv_buffer) &&
           stack_is_buffer_size(c->snd_buffer) && c->max_connections > 0 &&
           c->max_connections <= DEMUX_INDEX_MAX && c->max_time_wait <= DEMUX_INDEX_MAX &&
           c->max_half_open <= DEMUX_INDEX_MAX &&
           (c->mtu == 0 || (c->mtu >= MTU_MIN && c->mtu <= MTU_MAX)) &&
           c->rto_min_ns <= c->rto_max_ns && c->delack_ns < NS_PER_S / 2 && c->syn_cookies <= 2 &&
           c->port_first > 0 && c->port_first <= c->port_last && c->port_last <= 65535 &&
           c->synack_retries <= 255 && c->fixed_isn <= 2 && c->mtu_probing <= MTU_PROBING_ALWAYS &&
           c->ecn <= ECN_ACCURATE_QUIET && c->hystart < HYSTART_KINDS && c->cubic_ssthresh <= 1 &&
           c->window_probe <= 1 && c->nagle <= 1 &&
           (c->mss_max == 0 || (c->mss_max >= TCP_MIN_MSS && c->mss_max <= UINT16_MAX)) &&
           (c->mtu_base == 0 || (c->mtu_base >= TCP_MIN_MSS && c->mtu_base <= UINT16_MAX));
}

/* Free rings of one direction must not use up the limit that the other lives under too. */
static uint32_t stack_rings_kept(const ut_config *c, uint32_t size)
{
    if (c->memory_limit == 0)
        return RINGS_KEPT;
    return (uint32_t)u64_min(RINGS_KEPT, c->memory_limit / 8 / size);
}

static void stack_init_tcp(ut_stack *s)
{
    const ut_config *c = &s->config;
    struct tcp_env *env = &s->env;
    env->params = (struct tcp_params){
        .msl = c->msl_ns,
        .rto_initial = c->rto_initial_ns,
        .rto_min = c->rto_min_ns,
        .rto_max = c->rto_max_ns,
        .delack = c->delack_ns,
        .quick_acks = (uint8_t)u32_min(c->quick_acks, UINT8_MAX),
        .user_timeout = c->user_timeout_ns,
        .connect_timeout = c->connect_timeout_ns,
        .orphan_timeout = c->orphan_timeout_ns,
        .synack_retries = c->synack_retries,
        .challenge_ack_limit = c->challenge_ack_limit,
        .use_timestamps = c->use_timestamps != 0,
        .use_window_scale = c->use_window_scale != 0,
        .use_sack = c->use_sack != 0,
        .use_rack = c->use_rack != 0,
        .nodelay = c->nodelay != 0,
        .mtu_probing = (uint8_t)c->mtu_probing,
        .ecn = (uint8_t)c->ecn,
        .mtu_base = (uint16_t)c->mtu_base,
        .mss_max = c->mss_max != 0 ? (uint16_t)c->mss_max : UINT16_MAX,
        .nagle_minshall = c->nagle != 0,
        .bare_window_probes = c->window_probe != 0,
        .rto_min_is_of_variance = c->profile == UT_PROFILE_LINUX,
    };
    ring_cache_init(&env->snd_rings, &s->alloc, c->snd_buffer, c->max_connections,
                    stack_rings_kept(c, c->snd_buffer));
    ring_cache_init(&env->rcv.rings, &s->alloc, c->rcv_buffer, c->max_connections,
                    stack_rings_kept(c, c->rcv_buffer));
    posted_init(&env->rcv.posted);
    s->link->posted = &env->rcv.posted;
    pool_init(&env->trouble, &s->alloc, sizeof(struct tcp_trouble), TROUBLE_SLAB,
              c->max_connections);
    pool_init(&env->times, &s->alloc, sizeof(struct tcp_times), TIMES_SLAB, c->max_connections);
    pool_init(&env->sent, &s->alloc, sizeof(struct sent_log), SENT_SLAB, c->max_connections);
    pool_init(&env->accecn, &s->alloc, sizeof(struct tcp_accecn), ACCECN_SLAB, c->max_connections);
    pool_init(&env->cc.large, &s->alloc, CC_LARGE, CC_SLAB, c->max_connections);
    env->cc.rand = &s->rand;
    env->cc.reports.pending = &s->shared.reports_pending;
    env->cc.standard = cc_at(c->congestion);
    env->cc.hystart = (uint8_t)c->hystart;
    env->cc.cubic_ssthresh_of_cwnd = c->cubic_ssthresh != 0;
    env->rand = &s->rand;
}

static void stack_init_tables(ut_stack *s)
{
    const ut_config *c = &s->config;
    struct alloc *a = &s->alloc;
    s->secrets = (struct secrets){
        .isn = rand_key(&s->rand, "isn"),
        .timestamp = rand_key(&s->rand, "timestamp"),
        .cookie = rand_key(&s->rand, "cookie"),
        .port_offset = rand_key(&s->rand, "port offset"),
        .port_index = rand_key(&s->rand, "port index"),
    };
    pool_init(&s->conns, a, sizeof(struct conn), CONN_SLAB, c->max_connections);
    pool_init(&s->halves, a, sizeof(struct half_open), HALF_SLAB, c->max_half_open);
    pool_init(&s->time_waits, a, sizeof(struct time_wait), TIME_WAIT_SLAB, c->max_time_wait);
    listen_init(s);
    fast_open_init(s);
    timewait_init(s);
    demux_init(&s->demux, a, rand_key(&s->rand, "demux"));
    s->demux.pool[RECORD_CONN] = &s->conns;
    s->demux.pool[RECORD_HALF] = &s->halves;
    s->demux.pool[RECORD_TIME_WAIT] = &s->time_waits;
    deadline_heap_init(&s->heap, a);
    events_init(&s->events, &s->shared);
    list_init(&s->dirty);
    list_init(&s->waiting);
    neigh_init(&s->neighbours, a, &s->heap, DEADLINE_NEIGHBOUR, rand_key(&s->rand, "neighbours"));
    s->addresses_timer = (struct deadline_node){.at = TIME_NEVER, .kind = DEADLINE_ADDRESSES};
    s->fragments_timer = (struct deadline_node){.at = TIME_NEVER, .kind = DEADLINE_FRAGMENTS};
    frag_init(&s->fragments, &s->alloc);
    path_init(s);
    s->routes.is_point_to_point = !stack_is_ethernet(s);
    s->echo_rate.tokens = ICMP_ECHOES_PER_S;
}

int stack_new(const ut_config *c, struct link *link, ut_stack **out)
{
    struct alloc first;
    if (!stack_config_is_valid(c))
        return -UT_E_INVALID;
    checksum_init();
    alloc_init(&first, c->memory_limit);
    ut_stack *s = alloc_get(&first, sizeof *s);
    if (s == NULL)
        return -UT_E_NO_MEMORY;
    s->alloc = first;
    s->config = *c;
    s->link = link;
    s->mtu = c->mtu != 0 ? u32_min(c->mtu, link->mtu) : link->mtu;
    s->shared.deadline = TIME_NEVER;
    s->pump.control_fd = s->pump.event_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    rand_init(&s->rand, c->seed[0], c->seed[1]);
    stack_init_tcp(s);
    stack_init_tables(s);
    s->scratch = alloc_get(&s->alloc, s->mtu);
    if (s->scratch == NULL || !ports_init(s) || !stack_reserve_deadline(s) ||
        !trace_init(&s->trace, &s->alloc, c->trace_capacity)) {
        stack_free(s);
        return -UT_E_NO_MEMORY;
    }
    *out = s;
    return 0;
}

/* Whatever state they are in: nobody is told. */
static void stack_free_conns(ut_stack *s)
{
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        struct conn *c = conn_at(s, i);
        if (c == NULL)
            continue;
        if (c->tcb.state != TCP_CLOSED)
            tcp_set_state(&c->tcb, TCP_CLOSED);
        c->tcb.reasm.lent = 0;
        s->env.moves.count = 0;
        tcb_fini(&c->tcb);
    }
}

void stack_free(ut_stack *s)
{
    struct alloc *a = &s->alloc;
    s->link->posted = NULL;
    s->link->split = 0;
    stack_free_conns(s);
    notes_stop(s);
    trace_fini(&s->trace, a);
    ports_fini(s);
    alloc_put(a, s->scratch, s->mtu);
    neigh_fini(&s->neighbours);
    deadline_heap_fini(&s->heap);
    demux_fini(&s->demux);
    pool_fini(&s->listeners);
    fast_open_fini(s);
    frag_fini(&s->fragments);
    pmtu_fini(&s->paths.known);
    pool_fini(&s->time_waits);
    pool_fini(&s->halves);
    pool_fini(&s->conns);
    pool_fini(&s->env.trouble);
    pool_fini(&s->env.times);
    pool_fini(&s->env.sent);
    pool_fini(&s->env.accecn);
    pool_fini(&s->env.cc.large);
    ring_cache_fini(&s->env.snd_rings);
    ring_cache_fini(&s->env.rcv.rings);
    pthread_mutex_destroy(&s->lock);
    struct alloc last = s->alloc;
    alloc_put(&last, s, sizeof *s);
    UT_ASSERT(last.in_use == 0);
}

void stack_set_now(ut_stack *s, ns_t now)
{
    s->now = u64_max(s->now, now);
    s->link->now = s->now;
}

void stack_settle(ut_stack *s)
{
    egress_dirty(s);
    link_flush(s->link);
    s->shared.deadline = deadline_next(&s->heap);
    pump_on_deadline(s);
}

bool stack_reserve_deadline(ut_stack *s)
{
    /* One node each, and those that lie in the stack itself. */
    uint32_t nodes = s->conns.in_use + s->halves.in_use + s->neighbours.pool.in_use + 4;
    return deadline_reserve(&s->heap, nodes + 1);
}

struct tcp_path stack_path_to(const ut_stack *s, const struct ipaddr *remote)
{
    bool is_v4 = ipaddr_is_v4(remote);
    uint32_t headers = stack_ip_header_len(is_v4) + TCP_HEADER_LEN;
    /* RFC 9293 3.7.1 (MUST-15): what a peer takes that names no MSS. */
    return (struct tcp_path){.mss = (uint16_t)(s->mtu - headers),
                             .default_mss = is_v4 ? 536 : 1220};
}
