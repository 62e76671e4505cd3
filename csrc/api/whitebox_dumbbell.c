/* whitebox_dumbbell.c: two stacks, a bottleneck between them, and a clock that jumps.
 *
 * The stacks are on links of their own kind: what one sends is copied into the other's queue with
 * its time of arrival. Never in the shipped module.
 */
#include "api/whitebox_dumbbell.h"

#include <stdlib.h>

#include "api/links.h"
#include "base/base.h"
#include "base/errors.h"
#include "base/rand.h"

#define MTU 1500u
#define FLOWS_MAX 256
#define PORT 7
#define BEGIN (1000 * NS_PER_S)
#define BUDGET 64
/* Shorter packets carry no data. */
#define HEADERS_MAX 100u

struct packet {
    ns_t at;
    uint32_t len;
    uint8_t data[MTU];
};

/* A ring of packets on their way, in the order of their arrival. */
struct wire {
    struct packet *packets;
    uint32_t size, first, count; /* size: a power of two */
    uint32_t lent;               /* of the first: in the stack's hands */
};

enum { SENDER, RECEIVER };

struct end {
    struct link link;
    struct wire in;
    ut_stack *stack;
    struct wb_dumbbell *owner;
};

struct flow {
    ut_handle sender, receiver;
    uint64_t received;
    uint16_t port;
};

struct wb_dumbbell {
    wb_path path;
    wb_path_stats stats;
    struct rand rand;
    struct end ends[2];
    ns_t now, busy_until;
    struct flow flows[FLOWS_MAX];
    int flow_count;
    ut_handle listener;
    int error;
};

/* ---- the path ------------------------------------------------------------------------------- */

static struct packet *wire_at(const struct wire *w, uint32_t i)
{
    return &w->packets[(w->first + i) & (w->size - 1)];
}

static void wire_grow(struct wire *w)
{
    struct wire old = *w;
    w->size = old.size != 0 ? 2 * old.size : 64;
    w->first = 0;
    w->packets = malloc(w->size * sizeof *w->packets);
    UT_ASSERT(w->packets != NULL);
    for (uint32_t i = 0; i < old.count; i++)
        w->packets[i] = *wire_at(&old, i);
    free(old.packets);
}

static void wire_put(struct wire *w, const struct link_out *o, ns_t at)
{
    if (w->count == w->size)
        wire_grow(w); /* whoever had some lent has done with them: its turn is over */
    struct packet *p = wire_at(w, w->count++);
    p->at = at;
    p->len = link_out_len(o);
    uint8_t *to = p->data;
    memcpy(to, o->head, o->head_len);
    to += o->head_len;
    for (int b = 0; b < 2 && o->body_len[b] != 0; b++) {
        memcpy(to, o->body[b], o->body_len[b]);
        to += o->body_len[b];
    }
}

static void wire_give_back(struct wire *w)
{
    w->first = (w->first + w->lent) & (w->size - 1);
    w->count -= w->lent;
    w->lent = 0;
}

static bool is_lost(struct wb_dumbbell *d)
{
    const wb_path *p = &d->path;
    bool lost = p->period != 0 && d->stats.packets % p->period == 0;
    return lost || (p->loss != 0 && (uint32_t)rand_u64(&d->rand) < p->loss);
}

/* Through the bottleneck: when the packet has left it, or TIME_NEVER. */
static ns_t pass(struct wb_dumbbell *d, uint32_t len)
{
    const wb_path *p = &d->path;
    bool has_data = len > HEADERS_MAX;
    d->stats.packets += has_data;
    ns_t wait = time_between(d->now, d->busy_until);
    uint64_t waiting = (uint64_t)((unsigned __int128)wait * p->rate / (8 * NS_PER_S));
    if (waiting + len > p->queue) {
        d->stats.dropped++;
        return TIME_NEVER;
    }
    d->stats.queue_max = u64_max(d->stats.queue_max, waiting + len);
    d->stats.bytes += len;
    d->busy_until = u64_max(d->now, d->busy_until) + len * 8 * NS_PER_S / p->rate;
    if (has_data && is_lost(d)) {
        d->stats.lost++;
        return TIME_NEVER;
    }
    return d->busy_until;
}

