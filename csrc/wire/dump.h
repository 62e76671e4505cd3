/* dump.h: one line of text per packet, in the figures' notation, for traces and failing tests.
 */
#ifndef UT_WIRE_DUMP_H
#define UT_WIRE_DUMP_H

#include "wire/tcp.h"

/* "seq=1 ack=1 len=5 PSH,ACK win=65535 <mss 1460>" relative to the given bases; NUL-terminated,
 * never more than `cap` bytes. Returns the length. */
size_t dump_tcp(char *to, size_t cap, const struct tcp_seg *s, seq32 seq_base, seq32 ack_base);
/* "SYN,ACK"; "." for none. */
size_t dump_flags(char *to, size_t cap, uint16_t flags);

#endif
