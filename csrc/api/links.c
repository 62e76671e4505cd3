/* links.c: the ut_link_* and ut_memory_* functions of usertcp_link.h: one call into link/ each.
 *
 * A link has no lock of its own: opening and closing are its owner's, and what may be called while
 * a stack uses it (capture, info, memory) is made safe by link/ itself.
 */
#include "api/links.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "link/memory.h"
#include "link/open.h"
#include "link/pcap.h"

_Static_assert(sizeof(ut_offload) == sizeof(struct link_offload) + sizeof(uint16_t),
               "ut_offload mirrors link_offload");

struct link *ut_link_inner(ut_link *l) { return l->link; }

static struct link_options options_from(const ut_link_options *o)
{
    struct link_options to = {
        .mtu = o->mtu,
        .buffer = o->buffer,
        .offload = o->offload != 0,
        .multi_queue = o->queues != 0,
        .ethernet = o->ethernet != 0,
        .has_mac = o->has_mac != 0,
        .port_first = o->port_first,
        .port_last = o->port_last,
    };
    memcpy(to.mac, o->mac, sizeof to.mac);
    return to;
}

static ut_link *wrapper_new(int *error)
{
    ut_link *l = calloc(1, sizeof *l);
    if (l == NULL) {
        *error = -UT_E_NO_MEMORY;
        return NULL;
    }
    alloc_init(&l->alloc, 0);
    return l;
}

/* The common end of all openers: `result` is what link_*_open returned. */
static ut_link *wrapper_finish(ut_link *l, int result, int *error, int *system_error)
{
    int saved = errno;
    *error = result;
    if (system_error != NULL)
        *system_error = result == -UT_E_SYSTEM ? saved : 0;
    if (result == 0)
        return l;
    free(l);
    return NULL;
}

ut_link *ut_link_packet(const char *ifname, const ut_link_options *o, int *error, int *system_error)
{
    struct link_options options = options_from(o);
    ut_link *l = wrapper_new(error);
    if (l == NULL)
        return NULL;
    int result = link_packet_open(&l->alloc, ifname, &options, &l->link);
    return wrapper_finish(l, result, error, system_error);
}

ut_link *ut_link_tun(const char *ifname, const ut_link_options *o, int *error, int *system_error)
{
    struct link_options options = options_from(o);
    ut_link *l = wrapper_new(error);
    if (l == NULL)
        return NULL;
    int result = link_tun_open(&l->alloc, ifname, &options, &l->link);
    return wrapper_finish(l, result, error, system_error);
}

ut_link *ut_link_raw(const ut_link_options *o, int *error, int *system_error)
{
    struct link_options options = options_from(o);
    ut_link *l = wrapper_new(error);
    if (l == NULL)
        return NULL;
    int result = link_rawip_open(&l->alloc, &options, &l->link);
    return wrapper_finish(l, result, error, system_error);
}

ut_link *ut_link_memory(const ut_link_options *o, int *error)
{
    struct link_options options = options_from(o);
    ut_link *l = wrapper_new(error);
    if (l == NULL)
        return NULL;
    int result = link_memory_open(&l->alloc, &options, &l->link);
    return wrapper_finish(l, result, error, NULL);
}

int ut_memory_join(ut_link *a, ut_link *b) { return memory_join(a->link, b->link); }

int ut_memory_join_name(ut_link *l, const char *name) { return memory_join_name(l->link, name); }

void ut_link_close(ut_link *l)
{
    if (l == NULL)
        return;
    link_close(l->link);
    UT_ASSERT(l->alloc.in_use == 0);
    free(l);
}

void ut_link_get_info(ut_link *l, ut_link_info *out)
{
    struct link *k = l->link;
    if (k->ops->refresh != NULL)
        k->ops->refresh(k);
    memset(out, 0, sizeof *out);
    memcpy(out->name, k->name, sizeof out->name);
    out->caps = k->caps;
    out->mtu = k->mtu;
    out->gso_max = k->gso_max;
    out->medium = k->medium == LINK_ETHERNET ? 0 : 1;
    out->fd = k->fd;
    memcpy(out->mac, k->mac, sizeof k->mac);
    /* A stack in another thread may be at work: a value may be a moment old. */
    out->rx_frames = k->stats.rx_frames;
    out->rx_bytes = k->stats.rx_bytes;
    out->tx_frames = k->stats.tx_frames;
    out->tx_bytes = k->stats.tx_bytes;
    out->tx_full = k->stats.tx_full;
    out->tx_errors = k->stats.tx_errors;
    out->rx_errors = k->stats.rx_errors;
    out->recv_calls = k->stats.recv_calls;
    out->flush_calls = k->stats.flush_calls;
    out->rx_missed = __atomic_load_n(&k->stats.rx_missed, __ATOMIC_RELAXED);
    out->tap_missed = k->stats.tap_missed;
}

int ut_link_capture(ut_link *l, const char *path, int *system_error)
{
    *system_error = 0;
    struct pcap *tap = pcap_open(path, l->link->name, l->link->medium);
    if (tap == NULL) {
        *system_error = errno;
        return errno == ENOMEM ? -UT_E_NO_MEMORY : -UT_E_SYSTEM;
    }
    link_tap_set(l->link, tap);
    return 0;
}

int ut_link_capture_stop(ut_link *l)
{
    link_tap_set(l->link, NULL);
    return 0;
}

static struct link_offload offload_from(const ut_offload *o)
{
    return (struct link_offload){
        .flags = o->flags,
        .gso = o->gso,
        .gso_size = o->gso_size,
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
        .header_len = o->header_len,
    };
}

int64_t ut_memory_read(ut_link *l, uint8_t *to, size_t cap, ut_offload *offload)
{
    if (!link_is_memory(l->link))
        return -UT_E_NOT_SUPPORTED;
    struct link_offload from = {0};
    int64_t len = memory_read(l->link, to, cap, &from);
    if (offload != NULL)
        *offload = (ut_offload){
            .flags = from.flags,
            .gso = from.gso,
            .gso_size = from.gso_size,
            .csum_start = from.csum_start,
            .csum_offset = from.csum_offset,
            .header_len = from.header_len,
        };
    return len;
}

int ut_memory_fd(ut_link *l)
{
    return link_is_memory(l->link) ? memory_far_fd(l->link) : -UT_E_NOT_SUPPORTED;
}

int ut_memory_write(ut_link *l, const uint8_t *frame, size_t len, const ut_offload *offload)
{
    if (!link_is_memory(l->link))
        return -UT_E_NOT_SUPPORTED;
    struct link_offload to = offload != NULL ? offload_from(offload) : (struct link_offload){0};
    return memory_write(l->link, frame, len, &to);
}
