/* fastopen.c: RFC 7413 4.1 and the stack's part of 4.2. See fastopen.h.
 *
 * Called by listen.c and half_open.c (server), connect.c (client) and conn.c.
 */
#include "stack/fastopen.h"

#include "stack/half_open.h"
#include "tcp/mss.h"

#define KEY_LIFE (24 * 3600 * NS_PER_S) /* a cookie lives one to two of these */
#define COOKIE_LEN 8u
#define RESET_PERIOD (60 * NS_PER_S)
#define PATHS_SLAB 16u
#define EVICTION_SAMPLE 16u
#define REFUSAL_FIRST (60 * NS_PER_S)
#define REFUSAL_DOUBLINGS 6u /* an hour or so */
#define MSS_MOST_V4 1460u    /* RFC 7413 4.1.3 (MAY) */
#define MSS_MOST_V6 1440u

/* What is known of a server (port 0: its cookie, good at all ports) or of the way to one of its
 * ports (that Fast Open did not work there, RFC 7413 4.1.3.1). */
struct fast_open_path {
    struct fast_open_name {
        struct ipaddr local, remote;
        uint64_t port; /* as wide as that: no padding to hash */
    } name;
    ns_t noted_at;      /* 0: free */
    ns_t refused_until; /* of a port */
    uint16_t mss;
    uint8_t refusals; /* in a row */
    struct tcp_cookie cookie;
    uint32_t index;
    uint32_t bucket_next;
    uint32_t reserved; /* pool.h: not the last word */
};

/* ---- keys ------------------------------------------------------------------------------------ */

static struct siphash_key key_of(const uint8_t bytes[16])
{
    struct siphash_key key = {0};
    for (int i = 0; i < 8; i++) {
        key.k0 |= (uint64_t)bytes[i] << (8 * i);
        key.k1 |= (uint64_t)bytes[8 + i] << (8 * i);
    }
    return key;
}

static struct siphash_key new_key(ut_stack *s)
{
    return (struct siphash_key){rand_u64(&s->rand), rand_u64(&s->rand)};
}

/* RFC 7413 4.1.2, property 5. Nobody is given a cookie before it is looked at. */
static void renew_key(ut_stack *s)
{
    struct fast_open *f = &s->fast_open;
    if (s->now < f->key_until)
        return;
    bool is_old = f->key_until == 0 || s->now - f->key_until >= KEY_LIFE;
    f->former = is_old ? new_key(s) : f->key;
    f->key = new_key(s);
    f->key_until = time_after(s->now, KEY_LIFE);
}

void fast_open_set_key(ut_stack *s, const uint8_t key[16])
{
    struct fast_open *f = &s->fast_open;
    renew_key(s); /* the first one follows upon one that nobody can know */
    f->key_until = TIME_NEVER;
    struct siphash_key new = key_of(key);
    if (memcmp(&new, &f->key, sizeof new) == 0)
        return; /* said again: the one before stays good */
    f->former = f->key;
    f->key = new;
}

static void make_cookie(const struct siphash_key *key, const struct flow_key *flow,
                        struct tcp_cookie *out)
{
    uint8_t message[32];
    bool is_v4 = ipaddr_is_v4(&flow->remote);
    uint32_t len = is_v4 ? 4 : 16;
    memcpy(message, flow->remote.b + 16 - len, len);
    memcpy(message + len, flow->local.b + 16 - len, len);
    uint64_t hash = siphash24(key, message, 2 * len);
    *out = (struct tcp_cookie){.len = COOKIE_LEN};
    for (uint32_t i = 0; i < COOKIE_LEN; i++)
        out->bytes[i] = (uint8_t)(hash >> (8 * i));
}

void fast_open_make_cookie(ut_stack *s, const struct flow_key *key, struct tcp_cookie *out)
{
    renew_key(s);
    make_cookie(&s->fast_open.key, key, out);
}

/* In a time that does not tell how much of it was right. */
static bool is_cookie(const struct tcp_opts *o, const struct tcp_cookie *cookie)
{
    uint8_t differs = 0;
    if (o->cookie_len != cookie->len)
        return false;
    for (uint32_t i = 0; i < COOKIE_LEN; i++)
        differs |= o->cookie[i] ^ cookie->bytes[i];
    return differs == 0;
}

/* ---- server ---------------------------------------------------------------------------------- */

uint32_t fast_open_pending(const ut_stack *s, struct listener *l)
{
    if (s->now - l->resets_since >= RESET_PERIOD) {
        bool all_old = s->now - l->resets_since >= 2 * RESET_PERIOD;
        l->resets_before = all_old ? 0 : l->resets_now;
        l->resets_now = 0;
        l->resets_since = s->now;
    }
    return l->fast_open_count + l->resets_now + l->resets_before;
}

