/* transfer.c: called by api/ with the connection looked up. Output follows in stack_settle.
 */
#include "stack/transfer.h"

#include "stack/path.h"
#include "tcp/output.h"
#include "tcp/user.h"

int64_t transfer_send(ut_stack *s, struct conn *c, const void *data, size_t len)
{
    int64_t result = tcp_send(&c->tcb, data, len, s->now);
    if (result > 0)
        conn_mark_dirty(s, c);
    return result;
}

/* The window may have opened enough to be told, and the end may be next. */
static void transfer_after_read(ut_stack *s, struct conn *c)
{
    if (c->tcb.events != 0)
        conn_tell(s, c);
    if (c->tcb.state != TCP_CLOSED && tcp_output_is_due(&c->tcb))
        conn_mark_dirty(s, c);
}

int64_t transfer_receive(ut_stack *s, struct conn *c, const struct transfer_to *to, ut_span *lent)
{
    struct tcb *t = &c->tcb;
    uint32_t readable = reasm_readable(&t->reasm);
    uint32_t max = (uint32_t)u64_min(to->max, UINT32_MAX);
    if (max == 0)
        return -UT_E_INVALID;
    if (u32_min(readable, max) <= to->cap) {
        int64_t result = tcp_receive(t, to->to, (uint32_t)u64_min(max, to->cap), s->now);
        transfer_after_read(s, c);
        return result;
    }
    lent->len = tcp_receive_lend(t, max, &lent->data);
    if (lent->len > to->cap || to->cap == 0) {
        struct reasm_memory *m = &s->env.rcv;
        const bool is_whole = reasm_is_whole(&t->reasm, m, (uint32_t)lent->len);
        lent->posted = is_whole ? t->reasm.held : 0;
        lent->address = (uint64_t)(uintptr_t)lent->data;
        lent->want = m->posted.want;
        return 0;
    }
    /* Where the ring wraps a small piece would look like the last: a full `cap` says there is more.
     */
    lent->data = NULL;
    lent->len = 0;
    t->reasm.lent = 0;
    int64_t result = tcp_receive(t, to->to, (uint32_t)to->cap, s->now);
    transfer_after_read(s, c);
    return result;
}

int transfer_receive_done(ut_stack *s, struct conn *c, size_t len)
{
    if (len > c->tcb.reasm.lent)
        return -UT_E_INVALID;
    tcp_receive_done(&c->tcb, (uint32_t)len, s->now);
    transfer_after_read(s, c);
    return (int)u32_min(reasm_readable(&c->tcb.reasm), INT32_MAX);
}

int transfer_receive_keep(ut_stack *s, struct conn *c, void *memory, size_t size)
{
    struct reasm *r = &c->tcb.reasm;
    const uint32_t number = r->held, len = r->lent;
    if (len == 0 || !reasm_is_whole(r, &s->env.rcv, len) || memory == NULL || !posted_fits(size))
        return -UT_E_INVALID;
    const int left = transfer_receive_done(s, c, len);
    const bool given = posted_give(&s->env.rcv.posted, number, memory, size);
    UT_ASSERT(given);
    stack_count(s, COUNTER_texts_kept);
    return left;
}

static int transfer_set_keepalive(struct tcb *t, int option, int64_t value, ns_t now)
{
    struct tcp_keepalive *k = &t->keepalive;
    bool on = keepalive_is_on(k);
    if (option == UT_OPT_KEEPALIVE)
        on = value != 0;
    else if (value < 1 || value > (option == UT_OPT_KEEPALIVE_COUNT ? UINT8_MAX : INT32_MAX))
        return -UT_E_INVALID;
    else if (option == UT_OPT_KEEPALIVE_COUNT)
        k->count = (uint8_t)value;
    else if (option == UT_OPT_KEEPALIVE_IDLE)
        k->idle_ms = (uint32_t)value;
    else
        k->interval_ms = (uint32_t)value;
    keepalive_set(t, on, now);
    return 0;
}

static int transfer_set_number(struct conn *c, int option, int64_t value, ns_t now)
{
    struct tcb *t = &c->tcb;
    switch (option) {
    case UT_OPT_RCV_LIMIT:
        return value > 0 && value <= UINT32_MAX ? tcp_set_rcv_limit(t, (uint32_t)value)
                                                : -UT_E_INVALID;
    case UT_OPT_SND_LIMIT:
        return value > 0 && value <= UINT32_MAX ? tcp_set_snd_limit(t, (uint32_t)value)
                                                : -UT_E_INVALID;
    case UT_OPT_SND_LOWAT:
        if (value < 1 || value > t->sendq.limit)
            return -UT_E_INVALID;
        t->snd_lowat = (uint32_t)value;
        return 0;
    case UT_OPT_NOTSENT_LOWAT:
        if (value < 0 || value > INT32_MAX)
            return -UT_E_INVALID;
        tcp_set_notsent_lowat(t, (uint32_t)value);
        return 0;
    case UT_OPT_USER_TIMEOUT:
        if (value < 1)
            return -UT_E_INVALID;
        t->user_timeout = (ns_t)value;
        return 0;
    case UT_OPT_RTO_MIN:
        if (value < 1 || (ns_t)value > t->env->params.rto_max)
            return -UT_E_INVALID;
        t->rto_min = (ns_t)value;
        rtt_bound(&t->rtt, t->rto_min, t->env->params.rto_max);
        return 0;
    case UT_OPT_KEEPALIVE:
    case UT_OPT_KEEPALIVE_IDLE:
    case UT_OPT_KEEPALIVE_INTERVAL:
    case UT_OPT_KEEPALIVE_COUNT:
        return transfer_set_keepalive(t, option, value, now);
    default:
        return -UT_E_INVALID;
    }
}

