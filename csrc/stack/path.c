/* path.c: the checks on a Packet Too Big, and who is told. See path.h.
 *
 * Called by ingress.c, conn.c, poll.c and those who make connections. RFC 1191, RFC 8201, and
 * RFC 5927 7 for what is not believed.
 */
#include "stack/path.h"

#define PATH_LEAST_V4 552u  /* as Linux's min_pmtu */
#define PATH_LEAST_V6 1280u /* RFC 8200 5 */
#define PATH_ABSURD_V4 68u  /* RFC 791 3.2: every link carries that */
#define PATH_TELL_INTERVAL NS_PER_S

static uint32_t path_headers(const struct conn *c)
{
    return stack_ip_header_len(ipaddr_is_v4(&c->key.remote)) + TCP_HEADER_LEN;
}

void path_init(ut_stack *s)
{
    pmtu_init(&s->paths.known, &s->alloc, rand_key(&s->rand, "paths"));
    s->paths.timer = (struct deadline_node){.at = TIME_NEVER, .kind = DEADLINE_PATHS};
}

uint32_t path_mtu(const struct conn *c) { return c->tcb.mtu.path_mss + path_headers(c); }

/* ---- what is known, and who is told --------------------------------------------------------- */

static void path_schedule(ut_stack *s)
{
    ns_t next = pmtu_next(&s->paths.known);
    if (s->paths.has_news)
        next = u64_max(s->paths.tell_after, s->now);
    deadline_set(&s->heap, &s->paths.timer, next);
}

/* RFC 8201 5.2 (8201-05): the others that go there learn of it, soon. */
static void path_remember(ut_stack *s, const struct conn *c, bool may_fragment)
{
    const struct tcp_mtu *m = &c->tcb.mtu;
    uint32_t mtu = m->path_mss + path_headers(c);
    if (mtu >= s->mtu && pmtu_find(&s->paths.known, &c->key.remote) == NULL)
        return;
    struct pmtu *p = pmtu_note(&s->paths.known, &c->key.remote, s->now);
    if (p == NULL)
        return; /* no memory: this connection knows */
    p->mtu = (uint16_t)mtu;
    p->is_guess = m->is_guess;
    p->may_fragment = may_fragment;
    s->paths.has_news = true;
    path_schedule(s);
}

/* Where less than the least comes through, DF would stop everything: RFC 1191 3 lets it go. */
static void path_set_fragments(struct conn *c, const struct pmtu *known)
{
    bool is_tiny = known != NULL && known->may_fragment && c->discover == PATH_DISCOVER_WANT;
    c->may_fragment = ipaddr_is_v4(&c->key.remote) && (c->discover == PATH_DISCOVER_NOT || is_tiny);
}

void path_begin(ut_stack *s, struct conn *c)
{
    const struct pmtu *known = pmtu_find(&s->paths.known, &c->key.remote);
    c->discover = s->config.path_mtu_discovery ? PATH_DISCOVER_WANT : PATH_DISCOVER_NOT;
    path_set_fragments(c, known);
    if (known == NULL)
        return;
    c->tcb.mtu.path_mss = (uint16_t)u32_min(c->tcb.path.mss, known->mtu - path_headers(c));
    c->tcb.mtu.is_guess = known->is_guess;
}

static bool path_is_open(const struct conn *c)
{
    return c->tcb.state >= TCP_ESTABLISHED && c->tcb.state != TCP_TIME_WAIT;
}

void path_note(ut_stack *s, struct conn *c)
{
    stack_count(s, c->tcb.mtu.is_guess ? COUNTER_pmtu_found : COUNTER_pmtu_lowered);
    path_remember(s, c, c->may_fragment && c->discover != PATH_DISCOVER_NOT);
}

