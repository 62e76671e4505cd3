/* keepalive.h: asking a silent peer whether it is still there (RFC 9293 3.8.4; RFC 1122 4.2.3.6).
 *
 * Off until the user asks for it (MUST-24, MUST-25). One deadline, which arrivals do not move: when
 * it passes, `heard` tells how long the line was silent, and it is armed anew for the rest.
 */
#ifndef UT_TCP_KEEPALIVE_H
#define UT_TCP_KEEPALIVE_H

#include "base/time.h"

struct tcb;

struct tcp_keepalive {
    ns_t deadline; /* TIME_NEVER = off */
    ns_t heard;    /* when a segment came last */
    uint32_t idle_ms, interval_ms;
    uint8_t count; /* probes without an answer that end the connection */
    uint8_t asked; /* probes since the peer was heard */
};

void keepalive_init(struct tcp_keepalive *k);
static inline bool keepalive_is_on(const struct tcp_keepalive *k)
{
    return k->deadline != TIME_NEVER;
}
/* Switches it, or takes changed times into account. */
void keepalive_set(struct tcb *t, bool on, ns_t now);
/* The deadline has passed. True: the peer is taken for dead, the caller closes. */
bool keepalive_timeout(struct tcb *t, ns_t now);

#endif
