/* usertcp_link.h: opening links, and the far end of one in memory (link/link.h is the inside view).
 *
 * Conventions as in usertcp.h.
 */
#ifndef USERTCP_LINK_H
#define USERTCP_LINK_H

#include <stddef.h>
#include <stdint.h>

/* CDEF BEGIN */

typedef struct ut_link ut_link;

typedef struct {
    uint32_t mtu;      /* 0 = the device's, 1500 where there is none */
    uint32_t offload;  /* 0 off, 1 on */
    uint32_t buffer;   /* bytes of the receive queue; 0 = default */
    uint32_t queues;   /* TUN: 1 = IFF_MULTI_QUEUE */
    uint32_t ethernet; /* memory: 1 = Ethernet frames, 0 = bare IP */
    uint32_t has_mac;
    uint8_t mac[8];                 /* packet: the stack's own station address; else the device's */
    uint16_t port_first, port_last; /* raw: the range claimed */
} ut_link_options;

typedef struct {
    uint32_t caps, mtu, gso_max, medium; /* medium: 0 Ethernet, 1 IP */
    int32_t fd;
    uint8_t mac[8];
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t tx_full, tx_errors, rx_errors, recv_calls, flush_calls;
    uint64_t rx_missed;  /* frames the kernel's queue to us had no room for */
    uint64_t tap_missed; /* frames the capture had no room for */
    char name[16];       /* of the device, or of the kind of link */
} ut_link_info;

/* Each returns a link, or NULL with -code in *error and, for SYSTEM, errno in *system_error. A link
 * belongs to whoever opened it until ut_stack_new takes it. */
ut_link *ut_link_packet(const char *ifname, const ut_link_options *o, int *error,
                        int *system_error);
ut_link *ut_link_tun(const char *ifname, const ut_link_options *o, int *error, int *system_error);
ut_link *ut_link_raw(const ut_link_options *o, int *error, int *system_error);
/* One end in memory. Two of them may be joined; one alone is driven by ut_memory_read / _write. */
ut_link *ut_link_memory(const ut_link_options *o, int *error);
int ut_memory_join(ut_link *a, ut_link *b);
/* Joins l to the end that waits under `name` in this process (returns 1), or waits there (0). */
int ut_memory_join_name(ut_link *l, const char *name);
void ut_link_close(ut_link *l);
void ut_link_get_info(ut_link *l, ut_link_info *out);
/* Copies every frame that passes, both ways, to a pcapng file. Returns 0 or -code. */
int ut_link_capture(ut_link *l, const char *path, int *system_error);
int ut_link_capture_stop(ut_link *l);

/* Offload marks of a frame, as in virtio_net_hdr. */
typedef struct {
    uint8_t flags, gso;
    uint16_t gso_size, csum_start, csum_offset, header_len, reserved;
} ut_offload;

/* The far end of an unjoined memory link: what the stack sent (returns the length, 0 = nothing),
 * and what it shall receive (returns 0, or -WOULD_BLOCK when its queue is full). Usable while a
 * stack owns the link. */
int64_t ut_memory_read(ut_link *l, uint8_t *to, size_t cap, ut_offload *offload);
/* A descriptor that is readable while ut_memory_read would return a frame. */
int ut_memory_fd(ut_link *l);
int ut_memory_write(ut_link *l, const uint8_t *frame, size_t len, const ut_offload *offload);

/* CDEF END */

#endif
