/* options.h: which TCP options a connection sends, and what it learns from those of a SYN.
 */
#ifndef UT_TCP_OPTIONS_H
#define UT_TCP_OPTIONS_H

#include "tcp/tcb.h"
#include "wire/tcp.h"

#define TCP_MAX_WSCALE 14 /* RFC 7323 2.3 */

/* The timestamp clock: 1 ms ticks plus the connection's offset (RFC 7323 5.4). */
static inline uint32_t options_ts_now(uint32_t ts_offset, ns_t now)
{
    return (uint32_t)(now / NS_PER_MS) + ts_offset;
}
/* What the peer's SYN or SYN,ACK agrees to, of what we offered. */
void options_learn(struct tcb *t, const struct tcp_seg *syn, ns_t now);
/* For a SYN or SYN,ACK of ours. */
void options_for_syn(const struct tcb *t, bool with_ack, ns_t now, struct tcp_opts *out);
/* For every other segment: timestamps and SACK blocks (RFC 2018 4). */
void options_for_segment(const struct tcb *t, ns_t now, struct tcp_opts *out);
/* Option bytes every data segment carries. */
static inline uint32_t options_data_length(const struct tcb *t) { return t->ts_ok ? 12 : 0; }
/* Option bytes of the next segment, SACK blocks among them. */
uint32_t options_next_length(const struct tcb *t);

#endif
