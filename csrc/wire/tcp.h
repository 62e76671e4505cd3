/* tcp.h: the TCP header (RFC 9293 3.1) and the parsed segment everything above works with.
 */
#ifndef UT_WIRE_TCP_H
#define UT_WIRE_TCP_H

#include "base/base.h"
#include "wire/tcp_opt.h"

struct ipaddr; /* tcp/ reads this header and is to know no address: wire/addr.h for who does */

#define TCP_HEADER_LEN 20
#define TCP_MAX_HEADER_LEN 60

enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
    TCP_AE = 0x100, /* RFC 9768 3.1.1 */
};
#define TCP_FLAGS_ECN (TCP_AE | TCP_CWR | TCP_ECE)
/* The same three as a number: ACE, RFC 9768 3.2.2. */
#define TCP_ACE_SHIFT 6
#define TCP_ACE_MASK 7u

struct tcp_seg {
    uint16_t sport, dport;
    uint16_t flags;
    uint16_t wnd; /* as on the wire, unscaled */
    uint16_t urp;
    uint16_t gso_size; /* payload bytes of each original segment when the link merged some; or 0 */
    uint8_t ip_ecn;    /* low two bits of the IP header's traffic class; set by the caller */
    uint8_t posted;    /* number of the posted buffer that `data` lies in; or 0 */
    seq32 seq, ack;
    const uint8_t *data;
    uint32_t len; /* payload bytes; SYN and FIN not counted */
    struct tcp_opts opt;
};

/* Header length and options checked, nothing about addresses or checksum. */
enum drop_reason tcp_parse(const uint8_t *p, size_t len, struct tcp_seg *out);
/* The checksum over pseudo-header and segment is right. */
bool tcp_checksum_ok(const struct ipaddr *src, const struct ipaddr *dst, const uint8_t *p,
                     size_t len);
/* Writes header and options of *s with a zero checksum field; returns the header length. */
size_t tcp_write(uint8_t *to, const struct tcp_seg *s);
/* Stores the final checksum in the header at `tcp`, as tcp_write left it; `payload_sum` is the
 * unfolded sum of the payload. */
void tcp_checksum_set(uint8_t *tcp, uint32_t payload_len, uint32_t payload_sum,
                      const struct ipaddr *src, const struct ipaddr *dst);
/* Stores the pseudo-header sum only, for a link that completes it (NEEDS_CSUM): `len` is the
 * length of header plus payload. */
void tcp_checksum_partial(uint8_t *tcp, uint32_t len, const struct ipaddr *src,
                          const struct ipaddr *dst);

#define TCP_CHECKSUM_OFFSET 16
/* Of a header as tcp_write left it: enum tcp_flag, but for AE. */
static inline uint8_t tcp_flags(const uint8_t *tcp) { return tcp[13]; }

#endif