bool fast_open_is_served(const ut_stack *s, struct listener *l)
{
    return l->fast_open_max != 0 && fast_open_pending(s, l) < l->fast_open_max;
}

/* A good cookie: its connection, on the accept queue. */
static bool open_early(ut_stack *s, struct rx *rx, struct listener *l, const struct tcp_half *half,
                       const struct tcp_cookie *fresh)
{
    struct conn *c = listen_admit(s, rx, l, half, 0);
    if (c == NULL)
        return false;
    fast_open_accept(&c->tcb, half, &rx->seg, fresh, s->now);
    c->fast_open = listen_index(l) + 1;
    l->fast_open_count++;
    struct trace_subject of = {s->now, c->notice.handle, &c->key, half->iss, half->irs, 0};
    struct trace_cause cause = {.seg = &rx->seg, .is_received = true};
    trace_add(&s->trace, &of, TCP_LISTEN, TCP_SYN_RECEIVED, cause);
    events_tell(&s->events, &l->notice, UT_ACCEPTABLE);
    conn_after(s, c, cause);
    stack_count(s, COUNTER_fast_open_accepted);
    return true;
}

bool fast_open_begin(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after)
{
    struct tcp_cookie now, former;
    fast_open_make_cookie(s, &rx->key, &now);
    make_cookie(&s->fast_open.former, &rx->key, &former);
    if (rx->seg.opt.cookie_len == 0) {
        stack_count(s, COUNTER_fast_open_asked);
        return false;
    }
    bool is_now = is_cookie(&rx->seg.opt, &now);
    if (!is_now && !is_cookie(&rx->seg.opt, &former)) {
        stack_count(s, COUNTER_fast_open_cookie_bad); /* 7413-09: one that is good is on its way */
        return false;
    }
    if (l->accept_count >= l->backlog)
        return false;
    struct tcp_half half;
    struct tcp_start start = half_open_start(s, &rx->key, isn_after);
    half_init(&half, &s->env, &rx->seg, &start);
    return open_early(s, rx, l, &half, is_now ? NULL : &now);
}

void fast_open_ended(ut_stack *s, struct conn *c)
{
    struct listener *l = listen_at(s, c->fast_open - 1);
    UT_ASSERT(l != NULL && l->fast_open_count > 0);
    c->fast_open = 0;
    fast_open_pending(s, l);
    l->fast_open_count--;
    /* RFC 7413 5.1: resets would else fuel a flood with spoofed addresses. */
    if (c->tcb.state == TCP_CLOSED && c->tcb.error == UT_E_RESET) {
        l->resets_now++;
        stack_count(s, COUNTER_fast_open_reset);
    }
}

void fast_open_forget_listener(ut_stack *s, const struct listener *l)
{
    for (uint32_t i = 0; i < s->conns.fresh && l->fast_open_count > 0; i++) {
        struct conn *c = conn_at(s, i);
        if (c != NULL && c->fast_open == listen_index(l) + 1)
            c->fast_open = 0;
    }
}

/* ---- what is known of servers ---------------------------------------------------------------- */

void fast_open_init(ut_stack *s)
{
    struct fast_open *f = &s->fast_open;
    pool_init(&f->paths, &s->alloc, sizeof(struct fast_open_path), PATHS_SLAB, FAST_OPEN_PATHS);
    f->hash = rand_key(&s->rand, "fast open paths");
    for (uint32_t i = 0; i < FAST_OPEN_BUCKETS; i++)
        f->bucket[i] = POOL_NONE;
}

void fast_open_fini(ut_stack *s) { pool_fini(&s->fast_open.paths); }

static struct fast_open_name name_of(const struct flow_key *key, uint16_t port)
{
    return (struct fast_open_name){key->local, key->remote, port};
}

static uint32_t *bucket_of(ut_stack *s, const struct fast_open_name *name)
{
    struct fast_open *f = &s->fast_open;
    return &f->bucket[siphash13(&f->hash, name, sizeof *name) % FAST_OPEN_BUCKETS];
}

static struct fast_open_path *find_path(ut_stack *s, const struct fast_open_name *name)
{
    if (s->fast_open.paths.in_use == 0)
        return NULL;
    for (uint32_t i = *bucket_of(s, name); i != POOL_NONE;) {
        struct fast_open_path *p = pool_at(&s->fast_open.paths, i);
        if (p->name.port == name->port && ipaddr_equal(&p->name.remote, &name->remote) &&
            ipaddr_equal(&p->name.local, &name->local))
            return p;
        i = p->bucket_next;
    }
    return NULL;
}

static void forget_path(ut_stack *s, struct fast_open_path *p)
{
    struct pool *pool = &s->fast_open.paths;
    uint32_t *at = bucket_of(s, &p->name);
    while (*at != p->index)
        at = &((struct fast_open_path *)pool_at(pool, *at))->bucket_next;
    *at = p->bucket_next;
    p->noted_at = 0;
    pool_put(pool, p->index);
}