static int path_send(struct link *l)
{
    struct end *e = UT_CONTAINER_OF(l, struct end, link);
    struct wb_dumbbell *d = e->owner;
    bool forth = e == &d->ends[SENDER];
    for (int i = 0; i < l->out_count; i++) {
        const struct link_out *o = &l->out[i];
        UT_ASSERT(link_out_len(o) <= MTU);
        ns_t left = forth ? pass(d, link_out_len(o)) : d->now;
        if (left != TIME_NEVER)
            wire_put(&d->ends[forth ? RECEIVER : SENDER].in, o, left + d->path.delay_ns);
    }
    return l->out_count;
}

static int path_recv(struct link *l, struct link_frame *frames, int max)
{
    struct end *e = UT_CONTAINER_OF(l, struct end, link);
    struct wire *w = &e->in;
    int count = 0;
    wire_give_back(w);
    for (; count < max && w->lent < w->count; count++) {
        const struct packet *p = wire_at(w, w->lent);
        if (p->at > e->owner->now)
            break;
        frames[count] = (struct link_frame){
            .data = p->data, .len = p->len, .offload = {.flags = LINK_CSUM_VALID}};
        w->lent++;
    }
    return count;
}

static void path_close(struct link *l)
{
    struct end *e = UT_CONTAINER_OF(l, struct end, link);
    free(e->in.packets);
    link_fini(l);
}

static const struct link_ops path_ops = {
    .name = "path", .recv = path_recv, .send = path_send, .close = path_close};

/* ---- the ends ------------------------------------------------------------------------------- */

static void end_init(struct wb_dumbbell *d, int which)
{
    struct end *e = &d->ends[which];
    ut_link *outer = calloc(1, sizeof *outer);
    UT_ASSERT(outer != NULL);
    alloc_init(&outer->alloc, 0);
    bool ready = link_init(&e->link, &path_ops, &outer->alloc);
    UT_ASSERT(ready);
    outer->link = &e->link;
    e->link.medium = LINK_IP;
    e->link.mtu = MTU;
    e->link.caps = LINK_CAP_TX_CSUM | LINK_CAP_RX_CSUM;
    e->owner = d;
    wire_grow(&e->in);
    ut_config config;
    ut_config_default(&config);
    config.seed[0] = d->path.seed;
    config.seed[1] = (uint64_t)which;
    config.rcv_buffer = config.snd_buffer = (uint32_t)d->path.buffer;
    config.nodelay = 1;
    int error = 0;
    e->stack = ut_stack_new(&config, outer, &error);
    UT_ASSERT(e->stack != NULL);
}

static ut_endpoint endpoint(int which, uint16_t port)
{
    return (ut_endpoint){.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)(which + 1)},
                         .port = port};
}

struct wb_dumbbell *wb_dumbbell_new(const wb_path *path)
{
    struct wb_dumbbell *d = calloc(1, sizeof *d);
    UT_ASSERT(d != NULL && path->rate > 0);
    d->path = *path;
    d->now = BEGIN;
    rand_init(&d->rand, path->seed, 2);
    for (int which = SENDER; which <= RECEIVER; which++) {
        end_init(d, which);
        ut_endpoint own = endpoint(which, 0);
        ut_address_add(d->ends[which].stack, own.ip, 24, 0, d->now);
    }
    ut_endpoint local = endpoint(RECEIVER, PORT);
    int code = ut_listen(d->ends[RECEIVER].stack, &local, FLOWS_MAX, 0, d->now, &d->listener);
    UT_ASSERT(code == 0);
    return d;
}

void wb_dumbbell_free(struct wb_dumbbell *d)
{
    for (int which = SENDER; which <= RECEIVER; which++)
        ut_stack_free(d->ends[which].stack);
    free(d);
}

/* ---- the programs at them ------------------------------------------------------------------- */

static void fill(struct wb_dumbbell *d, ut_handle h)
{
    static const uint8_t zeros[1 << 16];
    while (ut_send(d->ends[SENDER].stack, h, zeros, sizeof zeros, d->now) == sizeof zeros)
        continue;
}