int transfer_option_set(ut_stack *s, struct conn *c, int option, int64_t value)
{
    int code = 0;
    switch (option) {
    case UT_OPT_NODELAY:
        c->tcb.nodelay = value != 0;
        break;
    case UT_OPT_CORK:
        if (value < 0 || value > 2)
            return -UT_E_INVALID;
        c->tcb.corked = value != 0;
        c->tcb.more_follows = value == 2;
        break;
    case UT_OPT_LINGER:
        if (value != 0 && value != -1)
            return -UT_E_INVALID;
        c->resets_on_close = value == 0;
        break;
    case UT_OPT_TTL:
        if (value < 1 || value > 255)
            return -UT_E_INVALID;
        c->ttl = (uint8_t)value;
        break;
    case UT_OPT_CONGESTION:
        if (cc_at(value) == NULL)
            return -UT_E_INVALID;
        tcp_set_congestion(&c->tcb, cc_at(value));
        break;
    case UT_OPT_MTU_DISCOVER:
        code = path_set_discover(s, c, value);
        break;
    case UT_OPT_ECN:
        if (value < 0 || value > 1)
            return -UT_E_INVALID;
        c->tcb.ecn.ect = value == 1 && c->tcb.ecn.on && !c->tcb.ecn.barred;
        break;
    case UT_OPT_DSCP:
        if (value < 0 || value > 63)
            return -UT_E_INVALID;
        c->dscp = (uint8_t)value;
        break;
    case UT_OPT_FLOW_LABEL:
        if (value < 0 || value > 0xfffff || ipaddr_is_v4(&c->key.remote))
            return -UT_E_INVALID;
        c->key.owners = (uint32_t)value;
        break;
    default:
        code = transfer_set_number(c, option, value, s->now);
        break;
    }
    if (code == 0 && c->tcb.state != TCP_CLOSED)
        conn_mark_dirty(s, c);
    return code;
}

int transfer_option_get(const struct conn *c, int option, int64_t *value)
{
    const struct tcb *t = &c->tcb;
    switch (option) {
    case UT_OPT_NODELAY:
        *value = t->nodelay;
        return 0;
    case UT_OPT_CORK:
        *value = t->corked + t->more_follows;
        return 0;
    case UT_OPT_RCV_LIMIT:
        *value = t->reasm.limit;
        return 0;
    case UT_OPT_SND_LIMIT:
        *value = t->sendq.limit;
        return 0;
    case UT_OPT_USER_TIMEOUT:
        *value = t->user_timeout > INT64_MAX ? INT64_MAX : (int64_t)t->user_timeout;
        return 0;
    case UT_OPT_LINGER:
        *value = c->resets_on_close ? 0 : -1;
        return 0;
    case UT_OPT_KEEPALIVE:
        *value = keepalive_is_on(&t->keepalive);
        return 0;
    case UT_OPT_KEEPALIVE_IDLE:
        *value = t->keepalive.idle_ms;
        return 0;
    case UT_OPT_KEEPALIVE_INTERVAL:
        *value = t->keepalive.interval_ms;
        return 0;
    case UT_OPT_KEEPALIVE_COUNT:
        *value = t->keepalive.count;
        return 0;
    case UT_OPT_TTL:
        *value = c->ttl;
        return 0;
    case UT_OPT_MTU_DISCOVER:
        *value = c->discover;
        return 0;
    case UT_OPT_ECN:
        *value = t->ecn.ect;
        return 0;
    case UT_OPT_DSCP:
        *value = c->dscp;
        return 0;
    case UT_OPT_FLOW_LABEL:
        *value = ipaddr_is_v4(&c->key.remote) ? 0 : c->key.owners;
        return 0;
    case UT_OPT_CONGESTION:
        *value = cc_index(t->cc.ops);
        return 0;
    case UT_OPT_RTO_MIN:
        *value = (int64_t)u64_min(t->rto_min, INT64_MAX);
        return 0;
    case UT_OPT_SND_LOWAT:
        *value = t->snd_lowat;
        return 0;
    case UT_OPT_NOTSENT_LOWAT:
        *value = t->notsent_lowat;
        return 0;
    default:
        return -UT_E_INVALID;
    }
}