static void path_tell(ut_stack *s, struct conn *c)
{
    const struct pmtu *known = pmtu_find(&s->paths.known, &c->key.remote);
    if (c->discover == PATH_DISCOVER_PROBE)
        return;
    path_set_fragments(c, known);
    uint32_t before = c->tcb.snd_mss;
    if (known == NULL)
        mtu_forget(&c->tcb);
    else
        mtu_learn(&c->tcb, (uint16_t)(known->mtu - path_headers(c)));
    if (c->tcb.snd_mss != before || c->tcb.rack.mtu_due)
        conn_mark_dirty(s, c);
}

void path_timeout(ut_stack *s)
{
    pmtu_expire(&s->paths.known, s->now);
    s->paths.has_news = false;
    s->paths.tell_after = time_after(s->now, PATH_TELL_INTERVAL);
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        struct conn *c = conn_at(s, i);
        if (c != NULL && path_is_open(c))
            path_tell(s, c);
    }
    path_schedule(s);
}

int path_set_discover(ut_stack *s, struct conn *c, int64_t value)
{
    if (value < 0 || value >= PATH_DISCOVER_COUNT)
        return -UT_E_INVALID;
    c->discover = (uint8_t)value;
    path_set_fragments(c, pmtu_find(&s->paths.known, &c->key.remote));
    return 0;
}

/* ---- reports -------------------------------------------------------------------------------- */

/* The MTU a report means; 0 and the reason in *why: none that could be. */
static uint32_t path_reported(const ut_stack *s, const struct conn *c, const struct icmp_msg *m,
                              const struct icmp_quote *q, enum drop_reason *why)
{
    bool is_v4 = ipaddr_is_v4(&c->key.remote);
    uint32_t mtu = m->mtu;
    /* The largest we hand to the link, which may cut it into segments after a router of the same
     * machine has looked at it. */
    *why = DROP_pmtu_not_sent;
    if (q->len > u32_max(s->mtu, s->link->gso_max))
        return 0;
    *why = DROP_pmtu_absurd;
    if (is_v4 && mtu == 0)
        mtu = pmtu_plateau(u32_min(q->len, path_mtu(c))); /* 1191-03 (MUST) */
    if (q->len <= mtu)
        return 0;
    /* 8201-01 (MUST), 1191-04 (MUST) */
    return mtu < (is_v4 ? PATH_ABSURD_V4 : PATH_LEAST_V6) ? 0 : mtu;
}

/* What 552 is to us 68 is to RFC 1191. */
static void path_too_small(struct conn *c)
{
    /* DEVIATES RFC 1191 3: segments for packets of 552 bytes instead of down to 68, because a
     * report is easily forged and tiny segments cost us and the path far more than its sender; they
     * leave without DF, so that a path that carries less still carries them in fragments. */
    c->may_fragment = c->discover == PATH_DISCOVER_WANT;
}

enum drop_reason path_report(ut_stack *s, struct conn *c, const struct icmp_msg *m,
                             const struct icmp_quote *q)
{
    enum drop_reason why;
    if (c->discover == PATH_DISCOVER_PROBE)
        return DROP_icmp_ignored;
    uint32_t mtu = path_reported(s, c, m, q, &why);
    if (mtu == 0)
        return why;
    uint32_t floor = ipaddr_is_v4(&c->key.remote) ? PATH_LEAST_V4 : PATH_LEAST_V6;
    uint32_t mss = u32_max(mtu, floor) - path_headers(c);
    switch (mtu_report(&c->tcb, seq_make(q->seq), (uint16_t)u32_min(mss, UINT16_MAX))) {
    case MTU_TAKEN:
        if (mtu < floor)
            path_too_small(c);
        stack_count(s, COUNTER_pmtu_lowered);
        path_remember(s, c, mtu < floor);
        return DROP_none;
    case MTU_HELD:
        stack_count(s, COUNTER_pmtu_held);
        return DROP_none;
    case MTU_RESENT:
    case MTU_PROBE_OVER:
        return DROP_none;
    case MTU_NOT_SENT:
        return DROP_pmtu_not_sent;
    case MTU_NO_NEWS:
        break;
    }
    return DROP_pmtu_no_news;
}