/* All are in use, so every sample has one. */
static void evict_path(ut_stack *s)
{
    struct fast_open *f = &s->fast_open;
    struct fast_open_path *oldest = NULL;
    for (uint32_t i = 0; i < EVICTION_SAMPLE; i++) {
        struct fast_open_path *p = pool_at(&f->paths, f->victim++ % FAST_OPEN_PATHS);
        if (oldest == NULL || p->noted_at < oldest->noted_at)
            oldest = p;
    }
    forget_path(s, oldest);
}

/* Finds or makes it; NULL: no memory. */
static struct fast_open_path *note_path(ut_stack *s, const struct fast_open_name *name)
{
    struct fast_open_path *p = find_path(s, name);
    if (p == NULL) {
        uint32_t index;
        if (s->fast_open.paths.in_use == FAST_OPEN_PATHS)
            evict_path(s);
        p = pool_get(&s->fast_open.paths, &index);
        if (p == NULL)
            return NULL;
        uint32_t *bucket = bucket_of(s, name);
        p->name = *name;
        p->index = index;
        p->bucket_next = *bucket;
        *bucket = index;
    }
    p->noted_at = u64_max(s->now, 1);
    return p;
}

/* ---- client ---------------------------------------------------------------------------------- */

void fast_open_connect(ut_stack *s, struct conn *c)
{
    struct fast_open_name port = name_of(&c->key, c->key.rport), server = name_of(&c->key, 0);
    const struct fast_open_path *p = find_path(s, &port);
    if (p != NULL && p->refused_until > s->now)
        return;
    p = find_path(s, &server);
    if (p != NULL)
        fast_open_wait(&c->tcb, &p->cookie, p->mss, s->now);
    else
        fast_open_ask(&c->tcb);
}

/* RFC 7413 4.1.3.1 (MUST): not again at this port for a while, which doubles. */
static void note_refusal(ut_stack *s, const struct flow_key *key)
{
    struct fast_open_name name = name_of(key, key->rport);
    struct fast_open_path *p = note_path(s, &name);
    if (p == NULL)
        return;
    p->refused_until = time_after(s->now, REFUSAL_FIRST << p->refusals);
    if (p->refusals < REFUSAL_DOUBLINGS)
        p->refusals++;
}

static void note_success(ut_stack *s, const struct flow_key *key)
{
    struct fast_open_name name = name_of(key, key->rport);
    struct fast_open_path *p = find_path(s, &name);
    if (p != NULL)
        forget_path(s, p);
}

/* RFC 7413 4.1.3 (MUST): the cookie, and the MSS beside it. */
static void note_cookie(ut_stack *s, const struct conn *c, const struct tcp_opts *o)
{
    struct fast_open_name name = name_of(&c->key, 0);
    uint16_t mss = o->has_mss ? o->mss : c->tcb.path.default_mss;
    bool is_new = o->has_fast_open && o->cookie_len != 0;
    struct fast_open_path *p = is_new ? note_path(s, &name) : find_path(s, &name);
    if (p == NULL)
        return;
    uint32_t most = ipaddr_is_v4(&c->key.remote) ? MSS_MOST_V4 : MSS_MOST_V6;
    p->mss = (uint16_t)u32_max(u32_min(mss, most), TCP_MIN_MSS);
    if (is_new) {
        p->cookie = (struct tcp_cookie){.len = o->cookie_len};
        memcpy(p->cookie.bytes, o->cookie, o->cookie_len);
    }
}

static void learn_from_synack(ut_stack *s, const struct conn *c, const struct tcp_seg *seg)
{
    const struct tcp_fast_open *f = &c->tcb.fast_open;
    bool has_cookie = seg->opt.has_fast_open && seg->opt.cookie_len != 0;
    note_cookie(s, c, &seg->opt);
    if (f->data_sent)
        stack_count(s,
                    f->data_acked ? COUNTER_fast_open_data_acked : COUNTER_fast_open_data_refused);
    /* A cookie beside data that was not taken is a better one. Without one: a listener that does
     * not want it, or a path that drops such SYNs, so that a plain one was answered. */
    if (f->data_acked || (has_cookie && !f->data_sent))
        note_success(s, &c->key);
    else if (!has_cookie)
        note_refusal(s, &c->key);
}

void fast_open_learn(ut_stack *s, const struct conn *c, enum tcp_state to,
                     const struct tcp_seg *seg)
{
    if (to == TCP_ESTABLISHED && seg != NULL)
        learn_from_synack(s, c, seg);
    else if (to == TCP_CLOSED && c->tcb.syn_tries > 0 && c->tcb.error != UT_E_REFUSED &&
             c->tcb.error != UT_E_ABORTED)
        note_refusal(s, &c->key); /* no answer, or ICMP's */
}
