/* icmp.h: ICMPv4 (RFC 792) and what both ICMPs say, in one shape.
 */
#ifndef UT_WIRE_ICMP_H
#define UT_WIRE_ICMP_H

#include "wire/ip.h"

enum icmp_kind {
    ICMP_ECHO_REQUEST,
    ICMP_ECHO_REPLY,
    ICMP_NET_UNREACHABLE,  /* v4 3/0,5,6,11..; v6 1/0 */
    ICMP_HOST_UNREACHABLE, /* v4 3/1,7,12..; v6 1/3 */
    ICMP_PROHIBITED,       /* v4 3/9,10,13; v6 1/1 */
    ICMP_PROTO_UNREACHABLE,
    ICMP_PORT_UNREACHABLE,
    ICMP_PACKET_TOO_BIG, /* v4 3/4; v6 type 2; `mtu` */
    ICMP_TIME_EXCEEDED,
    ICMP_PARAMETER_PROBLEM,
    ICMP_SOURCE_QUENCH,
    ICMP_NEIGHBOUR, /* v6 133..137: for ndp.h */
    ICMP_OTHER,
};

struct icmp_msg {
    enum icmp_kind kind;
    uint8_t type, code;
    uint16_t echo_id, echo_seq;
    uint32_t mtu;
    const uint8_t *body; /* after the 8-byte header: echo data, or the quoted packet */
    uint32_t body_len;
};

/* The packet quoted in an error, as far as it goes: enough to find the connection. */
struct icmp_quote {
    struct ipaddr src, dst;
    uint16_t sport, dport;
    uint32_t len; /* of the whole packet, as its header says */
    uint32_t seq; /* raw: becomes a seq32 in tcp/ */
};

#define ICMP_HEADER_LEN 8

/* What is alike in both versions, of a message at ip->payload that is long enough. */
void icmp_read(const struct ip_hdr *ip, enum icmp_kind kind, struct icmp_msg *out);
/* ip->payload holds the message. */
enum drop_reason icmp4_parse(const struct ip_hdr *ip, struct icmp_msg *out);
/* The quoted TCP segment of an error message of IP version `version`; needs 8 bytes of it. */
enum drop_reason icmp_quote_parse(const struct icmp_msg *m, uint8_t version,
                                  struct icmp_quote *out);
/* Writes an ICMPv4 echo reply: ICMP_HEADER_LEN + body_len bytes; returns that length. */
size_t icmp4_write_echo(uint8_t *to, const struct icmp_msg *request);

#endif
