/* egress.h: from descriptions of segments to frames on the link.
 *
 * Nothing here decides what to send; stack_settle flushes.
 */
#ifndef UT_STACK_EGRESS_H
#define UT_STACK_EGRESS_H

#include "stack/conn.h"
#include "stack/ingress.h"

/* On: connections send nothing, and nothing counts as sent, until it is off again. */
void egress_hold(ut_stack *s, bool on);
/* Pulls the output of every dirty connection until there is none left. */
void egress_dirty(ut_stack *s);
/* Lets what the connection would send now be lost: nobody is there to take it, and its own timers
 * must see to the rest. May free it. */
void egress_lose(ut_stack *s, struct conn *c);
/* One segment without payload that no output engine makes: resets, SYN,ACKs of half-open entries,
 * ACKs of TIME-WAIT records; ports are filled in. On Ethernet it goes to `station` when the cache
 * knows nobody; without one it is dropped while resolution begins. */
void egress_segment(ut_stack *s, const struct flow_key *key, const struct tcp_seg *seg,
                    const struct macaddr *station);
/* The RST that answers the segment in rx. */
void egress_reset(ut_stack *s, const struct rx *rx);
/* A frame with link and IP headers for `ip`, which has addresses, proto, ttl and payload_len; its
 * head ends where the payload begins. */
struct link_out *egress_begin(ut_stack *s, const struct ip_hdr *ip, const struct macaddr *station);

#endif
