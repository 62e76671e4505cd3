/* link.c: what all links share: the batch of outgoing frames and the capture tap.
 *
 * Called by stack/ with the stack's mutex held; link_tap_set also by api/ from any thread.
 */
#include "link/link.h"

#include <unistd.h>

#include "link/pcap.h"

bool link_init(struct link *l, const struct link_ops *ops, struct alloc *a)
{
    memset(l, 0, sizeof *l);
    l->ops = ops;
    l->alloc = a;
    l->fd = -1;
    memcpy(l->name, ops->name, u32_min((uint32_t)strlen(ops->name), sizeof l->name - 1));
    if (pthread_mutex_init(&l->tap_lock, NULL) != 0)
        return false;
    l->out = alloc_get(a, LINK_BATCH * sizeof *l->out);
    if (l->out == NULL) {
        pthread_mutex_destroy(&l->tap_lock);
        return false;
    }
    return true;
}

void link_fini(struct link *l)
{
    link_tap_set(l, NULL);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    alloc_put(l->alloc, l->out, LINK_BATCH * sizeof *l->out);
    l->out = NULL;
    pthread_mutex_destroy(&l->tap_lock);
}

void link_close(struct link *l)
{
    if (l != NULL)
        l->ops->close(l);
}

void link_join(const struct link *l, struct link_frame *f)
{
    if (f->posted == 0)
        return;
    const struct posted_buffer *b = posted_at(l->posted, f->posted);
    /* The memory is the link's own, and has room for all that may come. */
    uint8_t *slot = (uint8_t *)(uintptr_t)f->data;
    memcpy(slot + f->head, b->memory, u32_min(f->len - f->head, b->size));
    f->posted = 0;
}

struct link_out *link_reserve(struct link *l)
{
    if (l->out_count == LINK_BATCH)
        link_flush(l);
    struct link_out *o = &l->out[l->out_count++];
    o->head_len = 0; /* `head` itself is always written before it is read */
    memset(o->body, 0, sizeof o->body);
    memset(o->body_len, 0, sizeof o->body_len);
    memset(&o->offload, 0, sizeof o->offload);
    return o;
}

/* Before the send, because afterwards the bodies may change: a capture therefore also shows frames
 * that the link then had no room for. */
static void tap_out(struct link *l)
{
    pthread_mutex_lock(&l->tap_lock);
    struct pcap *tap = atomic_load_explicit(&l->tap, memory_order_relaxed);
    if (tap != NULL)
        l->stats.tap_missed += (uint64_t)pcap_write_out(tap, l->out, l->out_count, l->now);
    pthread_mutex_unlock(&l->tap_lock);
}

void link_tap_in(struct link *l, const struct link_frame *f)
{
    pthread_mutex_lock(&l->tap_lock);
    struct pcap *tap = atomic_load_explicit(&l->tap, memory_order_relaxed);
    if (tap != NULL && !pcap_begin_in(tap, f, l->now))
        l->stats.tap_missed++;
    pthread_mutex_unlock(&l->tap_lock);
}

void link_tap_said(struct link *l, const char *comment)
{
    pthread_mutex_lock(&l->tap_lock);
    struct pcap *tap = atomic_load_explicit(&l->tap, memory_order_relaxed);
    if (tap != NULL)
        pcap_end_in(tap, comment);
    pthread_mutex_unlock(&l->tap_lock);
}

void link_tap_write(struct link *l)
{
    pthread_mutex_lock(&l->tap_lock);
    struct pcap *tap = atomic_load_explicit(&l->tap, memory_order_relaxed);
    if (tap != NULL)
        pcap_write(tap);
    pthread_mutex_unlock(&l->tap_lock);
}

void link_tap_set(struct link *l, struct pcap *tap)
{
    pthread_mutex_lock(&l->tap_lock);
    struct pcap *old = atomic_exchange_explicit(&l->tap, tap, memory_order_relaxed);
    pthread_mutex_unlock(&l->tap_lock);
    if (old != NULL)
        pcap_close(old);
}

int link_flush(struct link *l)
{
    int count = l->out_count;
    if (count == 0)
        return 0;
    if (link_is_tapped(l))
        tap_out(l);
    int taken = l->ops->send(l);
    UT_ASSERT(taken >= 0 && taken <= count);
    l->out_count = 0;
    return count - taken;
}
