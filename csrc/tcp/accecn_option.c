/* accecn_option.c: RFC 9768 3.2.3: when an option is sent, with what, and what one says.
 */
#include "tcp/accecn_option.h"

#include "tcp/ecn.h"
#include "tcp/options.h"

#define FIELD_MASK 0xffffffu
#define FIELDS 3u

/* 3.2.3, by the option's order. */
static const uint8_t order[2][FIELDS] = {{ECN_ECT_0, ECN_CE, ECN_ECT_1},
                                         {ECN_ECT_1, ECN_CE, ECN_ECT_0}};

/* ---- the record ------------------------------------------------------------------------------ */

void accecn_options_begin(struct tcb *t, bool is_client)
{
    uint32_t index;
    struct tcp_accecn *r = pool_get(&t->env->accecn, &index);
    if (r == NULL)
        return;
    t->ecn.record = index + 1;
    r->is_client = is_client;
    /* 3.2.1: distinct from what was zeroed on the way */
    r->in[ECN_ECT_0] = r->in[ECN_ECT_1] = r->out[ECN_ECT_0] = r->out[ECN_ECT_1] = 1;
    r->told[ECN_ECT_0] = r->told[ECN_ECT_1] = 1;
}

void accecn_options_end(struct tcb *t)
{
    if (t->ecn.record == 0)
        return;
    pool_put(&t->env->accecn, t->ecn.record - 1);
    pool_trim(&t->env->accecn);
    t->ecn.record = 0;
}

struct tcp_accecn *accecn_record(const struct tcb *t)
{
    return t->ecn.record != 0 ? pool_at(&t->env->accecn, t->ecn.record - 1) : NULL;
}

/* ---- out ------------------------------------------------------------------------------------- */

static void put(struct tcp_opts *out, const uint64_t *counters, uint8_t which, uint8_t count)
{
    out->accecn = (uint8_t)(1 + count);
    out->accecn_order = which;
    for (uint8_t i = 0; i < count; i++)
        out->accecn_field[i] =
            (uint32_t)counters[order[which][i]] & FIELD_MASK; /* 9768-23 (MUST) */
}

void accecn_option_first(struct tcp_opts *out)
{
    static const uint64_t counters[4] = {[ECN_ECT_0] = 1, [ECN_ECT_1] = 1};
    put(out, counters, 0, FIELDS);
}

/* 9768-25: the first ACK of a client and its first data tell whether options pass. */
static bool is_first(const struct tcb *t, const struct tcp_accecn *r)
{
    bool is_first_data = seq_eq(t->snd_nxt, seq_add(t->iss, 1)) && t->sendq.end > 0;
    return r->is_client && (!r->first_sent || is_first_data);
}

/* Fields up to the last of those in `mask`, bits by codepoint. */
static uint8_t fields_for(uint8_t which, uint8_t mask)
{
    uint8_t count = FIELDS;
    while (count > 0 && !(mask >> order[which][count - 1] & 1))
        count--;
    return count;
}

void accecn_option_put(const struct tcb *t, struct tcp_opts *out)
{
    const struct tcp_accecn *r = accecn_record(t);
    uint8_t changed = 0;
    for (uint8_t i = ECN_ECT_1; i <= ECN_CE; i++)
        changed |= (uint8_t)(((uint32_t)r->in[i] != r->told[i]) << i);
    bool first = is_first(t, r);
    if (r->is_off || (changed == 0 && !first))
        return;
    uint8_t seen_ects = r->seen & (1 << ECN_ECT_0 | 1 << ECN_ECT_1);
    uint8_t which = seen_ects == 1 << ECN_ECT_1;
    /* 9768-29: every counter that has ever changed; at least those that changed since they were
     * told, or none at all. */
    uint8_t least = fields_for(which, changed), count = first ? FIELDS : fields_for(which, r->seen);
    uint32_t others =
        tcp_opt_length_beside(out, 2); /* 9768-28 (MUST): two SACK blocks come first */
    while (count > least && others + tcp_opt_accecn_length(count) > TCP_OPT_MAX_LEN)
        count--;
    if (others + tcp_opt_accecn_length(count) <= TCP_OPT_MAX_LEN)
        put(out, r->in, which, count);
}

void accecn_option_sent(struct tcb *t, const struct tcp_opts *sent)
{
    struct tcp_accecn *r = accecn_record(t);
    r->first_sent = true;
    for (uint8_t i = 0; i + 1 < sent->accecn; i++) {
        uint8_t codepoint = order[sent->accecn_order][i];
        r->told[codepoint] = (uint32_t)r->in[codepoint];
    }
}

void accecn_option_give_up(struct tcb *t)
{
    struct tcp_accecn *r = accecn_record(t);
    if (r != NULL)
        r->is_off = true;
}

/* ---- in -------------------------------------------------------------------------------------- */

void accecn_option_count(struct tcb *t, const struct tcp_seg *seg)
{
    struct tcp_accecn *r = accecn_record(t);
    if (r == NULL || seg->len == 0 || seg->ip_ecn == ECN_NOT_ECT)
        return;
    r->in[seg->ip_ecn] += seg->len;
    r->seen |= (uint8_t)(1 << seg->ip_ecn);
}

/* 3.2.3.2.4: a first counter that cannot be zero is. No other value is tested. */
static bool is_zeroed(const struct tcp_opts *o)
{
    for (uint8_t i = 0; i + 1 < o->accecn; i++) {
        if (order[o->accecn_order][i] != ECN_CE && o->accecn_field[i] == 0)
            return true;
    }
    return false;
}

int64_t accecn_option_hear(struct tcb *t, const struct tcp_seg *seg)
{
    struct tcp_accecn *r = accecn_record(t);
    const struct tcp_opts *o = &seg->opt;
    if (r == NULL)
        return -1;
    if (o->accecn == 0) /* a peer whose options come has none when no counter has changed */
        return r->has_come && !r->is_ignored ? 0 : -1;
    if (!r->has_come)
        r->is_ignored = is_zeroed(o);
    r->has_come = true;
    if (r->is_ignored || o->accecn == 1)
        return -1;
    int64_t marked = 0; /* a field that is not there has not changed */
    for (uint8_t i = 0; i + 1 < o->accecn; i++) {
        uint8_t codepoint = order[o->accecn_order][i];
        uint32_t more = (o->accecn_field[i] - (uint32_t)r->out[codepoint]) & FIELD_MASK;
        r->out[codepoint] += more;
        if (codepoint == ECN_CE)
            marked = more;
    }
    return marked;
}
