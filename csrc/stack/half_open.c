/* half_open.c: the SYN cache (RFC 4987 3.4): entries, their SYN,ACKs, their end.
 *
 * Called by listen.c with SYNs, by ingress.c with what arrives for an entry, by poll.c with
 * deadlines. RFC 9293 3.8.3: a SYN,ACK is retransmitted like data, with back-off.
 */
#include "stack/half_open.h"

#include "stack/egress.h"
#include "stack/fastopen.h"
#include "stack/isn.h"

_Static_assert(sizeof(struct half_open) <= 96, "architecture.md: an entry costs at most 96 bytes");

/* A reused name starts this far beyond the old connection's last number (RFC 9293 3.6.1). */
#define ISN_GAP UINT32_C(128000)

static struct half_open *half_open_at(const ut_stack *s, uint32_t index)
{
    return pool_at(&s->halves, index);
}

static void half_open_trace(ut_stack *s, const struct half_open *h, enum tcp_state to,
                            struct trace_cause cause)
{
    struct trace_subject of = {s->now, 0, &h->key, h->half.iss, h->half.irs, 0};
    enum tcp_state from = to == TCP_SYN_RECEIVED ? TCP_LISTEN : TCP_SYN_RECEIVED;
    trace_add(&s->trace, &of, from, to, cause);
}

/* Its SYN,ACK, to `station` or to whom the cache knows. */
static void half_open_answer(ut_stack *s, const struct half_open *h, const struct macaddr *station)
{
    struct tcp_seg synack;
    struct tcp_cookie cookie;
    half_synack(&h->half, s->env.params.mss_max, s->now, &synack);
    if (h->half.cookie_due) {
        fast_open_make_cookie(s, &h->key, &cookie);
        synack.opt.has_fast_open = true;
        synack.opt.cookie_len = cookie.len;
        synack.opt.cookie = cookie.bytes;
    }
    egress_segment(s, &h->key, &synack, station);
}

static uint32_t half_open_tries(const struct half_open *h) { return h->key.owners & 0xff; }

/* A segment that is not acceptable: RFC 9293 3.10.7.4, first; RFC 5961 4.2. */
static void half_open_challenge(ut_stack *s, const struct half_open *h,
                                const struct macaddr *station)
{
    struct tcp_seg ack;
    half_ack(&h->half, s->now, &ack);
    egress_segment(s, &h->key, &ack, station);
}

/* Karn: an ACK of one SYN,ACK out of several says nothing of the path. */
static ns_t half_open_timed_since(const ut_stack *s, const struct half_open *h)
{
    ns_t wait = u64_min(s->config.rto_initial_ns, s->config.rto_max_ns);
    return h->half.retransmitted ? TIME_NEVER : h->timer.at - wait;
}

static void half_open_arm(ut_stack *s, struct half_open *h)
{
    ns_t wait = s->config.rto_initial_ns;
    for (uint32_t i = half_open_tries(h); i > 0 && wait < s->config.rto_max_ns; i--)
        wait *= 2;
    deadline_set(&s->heap, &h->timer, time_after(s->now, u64_min(wait, s->config.rto_max_ns)));
}

bool half_open_has_room(const ut_stack *s, const struct listener *l)
{
    return l->half_count < l->backlog && s->halves.in_use < s->config.max_half_open;
}

struct tcp_start half_open_start(ut_stack *s, const struct flow_key *key, const seq32 *isn_after)
{
    seq32 iss = isn_make(s, key);
    if (isn_after != NULL && !seq_gt(iss, *isn_after))
        iss = seq_add(*isn_after, ISN_GAP);
    return (struct tcp_start){iss, isn_timestamp_offset(s, key), stack_path_to(s, &key->remote)};
}

