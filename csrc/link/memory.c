/* memory.c: a link end in memory. Joined to another end it is a cable; alone it is driven by tests.
 *
 *     end a:  tx ----> queue ----> rx  :end b        each queue: one mutex, bounded bytes,
 *             rx <---- queue <---- tx                one eventfd that is readable while frames wait
 *
 *   1. A queue belongs to the end that receives from it, and is shared with whoever sends into it.
 *   2. A record lies in one piece: a frame received is lent from the queue, not copied.
 *   3. What was lent by one receive call is given back at the next.
 *   4. The eventfd is readable exactly while unlent records exist (`signalled`).
 *   5. Lock order: join_lock, then an end's lock, then a queue's lock.
 */
#include "link/memory.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/errors.h"
#include "link/open.h"
#include "link/place.h"

#define QUEUE_DEFAULT (4u << 20)
#define QUEUE_MIN (16u << 10)
#define QUEUE_MIN_OFFLOAD (256u << 10) /* so that a super-segment lent never blocks the next */
#define QUEUE_MAX (1u << 30)
#define FRAME_MAX (LINK_GSO_MAX + LINK_ETHERNET_HEADER)
#define RECORD_ALIGN 16u
#define WRAP UINT32_MAX /* a record of this length says: go on at offset 0 */

struct record {
    uint32_t len;
    struct link_offload offload;
};
_Static_assert(sizeof(struct record) <= RECORD_ALIGN, "a record's header fits one unit");

struct queue {
    struct alloc alloc; /* its own, because the end that frees it last need not be its owner */
    atomic_int holders;
    pthread_mutex_t lock;
    uint8_t *data;
    uint32_t size;
    uint32_t head, tail; /* offsets of the next write and of the oldest record still kept */
    uint32_t next;       /* of the oldest record not yet lent */
    uint32_t used;       /* bytes from tail to head */
    uint32_t lent;       /* bytes from tail to next */
    int fd;
    bool signalled;
    bool closed; /* nobody will receive any more */
};

struct memory {
    struct link link;
    struct queue *rx;
    pthread_mutex_t lock; /* guards tx and joined */
    struct queue *tx;
    bool joined;
    struct memory *next_named; /* in named_ends, guarded by join_lock */
    char meeting[64];          /* the name under which it is there */
};

static pthread_mutex_t join_lock = PTHREAD_MUTEX_INITIALIZER;
/* A name means the same in the whole process, so this is the process's. */
static struct memory *named_ends;

/* ---- queue ---------------------------------------------------------------------------------- */

static void queue_drop(struct queue *q)
{
    if (q == NULL || atomic_fetch_sub(&q->holders, 1) != 1)
        return;
    struct alloc a = q->alloc;
    if (q->fd >= 0)
        close(q->fd);
    pthread_mutex_destroy(&q->lock);
    alloc_unmap(&a, q->data, q->size);
    alloc_put(&a, q, sizeof *q);
}

/* NULL with errno. */
static struct queue *queue_new(uint32_t size)
{
    struct alloc a;
    alloc_init(&a, 0);
    errno = ENOMEM;
    struct queue *q = alloc_get(&a, sizeof *q);
    if (q == NULL)
        return NULL;
    q->fd = -1;
    q->size = size;
    q->data = alloc_map(&a, size);
    q->alloc = a;
    if (q->data == NULL || pthread_mutex_init(&q->lock, NULL) != 0) {
        alloc_unmap(&a, q->data, size);
        alloc_put(&a, q, sizeof *q);
        return NULL;
    }
    atomic_init(&q->holders, 1);
    q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->fd < 0) {
        int saved = errno;
        queue_drop(q);
        errno = saved;
        return NULL;
    }
    return q;
}

static uint32_t record_size(uint32_t len)
{
    return RECORD_ALIGN + ((len + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1));
}

