/* fuzz_headers.c: IPv4 and IPv6 headers with options and extensions, against a second reading of
 * them. What is accepted lies within the packet, and says the same when it is written again.
 */
#include <stdlib.h>

#include "harness.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t read16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

/* The checksum is none of what the fuzzer should find. */
static void mend_v4(uint8_t *p, size_t len)
{
    size_t header = len > 0 ? (size_t)(p[0] & 15) * 4 : 0;
    if (header < IPV4_HEADER_LEN || header > len)
        return;
    p[10] = p[11] = 0;
    uint16_t right = (uint16_t)~checksum_fold(checksum_add(p, header, 0));
    p[10] = (uint8_t)(right >> 8);
    p[11] = (uint8_t)right;
}

static void expect_v4(const uint8_t *p, size_t len, const struct ip_hdr *ip)
{
    size_t header = (size_t)(p[0] & 15) * 4;
    UT_ASSERT(ip->payload == p + header && header + ip->payload_len == read16(p + 2));
    UT_ASSERT(read16(p + 2) <= len && ip->proto == p[9] && ip->ttl == p[8]);
    UT_ASSERT(ip->fragment_offset == (read16(p + 6) & 0x1fff) * 8);
    UT_ASSERT(ip->more_fragments == ((p[6] & 0x20) != 0));
    for (size_t at = IPV4_HEADER_LEN; at < header && p[at] != 0; at += p[at] == 1 ? 1 : p[at + 1])
        UT_ASSERT(p[at] != 131 && p[at] != 137); /* no source route came through */
}

/* RFC 8200 4: header after header, each told by the one before. */
static void expect_v6(const uint8_t *p, size_t len, const struct ip_hdr *ip)
{
    size_t end = IPV6_HEADER_LEN + read16(p + 4), at = IPV6_HEADER_LEN;
    uint8_t next = p[6];
    unsigned headers = 0;
    UT_ASSERT(end <= len && ip->payload + ip->payload_len == p + end);
    while (p + at < ip->payload) {
        UT_ASSERT(next == 0 || next == 43 || next == 44 || next == 60);
        UT_ASSERT(++headers <= IPV6_MAX_EXTENSIONS && at + 8 <= end);
        if (next == 44) {
            UT_ASSERT(ip->has_fragment_header);
        } else if (next == 43) {
            UT_ASSERT(p[at + 3] == 0);
        }
        size_t step = next == 44 ? 8 : ((size_t)p[at + 1] + 1) * 8;
        next = p[at];
        at += step;
    }
    UT_ASSERT(p + at == ip->payload && ip->proto == next);
}

static void written_again(const struct ip_hdr *ip)
{
    uint8_t packet[IP_MAX_HEADER_WRITTEN + 64] = {0};
    struct ip_hdr again, h = *ip;
    h.payload_len = ip->payload_len < 64 ? ip->payload_len : 64;
    h.proto = IP_PROTO_TCP;
    size_t len = bench_ip_write(packet, &h) + h.payload_len;
    enum drop_reason why =
        h.version == 4 ? ipv4_parse(packet, len, &again) : ipv6_parse(packet, len, &again);
    UT_ASSERT(why == DROP_none && again.payload_len == h.payload_len && !again.is_fragment);
    UT_ASSERT(ipaddr_equal(&again.src, &h.src) && ipaddr_equal(&again.dst, &h.dst));
    UT_ASSERT(again.ttl == h.ttl && again.dscp_ecn == h.dscp_ecn && again.proto == h.proto);
    UT_ASSERT(again.flow_label == h.flow_label && again.id == h.id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_hdr ip;
    if (size == 0)
        return 0;
    size_t len = size - 1;
    uint8_t *p = malloc(len > 0 ? len : 1); /* of exactly that size: a byte too far is seen */
    UT_ASSERT(p != NULL);
    memcpy(p, data + 1, len);
    if (data[0] & 1) {
        mend_v4(p, len);
        if (ipv4_parse(p, len, &ip) == DROP_none) {
            expect_v4(p, len, &ip);
            written_again(&ip);
        }
    } else if (ipv6_parse(p, len, &ip) == DROP_none) {
        expect_v6(p, len, &ip);
        written_again(&ip);
    }
    free(p);
    return 0;
}
