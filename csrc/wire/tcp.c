/* tcp.c: the TCP header (RFC 9293 3.1): parsed once per arriving segment, written once per
 * departing one.
 *
 * What the fields mean to a connection is tcp/'s affair; the reserved bits are ignored.
 */
#include "wire/tcp.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ip.h"

enum drop_reason tcp_parse(const uint8_t *p, size_t len, struct tcp_seg *out)
{
    if (len < TCP_HEADER_LEN)
        return DROP_tcp_short;
    size_t header = (size_t)(p[12] >> 4) * 4;
    if (header < TCP_HEADER_LEN || header > len)
        return DROP_tcp_short;
    out->sport = get_be16(p);
    out->dport = get_be16(p + 2);
    out->seq = seq_make(get_be32(p + 4));
    out->ack = seq_make(get_be32(p + 8));
    out->flags = get_be16(p + 12) & 0x1ff;
    out->ip_ecn = 0;
    out->wnd = get_be16(p + 14);
    out->urp = get_be16(p + 18);
    out->gso_size = 0;
    out->posted = 0;
    out->data = p + header;
    out->len = (uint32_t)(len - header);
    return tcp_opt_parse(p + TCP_HEADER_LEN, header - TCP_HEADER_LEN, &out->opt);
}

bool tcp_checksum_ok(const struct ipaddr *src, const struct ipaddr *dst, const uint8_t *p,
                     size_t len)
{
    /* RFC 9293 3.1 (MUST-3): the receiver checks it. */
    uint32_t pseudo = checksum_pseudo(src, dst, IP_PROTO_TCP, (uint32_t)len);
    return checksum_fold(checksum_add(p, len, pseudo)) == 0xffff;
}

size_t tcp_write(uint8_t *to, const struct tcp_seg *s)
{
    size_t header = TCP_HEADER_LEN + tcp_opt_write(to + TCP_HEADER_LEN, &s->opt);
    put_be16(to, s->sport);
    put_be16(to + 2, s->dport);
    put_be32(to + 4, s->seq.v);
    put_be32(to + 8, s->ack.v);
    put_be16(to + 12, (uint16_t)(header / 4 << 12 | s->flags));
    put_be16(to + 14, s->wnd);
    put_be16(to + TCP_CHECKSUM_OFFSET, 0);
    put_be16(to + 18, s->urp);
    return header;
}

void tcp_checksum_set(uint8_t *tcp, uint32_t payload_len, uint32_t payload_sum,
                      const struct ipaddr *src, const struct ipaddr *dst)
{
    /* RFC 9293 3.1 (MUST-2): the sender fills it in. */
    uint32_t header_len = (uint32_t)(tcp[12] >> 4) * 4, len = header_len + payload_len;
    put_be16(tcp + TCP_CHECKSUM_OFFSET, 0);
    uint32_t sum = checksum_add(tcp, header_len, checksum_pseudo(src, dst, IP_PROTO_TCP, len));
    sum = (uint32_t)checksum_fold(sum) + checksum_fold(payload_sum);
    put_be16(tcp + TCP_CHECKSUM_OFFSET, (uint16_t)~checksum_fold(sum));
}

void tcp_checksum_partial(uint8_t *tcp, uint32_t len, const struct ipaddr *src,
                          const struct ipaddr *dst)
{
    /* Not inverted: whoever completes it sums from here to the end, then inverts. */
    uint32_t pseudo = checksum_pseudo(src, dst, IP_PROTO_TCP, len);
    put_be16(tcp + TCP_CHECKSUM_OFFSET, checksum_fold(pseudo));
}
