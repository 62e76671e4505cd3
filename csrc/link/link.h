/* link.h: the interface every link implements: batches of frames both ways, with offload marks.
 *
 *      stack/ingress <- link_recv <-  [ packet | tun | rawip | memory ]
 *      stack/egress  -> link_reserve, link_flush ->
 *
 *   1. Frames from link_recv, and what they left in posted buffers that nobody holds, stay valid
 *      until the next call of link_recv or link_close.
 *   2. A frame reserved is sent by the next link_flush in order, or counted as dropped; the memory
 *      its body points to must stay unchanged until link_flush returns.
 *   3. No call blocks. link_fd is readable when link_recv would return frames.
 *   4. A frame marked LINK_NEEDS_CSUM or with a gso_size is only given to a link whose caps say so.
 *   5. System calls happen here and nowhere else in csrc/ (but for the pump thread).
 *   6. One thread at a time uses a link (the stack's mutex sees to it); only the tap may be put on
 *      and taken off, and the counters read, from any thread at any time.
 *
 * Offload marks have the meaning of virtio_net_hdr (virtio 1.2, 5.1.6.2).
 */
#ifndef UT_LINK_LINK_H
#define UT_LINK_LINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/posted.h"
#include "base/time.h"

enum link_medium {
    LINK_ETHERNET, /* frames begin with an Ethernet header */
    LINK_IP,       /* frames begin with an IP header */
};

enum link_cap {
    LINK_CAP_TX_CSUM = 1, /* completes partial checksums */
    LINK_CAP_TX_TSO4 = 2, /* segments TCP over IPv4 */
    LINK_CAP_TX_TSO6 = 4,
    LINK_CAP_RX_CSUM = 8, /* vouches for checksums: LINK_CSUM_VALID, LINK_NEEDS_CSUM on receipt */
    LINK_CAP_RX_GSO = 16, /* delivers merged segments with gso_size */
};

enum link_frame_flag {
    LINK_NEEDS_CSUM = 1, /* tx: complete it; rx: it never was on a wire, the data is good */
    LINK_CSUM_VALID = 2, /* rx: verified below us */
    LINK_TRUNCATED = 4,  /* rx: the frame was longer than the buffer */
    LINK_GSO_ECN = 8,    /* with a gso_size: CWR belongs to the first segment only */
};

enum link_gso { LINK_GSO_NONE, LINK_GSO_TCP4, LINK_GSO_TCP6 };

struct link_offload {
    uint8_t flags;        /* enum link_frame_flag */
    uint8_t gso;          /* enum link_gso */
    uint16_t gso_size;    /* payload bytes of each segment */
    uint16_t csum_start;  /* from the start of the frame */
    uint16_t csum_offset; /* from csum_start */
    uint16_t header_len;  /* all headers, of each segment */
};

/* In one piece at `data`; or, where `posted` is not 0, its first `head` bytes there and the others
 * in that buffer of link->posted: link_join. */
struct link_frame {
    const uint8_t *data;
    uint32_t len;
    uint32_t head;
    uint8_t posted;
    struct link_offload offload;
};

#define LINK_HEADROOM 128 /* room for all headers of one frame */

struct link_out {
    uint8_t head[LINK_HEADROOM];
    uint32_t head_len;
    const uint8_t *body[2];
    uint32_t body_len[2];
    struct link_offload offload;
};

struct link_stats {
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t tx_full, tx_errors, rx_errors;
    uint64_t recv_calls, flush_calls; /* system calls where the link makes them */
    uint64_t rx_missed;               /* the kernel's queue to us was full */
    uint64_t tap_missed;              /* passed by, but the capture was behind */
};

struct link;
struct pcap;

struct link_ops {
    const char *name;
    /* Up to `max` frames; 0 when none wait; -UT_E_LINK_DOWN when the device is gone. */
    int (*recv)(struct link *l, struct link_frame *frames, int max);
    /* Hands over l->out[0..l->out_count); returns how many were taken. Counts all of tx_*. */
    int (*send)(struct link *l);
    /* Brings stats.rx_missed up to date; any thread. NULL: nothing is counted elsewhere. */
    void (*refresh)(struct link *l);
    /* Releases everything, the struct itself included. */
    void (*close)(struct link *l);
};

#define LINK_BATCH 64

struct link {
    const struct link_ops *ops;
    struct alloc *alloc;
    enum link_medium medium;
    uint32_t caps;    /* enum link_cap */
    uint32_t mtu;     /* bytes of an IP packet */
    uint32_t gso_max; /* largest IP packet given to TSO, bytes; 0 without TSO */
    uint8_t mac[6];
    char name[16]; /* of the device; else of the kind of link */
    int fd;        /* readable when frames wait; -1 when there is none */
    ns_t now;      /* the stack's clock at this turn, for capture time stamps */
    struct link_stats stats;
    struct posted *posted; /* the stack's; NULL: there is no stack */
    uint32_t split; /* where the text of large frames begins; 0: not known. The stack says it */
    struct link_out *out; /* LINK_BATCH of them */
    int out_count;
    _Atomic(struct pcap *) tap; /* NULL: no capture. Used only with tap_lock held */
    pthread_mutex_t tap_lock;
};

/* Whether what is received must be shown to the tap, frame by frame: link_tap_in, the handling,
 * link_tap_said; at the end of the batch link_tap_write. */
static inline bool link_is_tapped(const struct link *l)
{
    return UT_UNLIKELY(atomic_load_explicit(&l->tap, memory_order_relaxed) != NULL);
}
void link_tap_in(struct link *l, const struct link_frame *f);
/* What became of the frame, for the file's reader; NULL: nothing worth a word. */
void link_tap_said(struct link *l, const char *comment);
void link_tap_write(struct link *l);
/* Copies every frame that passes, both ways, to `tap`, which the link now owns; closes the one
 * before it. NULL takes the tap off. Any thread. */
void link_tap_set(struct link *l, struct pcap *tap);

/* Up to `max` frames; 0 when none wait; -UT_E_LINK_DOWN when the device is gone for good. */
static inline int link_recv(struct link *l, struct link_frame *frames, int max)
{
    return l->ops->recv(l, frames, max);
}
/* Brings a frame into one piece. */
void link_join(const struct link *l, struct link_frame *f);
static inline uint32_t link_out_len(const struct link_out *o)
{
    return o->head_len + o->body_len[0] + o->body_len[1];
}
/* The next frame to fill; flushes by itself when the batch is full, so never NULL. head_len,
 * body_len and offload come zeroed. */
struct link_out *link_reserve(struct link *l);
/* Sends what is reserved. Returns the number of frames the link did not take (counted). */
int link_flush(struct link *l);
void link_close(struct link *l);
/* Shared by the implementations: zeroes, takes `out`, sets defaults. False: out of memory.
 * link_fini takes the tap off, closes the descriptor and gives `out` back. */
bool link_init(struct link *l, const struct link_ops *ops, struct alloc *a);
void link_fini(struct link *l);

#endif