/* Room for a frame of `len` bytes, in one piece, or NULL when the queue is full. Lock held. */
static uint8_t *queue_reserve(struct queue *q, uint32_t len, const struct link_offload *offload)
{
    uint32_t need = record_size(len);
    if (q->used == 0) { /* stay in the part of the memory that is warm */
        q->head = q->tail = q->next = 0;
    }
    uint32_t to_end = q->size - q->head;
    uint32_t skip = need > to_end ? to_end : 0;
    if (need + skip > q->size - q->used)
        return NULL;
    if (skip != 0) {
        ((struct record *)(void *)(q->data + q->head))->len = WRAP;
        q->head = 0;
    }
    struct record *r = (struct record *)(void *)(q->data + q->head);
    r->len = len;
    r->offload = *offload;
    q->head += need;
    if (q->head == q->size)
        q->head = 0;
    q->used += need + skip;
    return (uint8_t *)r + RECORD_ALIGN;
}

/* Lends the oldest record not yet lent; NULL when there is none. Lock held. */
static struct record *queue_lend(struct queue *q)
{
    if (q->lent == q->used)
        return NULL;
    struct record *r = (struct record *)(void *)(q->data + q->next);
    if (r->len == WRAP) {
        q->lent += q->size - q->next;
        q->next = 0;
        r = (struct record *)(void *)q->data;
    }
    uint32_t size = record_size(r->len);
    q->lent += size;
    q->next += size;
    if (q->next == q->size)
        q->next = 0;
    return r;
}

static void queue_give_back(struct queue *q)
{
    q->used -= q->lent;
    q->lent = 0;
    q->tail = q->next;
}

/* Invariant 4. Lock held, so that a clear can never overtake the signal it answers. A descriptor
 * that refuses is asked again by the next call. */
static void queue_signal(struct queue *q)
{
    bool waiting = q->lent != q->used;
    if (waiting == q->signalled)
        return;
    uint64_t one = 1;
    ssize_t done = waiting ? write(q->fd, &one, sizeof one) : read(q->fd, &one, sizeof one);
    if (done == (ssize_t)sizeof one)
        q->signalled = waiting;
}

/* ---- the link ------------------------------------------------------------------------------- */

static struct memory *memory_of(struct link *l) { return UT_CONTAINER_OF(l, struct memory, link); }

static int memory_recv(struct link *l, struct link_frame *frames, int max)
{
    struct queue *q = memory_of(l)->rx;
    uint32_t free = place_free(l);
    int count = 0;
    pthread_mutex_lock(&q->lock);
    queue_give_back(q);
    for (struct record *r; count < max && (r = queue_lend(q)) != NULL; count++) {
        frames[count].data = (uint8_t *)r + RECORD_ALIGN;
        frames[count].len = r->len;
        frames[count].offload = r->offload;
        frames[count].posted = 0;
        if (UT_UNLIKELY(free != 0))
            place_copied(l, &free, &frames[count]);
        l->stats.rx_bytes += r->len;
    }
    queue_signal(q);
    pthread_mutex_unlock(&q->lock);
    l->stats.recv_calls++;
    l->stats.rx_frames += (uint64_t)count;
    return count;
}

/* As a device would: too long for the medium and not to be segmented. */
static bool out_is_too_long(const struct link *l, const struct link_out *o)
{
    uint32_t header = l->medium == LINK_ETHERNET ? LINK_ETHERNET_HEADER : 0;
    return link_out_len(o) > (o->offload.gso_size != 0 ? LINK_GSO_MAX : l->mtu) + header;
}

static int memory_send(struct link *l)
{
    struct memory *m = memory_of(l);
    int taken = 0;
    pthread_mutex_lock(&m->lock);
    struct queue *q = m->tx;
    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < l->out_count; i++) {
        const struct link_out *o = &l->out[i];
        if (q->closed || out_is_too_long(l, o)) {
            l->stats.tx_errors++;
            continue;
        }
        uint8_t *to = queue_reserve(q, link_out_len(o), &o->offload);
        if (to == NULL) {
            l->stats.tx_full++;
            continue;
        }
        memcpy(to, o->head, o->head_len);
        to += o->head_len;
        for (int b = 0; b < 2 && o->body_len[b] != 0; b++) {
            memcpy(to, o->body[b], o->body_len[b]);
            to += o->body_len[b];
        }
        taken++;
        l->stats.tx_bytes += link_out_len(o);
    }
    queue_signal(q);
    pthread_mutex_unlock(&q->lock);
    pthread_mutex_unlock(&m->lock);
    l->stats.flush_calls++;
    l->stats.tx_frames += (uint64_t)taken;
    return taken;
}

