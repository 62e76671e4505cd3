/* fuzz_frames.c: a stack with a listener, fed arbitrary frames, and arbitrary payloads in headers
 * that are right, while time passes.
 */
#include "harness.h"
#include "wire/checksum.h"
#include "wire/ether.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define FRAME_MAX 1600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An IP packet with right lengths and checksums around the input's bytes; returns its length. */
static size_t wrap(struct input *in, uint8_t *to)
{
    const uint8_t *payload;
    uint8_t how = input_u8(in);
    bool v4 = how & 1;
    struct ip_hdr ip = {.src = bench_address(v4, how >> 4 & 3), .dst = bench_address(v4, 2)};
    ip.version = v4 ? 4 : 6;
    ip.proto = how & 2 ? IP_PROTO_TCP : v4 ? IP_PROTO_ICMP : IP_PROTO_ICMPV6;
    ip.ttl = how & 4 ? 255 : 64;
    size_t header = v4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;
    ip.payload_len = (uint32_t)input_bytes(in, input_u16(in) % 1400, &payload);
    memcpy(to + header, payload, ip.payload_len);
    if (ip.proto != IP_PROTO_TCP && ip.payload_len >= 4) {
        to[header + 2] = to[header + 3] = 0;
        uint32_t sum = v4 ? 0 : checksum_pseudo(&ip.src, &ip.dst, ip.proto, ip.payload_len);
        uint16_t right = (uint16_t)~checksum_fold(checksum_add(to + header, ip.payload_len, sum));
        to[header + 2] = (uint8_t)(right >> 8);
        to[header + 3] = (uint8_t)right;
    }
    bench_ip_write(to, &ip);
    return header + ip.payload_len;
}

static size_t next_frame(struct input *in, const struct bench *b, uint8_t *to)
{
    const uint8_t *raw;
    uint8_t how = input_u8(in);
    if (how < 64) {
        size_t len = input_bytes(in, input_u16(in) % FRAME_MAX, &raw);
        memcpy(to, raw, len);
        return len;
    }
    size_t at = b->ethernet ? ETHER_HEADER_LEN : 0;
    size_t len = wrap(in, to + at);
    if (b->ethernet) {
        ut_link_info info;
        struct ether_hdr eth = {.src = {{2, 0, 0, 0, 0, 9}}};
        ut_link_get_info(b->link, &info);
        memcpy(eth.dst.b, info.mac, sizeof eth.dst.b);
        eth.type = to[at] >> 4 == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6;
        ether_write(to, &eth);
    }
    return at + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct bench b;
    uint8_t how = input_u8(&in), frame[FRAME_MAX];
    bench_open(&b, how & 1, how >> 1 & 1 ? 2 : 1);
    for (int i = 0; i < 64 && in.left > 0; i++) {
        ut_handle h;
        ut_endpoint local, remote;
        b.now += (uint64_t)input_u8(&in) * 10000000;
        bench_frame(&b, frame, next_frame(&in, &b, frame));
        while (ut_accept(b.stack, b.listener, b.now, &h, &local, &remote) == 0)
            ut_close(b.stack, h, b.now);
    }
    b.now += UINT64_C(4000000000000);
    bench_turn(&b);
    bench_close(&b);
    return 0;
}