bool half_open_begin(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after)
{
    uint32_t index;
    if (!half_open_has_room(s, l) || !stack_reserve_deadline(s) || !demux_reserve(&s->demux))
        return false;
    struct half_open *h = pool_get(&s->halves, &index);
    if (h == NULL)
        return false;
    h->key = rx->key;
    h->key.owners = listen_index(l) << 8;
    h->timer = (struct deadline_node){.at = TIME_NEVER, .kind = DEADLINE_HALF};
    struct tcp_start start = half_open_start(s, &h->key, isn_after);
    half_init(&h->half, &s->env, &rx->seg, &start);
    demux_insert(&s->demux, &h->key, demux_ref(RECORD_HALF, index));
    s->last_flow.ref = 0;
    l->half_count++;
    half_open_trace(s, h, TCP_SYN_RECEIVED,
                    (struct trace_cause){.seg = &rx->seg, .is_received = true});
    half_open_answer(s, h, rx_station(s, rx));
    half_open_arm(s, h);
    return true;
}

void half_open_release(ut_stack *s, uint32_t index)
{
    struct half_open *h = half_open_at(s, index);
    deadline_remove(&s->heap, &h->timer);
    struct listener *l = listen_at(s, half_open_listener(h));
    UT_ASSERT(l != NULL && l->half_count > 0);
    l->half_count--;
    h->key.lport = 0;
    s->last_flow.ref = 0;
    pool_put(&s->halves, index);
}

void half_open_free(ut_stack *s, uint32_t index)
{
    demux_remove(&s->demux, &half_open_at(s, index)->key, demux_ref(RECORD_HALF, index));
    half_open_release(s, index);
}

void half_open_arrive(ut_stack *s, struct rx *rx, uint32_t index)
{
    struct half_open *h = half_open_at(s, index);
    struct tcp_verdict v = half_arrive(&h->half, &rx->seg);
    if (v.reason != DROP_none)
        stack_drop(s, v.reason);
    if (v.reset)
        egress_reset(s, rx);
    switch (v.kind) {
    case VERDICT_ACK:
        if (v.reason == DROP_tcp_syn_again) /* the SYN again: our answer was lost */
            half_open_answer(s, h, rx_station(s, rx));
        else
            half_open_challenge(s, h, rx_station(s, rx));
        break;
    case VERDICT_CLOSED:
        half_open_trace(s, h, TCP_LISTEN,
                        (struct trace_cause){.seg = &rx->seg, .is_received = true});
        half_open_free(s, index);
        break;
    case VERDICT_PROMOTE:
        if (listen_promote(s, rx, listen_at(s, half_open_listener(h)),
                           &(struct promotion){&h->half, demux_ref(RECORD_HALF, index),
                                               half_open_timed_since(s, h)}))
            half_open_release(s, index);
        break;
    default:
        break;
    }
}

void half_open_timeout(ut_stack *s, struct deadline_node *node)
{
    struct half_open *h = UT_CONTAINER_OF(node, struct half_open, timer);
    if (half_open_tries(h) >= s->config.synack_retries) {
        uint32_t index = demux_index(demux_find(&s->demux, &h->key));
        stack_count(s, COUNTER_half_open_timeouts);
        half_open_trace(s, h, TCP_LISTEN, (struct trace_cause){.call = "timeout"});
        half_open_free(s, index);
        return;
    }
    h->key.owners++;
    half_retry(&h->half);
    h->half.cookie_due = false; /* 7413-08 (SHOULD) */
    stack_count(s, COUNTER_synack_retransmits);
    half_open_answer(s, h, NULL);
    half_open_arm(s, h);
}

void half_open_drop_all(ut_stack *s, const struct listener *l)
{
    uint32_t listener = listen_index(l);
    for (uint32_t i = 0; i < s->halves.fresh && l->half_count > 0; i++) {
        struct half_open *h = half_open_at(s, i);
        if (!half_open_is_live(h) || half_open_listener(h) != listener)
            continue;
        /* RFC 9293 3.10.4: nobody will answer what comes next. */
        struct tcp_seg rst = {.flags = TCP_RST | TCP_ACK,
                              .seq = seq_add(h->half.iss, 1),
                              .ack = seq_add(h->half.irs, 1)};
        half_open_trace(s, h, TCP_CLOSED, (struct trace_cause){.call = "close", .seg = &rst});
        egress_segment(s, &h->key, &rst, NULL);
        half_open_free(s, i);
    }
}
