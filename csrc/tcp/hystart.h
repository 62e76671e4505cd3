/* hystart.h: HyStart++ (RFC 9406): leaving the first slow start when delay rises, before loss; and
 * HyStart, from which it came, for those who compare (hystart_classic.c).
 *
 * Used by an algorithm's slow start as long as hystart_is_on: the initial slow start only (4.2).
 */
#ifndef UT_TCP_HYSTART_H
#define UT_TCP_HYSTART_H

#include "tcp/cc.h"

void hystart_init(struct hystart *h);
static inline bool hystart_is_on(const struct hystart *h) { return h->phase != HYSTART_OFF; }
/* Slow start for good: after a loss, a time-out, an ECN mark. */
static inline void hystart_stop(struct hystart *h) { h->phase = HYSTART_OFF; }
/* An ACK in slow start: bytes by which cwnd grows. When HyStart++ has just ended slow start
 * hystart_is_on no longer holds, and ssthresh is to be cwnd. */
uint32_t hystart_on_ack(struct hystart *h, const struct cc_ack *a);
/* The threshold in force (4.2), for the snapshot. */
ns_t hystart_rtt_thresh(const struct hystart *h);

/* The same of HyStart: 0 when it has just ended slow start. `last` is when the ACK before this one
 * came; with `is_paced` what is acknowledged left over a part of a round trip. */
uint32_t hystart_classic_on_ack(struct hystart *h, const struct cc_ack *a, uint32_t cwnd, ns_t last,
                                bool is_paced);
/* By how much delay must rise. */
ns_t hystart_classic_eta(const struct hystart *h);

#endif