static void drain(struct wb_dumbbell *d, struct flow *f)
{
    ut_stack *s = d->ends[RECEIVER].stack;
    ut_span lent = {0};
    while (ut_recv(s, f->receiver, NULL, 0, INT32_MAX, &lent, d->now) == 0 && lent.len != 0) {
        f->received += lent.len;
        ut_recv_done(s, f->receiver, lent.len, d->now);
        lent.len = 0;
    }
}

static void accept_all(struct wb_dumbbell *d)
{
    ut_endpoint local, remote;
    ut_handle h;
    while (ut_accept(d->ends[RECEIVER].stack, d->listener, d->now, &h, &local, &remote) == 0) {
        for (int i = 0; i < d->flow_count; i++) {
            if (d->flows[i].port == remote.port)
                d->flows[i].receiver = h;
        }
    }
}

static void serve(struct wb_dumbbell *d, int which, const ut_event *event)
{
    if (event->events & UT_CLOSED)
        d->error = -event->error;
    if (which == SENDER) {
        fill(d, event->handle);
        return;
    }
    if (event->handle == d->listener) {
        accept_all(d);
        return;
    }
    for (int i = 0; i < d->flow_count; i++) {
        if (d->flows[i].receiver == event->handle)
            drain(d, &d->flows[i]);
    }
}

/* Until this end has nothing more to do at this time. */
static void settle(struct wb_dumbbell *d, int which)
{
    struct end *e = &d->ends[which];
    const ut_shared *shared = ut_stack_shared(e->stack);
    ut_event events[BUDGET];
    do {
        int count = ut_poll(e->stack, d->now, BUDGET, events, BUDGET);
        for (int i = 0; i < count; i++)
            serve(d, which, &events[i]);
    } while (shared->events_pending != 0 || shared->deadline <= d->now);
}

static ns_t due(const struct end *e)
{
    ns_t at = ut_stack_shared(e->stack)->deadline;
    return e->in.count > e->in.lent ? u64_min(at, wire_at(&e->in, e->in.lent)->at) : at;
}

int wb_dumbbell_add(struct wb_dumbbell *d, int congestion)
{
    ut_endpoint local = {0}, remote = endpoint(RECEIVER, PORT);
    ut_stack *s = d->ends[SENDER].stack;
    ut_info info;
    if (d->flow_count == FLOWS_MAX)
        return -UT_E_NO_MEMORY;
    struct flow *f = &d->flows[d->flow_count];
    int code = ut_connect(s, &local, &remote, 0, d->now, &f->sender);
    if (code == 0)
        code = ut_option_set(s, f->sender, UT_OPT_CONGESTION, congestion, d->now);
    if (code == 0)
        code = ut_get_info(s, f->sender, &info);
    if (code != 0)
        return code;
    f->port = info.local.port;
    settle(d, SENDER);
    return d->flow_count++;
}

int wb_dumbbell_run(struct wb_dumbbell *d, uint64_t ns)
{
    ns_t until = d->now + ns;
    while (d->error == 0) {
        ns_t at[] = {due(&d->ends[SENDER]), due(&d->ends[RECEIVER])};
        ns_t next = u64_min(at[SENDER], at[RECEIVER]);
        if (next > until)
            break;
        d->now = u64_max(d->now, next);
        for (int which = SENDER; which <= RECEIVER; which++) {
            if (at[which] <= d->now)
                settle(d, which);
        }
    }
    d->now = until;
    return d->error;
}

uint64_t wb_dumbbell_received(const struct wb_dumbbell *d, int flow)
{
    UT_ASSERT(flow >= 0 && flow < d->flow_count);
    return d->flows[flow].received;
}

int wb_dumbbell_info(struct wb_dumbbell *d, int flow, ut_info *out)
{
    UT_ASSERT(flow >= 0 && flow < d->flow_count);
    return ut_get_info(d->ends[SENDER].stack, d->flows[flow].sender, out);
}

void wb_dumbbell_stats(const struct wb_dumbbell *d, wb_path_stats *out) { *out = d->stats; }
