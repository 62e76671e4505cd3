/* window.h: the receive window we offer (RFC 9293 3.8.6.2.2; RFC 7323 2): never shrinks, never
 * silly.
 */
#ifndef UT_TCP_WINDOW_H
#define UT_TCP_WINDOW_H

#include "tcp/tcb.h"

/* The window field for a segment leaving now (already shifted unless `syn`); moves rcv_adv. */
uint16_t window_offer(struct tcb *t, bool syn);
/* The user has read enough that the peer should hear of it (an ACK is worth sending). */
bool window_update_is_due(const struct tcb *t);
/* The shift we offer for a receive buffer of `bytes`. */
uint8_t window_scale_for(uint32_t bytes);
/* What of a ring of `bytes` is not offered, so that an offer may be rounded up to the shift's
 * grain. */
static inline uint32_t window_spare(uint32_t bytes, uint8_t shift)
{
    return shift == 0 ? 1 : bytes / 32; /* grains for hundreds of ACKs; scaled rings are large */
}
/* Takes the window of an acceptable segment if it is newer (RFC 9293 3.10.7.4, WL1/WL2). True: it
 * changed. */
bool window_take(struct tcb *t, seq32 seq, seq32 ack, uint16_t field);

#endif