static void memory_close(struct link *l)
{
    struct memory *m = memory_of(l);
    pthread_mutex_lock(&join_lock);
    for (struct memory **at = &named_ends; *at != NULL; at = &(*at)->next_named) {
        if (*at == m) {
            *at = m->next_named;
            break;
        }
    }
    if (m->rx != NULL) {
        pthread_mutex_lock(&m->rx->lock);
        m->rx->closed = true;
        pthread_mutex_unlock(&m->rx->lock);
    }
    queue_drop(m->rx);
    queue_drop(m->tx);
    pthread_mutex_unlock(&join_lock);
    l->fd = -1; /* the queue's */
    link_fini(l);
    pthread_mutex_destroy(&m->lock);
    alloc_put(l->alloc, m, sizeof *m);
}

static const struct link_ops memory_ops = {
    .name = "memory",
    .recv = memory_recv,
    .send = memory_send,
    .close = memory_close,
};

/* Two ends of one cable must differ, so each gets the next of a locally administered block. */
static void mac_choose(uint8_t mac[6])
{
    static atomic_uint last;
    unsigned n = atomic_fetch_add(&last, 1) + 1;
    const uint8_t made[6] = {0x02, 0x75, 0x74, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(mac, made, sizeof made);
}

static void memory_describe(struct link *l, const struct link_options *o)
{
    l->medium = o->ethernet ? LINK_ETHERNET : LINK_IP;
    l->mtu = o->mtu != 0 ? o->mtu : LINK_MTU_DEFAULT;
    if (o->offload) {
        l->caps = LINK_CAP_TX_CSUM | LINK_CAP_TX_TSO4 | LINK_CAP_TX_TSO6 | LINK_CAP_RX_CSUM |
                  LINK_CAP_RX_GSO;
        l->gso_max = LINK_GSO_MAX;
    }
    if (o->has_mac)
        memcpy(l->mac, o->mac, sizeof l->mac);
    else if (o->ethernet)
        mac_choose(l->mac);
}

int link_memory_open(struct alloc *a, const struct link_options *o, struct link **out)
{
    if (o->buffer > QUEUE_MAX || (o->mtu != 0 && (o->mtu < LINK_MTU_MIN || o->mtu > LINK_GSO_MAX)))
        return -UT_E_INVALID;
    uint32_t least = o->offload ? QUEUE_MIN_OFFLOAD : QUEUE_MIN;
    uint32_t size = o->buffer == 0 ? QUEUE_DEFAULT : u32_max(o->buffer, least);
    size = (size + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1);
    struct memory *m = alloc_get(a, sizeof *m);
    if (m == NULL)
        return -UT_E_NO_MEMORY;
    if (!link_init(&m->link, &memory_ops, a)) {
        alloc_put(a, m, sizeof *m);
        return -UT_E_NO_MEMORY;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->rx = queue_new(size);
    m->tx = m->rx != NULL ? queue_new(size) : NULL;
    if (m->tx == NULL) {
        int saved = errno;
        memory_close(&m->link);
        errno = saved;
        return saved == ENOMEM ? -UT_E_NO_MEMORY : -UT_E_SYSTEM;
    }
    m->link.fd = m->rx->fd;
    memory_describe(&m->link, o);
    *out = &m->link;
    return 0;
}

/* ---- joining, and the far end of an unjoined link ------------------------------------------- */

bool link_is_memory(const struct link *l) { return l->ops == &memory_ops; }

static bool has_live_partner(struct memory *m)
{
    if (!m->joined)
        return false;
    pthread_mutex_lock(&m->tx->lock);
    bool live = !m->tx->closed;
    pthread_mutex_unlock(&m->tx->lock);
    return live;
}

/* From now on m sends into `to`. What waits in its old queue goes over first, as far as it fits. */
static void memory_connect(struct memory *m, struct queue *to)
{
    atomic_fetch_add(&to->holders, 1);
    pthread_mutex_lock(&m->lock);
    struct queue *old = m->tx;
    bool forward = !m->joined;
    m->tx = to;
    m->joined = true;
    pthread_mutex_lock(&to->lock);
    queue_give_back(old); /* nobody else reads it: memory_read needs m->lock */
    for (struct record *r; forward && (r = queue_lend(old)) != NULL;) {
        uint8_t *at = queue_reserve(to, r->len, &r->offload);
        if (at == NULL)
            break;
        memcpy(at, (uint8_t *)r + RECORD_ALIGN, r->len);
    }
    queue_signal(to);
    pthread_mutex_unlock(&to->lock);
    pthread_mutex_unlock(&m->lock);
    queue_drop(old);
}

static int join_locked(struct memory *x, struct memory *y)
{
    if (x->link.medium != y->link.medium || x->link.caps != y->link.caps || has_live_partner(x) ||
        has_live_partner(y))
        return -UT_E_INVALID;
    memory_connect(x, y->rx);
    memory_connect(y, x->rx);
    return 0;
}

int memory_join(struct link *a, struct link *b)
{
    if (a == b || !link_is_memory(a) || !link_is_memory(b))
        return -UT_E_INVALID;
    pthread_mutex_lock(&join_lock);
    int result = join_locked(memory_of(a), memory_of(b));
    pthread_mutex_unlock(&join_lock);
    return result;
}

int memory_join_name(struct link *l, const char *name)
{
    size_t len = strlen(name);
    if (!link_is_memory(l) || len == 0 || len >= sizeof memory_of(l)->meeting)
        return -UT_E_INVALID;
    struct memory *m = memory_of(l), *other = NULL;
    int result = m->meeting[0] != '\0' ? -UT_E_INVALID : 0, ends = 0;
    pthread_mutex_lock(&join_lock);
    for (struct memory *at = named_ends; at != NULL; at = at->next_named) {
        if (strcmp(at->meeting, name) == 0) {
            other = at;
            ends++;
        }
    }
    if (result == 0 && ends == 2)
        result = -UT_E_ADDRESS_IN_USE;
    if (result == 0 && other != NULL)
        result = join_locked(m, other);
    if (result == 0) {
        memcpy(m->meeting, name, len + 1);
        m->next_named = named_ends;
        named_ends = m;
    }
    pthread_mutex_unlock(&join_lock);
    return result == 0 && other != NULL ? 1 : result;
}

static int64_t queue_read(struct queue *q, uint8_t *to, size_t cap, struct link_offload *offload)
{
    uint32_t next = q->next, lent = q->lent;
    struct record *r = queue_lend(q);
    if (r == NULL)
        return 0;
    if (r->len > cap) {
        q->next = next;
        q->lent = lent;
        return -UT_E_INVALID;
    }
    memcpy(to, (uint8_t *)r + RECORD_ALIGN, r->len);
    *offload = r->offload;
    int64_t len = r->len;
    queue_give_back(q);
    queue_signal(q);
    return len;
}

int64_t memory_read(struct link *l, uint8_t *to, size_t cap, struct link_offload *offload)
{
    struct memory *m = memory_of(l);
    int64_t result = -UT_E_NOT_SUPPORTED;
    pthread_mutex_lock(&m->lock);
    if (!m->joined) {
        pthread_mutex_lock(&m->tx->lock);
        result = queue_read(m->tx, to, cap, offload);
        pthread_mutex_unlock(&m->tx->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return result;
}

int memory_far_fd(struct link *l)
{
    struct memory *m = memory_of(l);
    pthread_mutex_lock(&m->lock);
    int fd = m->joined ? -UT_E_NOT_SUPPORTED : m->tx->fd;
    pthread_mutex_unlock(&m->lock);
    return fd;
}

int memory_write(struct link *l, const uint8_t *frame, size_t len,
                 const struct link_offload *offload)
{
    if (len == 0 || len > FRAME_MAX)
        return -UT_E_INVALID;
    struct queue *q = memory_of(l)->rx;
    pthread_mutex_lock(&q->lock);
    uint8_t *to = queue_reserve(q, (uint32_t)len, offload);
    if (to != NULL) {
        memcpy(to, frame, len);
        queue_signal(q);
    }
    pthread_mutex_unlock(&q->lock);
    return to != NULL ? 0 : -UT_E_WOULD_BLOCK;
}
