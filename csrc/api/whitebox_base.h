/* whitebox_base.h: base/ and wire/ as plain functions, for tests/unit only (usertcp._whitebox).
 *
 * Addresses are 16 bytes as in wire/addr.h. Parsers return a drop reason (DROP_none = 0); places
 * inside a packet come back as offsets into it, WB_NOWHERE for none. What wb_*_new makes is ended
 * by wb_*_free; the wb_alloc a thing was made with must outlive it.
 */
#ifndef UT_API_WHITEBOX_BASE_H
#define UT_API_WHITEBOX_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CDEF BEGIN */
#define WB_NOWHERE 4294967295u
#define WB_RANGES_MAX 64

/* A copy in memory of exactly that size: reading past its end is seen by a sanitizer. */
uint8_t *wb_bytes_copy(const uint8_t *data, size_t len);
void wb_bytes_free(uint8_t *copy);

/* base/alloc */
struct wb_alloc;
struct wb_alloc *wb_alloc_new(uint64_t limit);
void wb_alloc_free(struct wb_alloc *a);
uint64_t wb_alloc_in_use(const struct wb_alloc *a);
uint64_t wb_alloc_peak(const struct wb_alloc *a);
uint64_t wb_alloc_calls(const struct wb_alloc *a);
void wb_alloc_fail_after(struct wb_alloc *a, uint64_t successes);
void *wb_alloc_get(struct wb_alloc *a, size_t size);
void wb_alloc_put(struct wb_alloc *a, void *p, size_t size);

/* base/pool */
struct wb_pool;
struct wb_pool *wb_pool_new(struct wb_alloc *a, uint32_t object_size, uint32_t slab_objects,
                            uint32_t max_objects);
void wb_pool_free(struct wb_pool *p);
void *wb_pool_get(struct wb_pool *p, uint32_t *index);
void wb_pool_put(struct wb_pool *p, uint32_t index);
void *wb_pool_at(const struct wb_pool *p, uint32_t index);
uint32_t wb_pool_in_use(const struct wb_pool *p);

/* base/ring: one cache with `rings` rings over it */
struct wb_rings;
struct wb_rings *wb_rings_new(struct wb_alloc *a, uint32_t size, uint32_t max_rings, uint32_t keep,
                              uint32_t rings);
void wb_rings_free(struct wb_rings *r);
bool wb_ring_open(struct wb_rings *r, uint32_t which, uint64_t offset);
void wb_ring_release(struct wb_rings *r, uint32_t which);
bool wb_ring_is_open(const struct wb_rings *r, uint32_t which);
void wb_ring_write(struct wb_rings *r, uint32_t which, uint64_t offset, const void *from,
                   uint32_t len);
void wb_ring_read(const struct wb_rings *r, uint32_t which, uint64_t offset, void *to,
                  uint32_t len);
struct wb_view {
    uint8_t *at[2];
    uint32_t len[2];
    uint32_t place; /* where in the ring the first piece begins */
};
struct wb_view wb_ring_view(const struct wb_rings *r, uint32_t which, uint64_t offset,
                            uint32_t len);
uint32_t wb_rings_in_use(const struct wb_rings *r);
uint32_t wb_rings_kept(const struct wb_rings *r);

/* base/ranges */
struct wb_ranges;
/* Room for `room` runs at first, WB_RANGES_MAX at most; `grows`: and for more when needed. */
struct wb_ranges *wb_ranges_new(uint32_t room, bool grows);
uint64_t wb_ranges_memory(const struct wb_ranges *r);
void wb_ranges_free(struct wb_ranges *r);
void wb_ranges_clear(struct wb_ranges *r);
bool wb_ranges_add(struct wb_ranges *r, uint64_t lo, uint64_t hi);
bool wb_ranges_remove(struct wb_ranges *r, uint64_t lo, uint64_t hi);
void wb_ranges_trim_below(struct wb_ranges *r, uint64_t lo);
bool wb_ranges_has(const struct wb_ranges *r, uint64_t offset);
bool wb_ranges_covers(const struct wb_ranges *r, uint64_t lo, uint64_t hi);
bool wb_ranges_touches(const struct wb_ranges *r, uint64_t lo, uint64_t hi);
bool wb_ranges_find(const struct wb_ranges *r, uint64_t offset, uint64_t run[2]);
uint64_t wb_ranges_bytes_in(const struct wb_ranges *r, uint64_t lo, uint64_t hi);
/* All runs as lo, hi, lo, hi...; checks the invariants; returns how many. */
uint32_t wb_ranges_list(const struct wb_ranges *r, uint64_t out[128]);

/* base/deadline: one heap with `nodes` nodes, named by their index */
struct wb_heap;
struct wb_heap *wb_heap_new(struct wb_alloc *a, uint32_t nodes);
void wb_heap_free(struct wb_heap *h);
bool wb_heap_reserve(struct wb_heap *h, uint32_t nodes);
void wb_heap_set(struct wb_heap *h, uint32_t node, uint64_t at);
void wb_heap_remove(struct wb_heap *h, uint32_t node);
uint64_t wb_heap_next(const struct wb_heap *h);
/* The node's index or WB_NOWHERE. */
uint32_t wb_heap_pop_due(struct wb_heap *h, uint64_t now);
uint64_t wb_heap_at(const struct wb_heap *h, uint32_t node);
bool wb_heap_is_queued(const struct wb_heap *h, uint32_t node);
/* Order, slots and key <= at hold. */
bool wb_heap_is_sound(const struct wb_heap *h);

/* base/siphash, base/rand */
uint64_t wb_siphash24(uint64_t k0, uint64_t k1, const void *data, size_t len);
uint64_t wb_siphash13(uint64_t k0, uint64_t k1, const void *data, size_t len);
/* The n-th and following outputs for a seed. */
void wb_rand_u64(uint64_t seed0, uint64_t seed1, uint64_t *out, uint32_t count);
void wb_rand_below(uint64_t seed0, uint64_t seed1, uint32_t n, uint32_t *out, uint32_t count);
void wb_rand_key(uint64_t seed0, uint64_t seed1, const char *purpose, uint64_t key[2]);

/* wire/addr */
bool wb_addr_is_v4(const uint8_t a[16]);
bool wb_addr_is_unspecified(const uint8_t a[16]);
bool wb_addr_is_multicast(const uint8_t a[16]);
bool wb_addr_is_limited_broadcast(const uint8_t a[16]);
bool wb_addr_is_loopback(const uint8_t a[16]);
bool wb_addr_is_link_local(const uint8_t a[16]);
bool wb_addr_same_prefix(const uint8_t a[16], const uint8_t b[16], int bits);
void wb_addr_solicited_node(const uint8_t a[16], uint8_t out[16]);

/* wire/checksum; `which` counts from 0, the portable one; NULL past the last */
const char *wb_checksum_name(uint32_t which);
uint32_t wb_checksum_with(uint32_t which, const uint8_t *data, size_t len, uint32_t sum);
uint32_t wb_checksum_add(const uint8_t *data, size_t len, uint32_t sum);
uint32_t wb_checksum_add_at(const uint8_t *data, size_t len, size_t offset, uint32_t sum);
uint16_t wb_checksum_fold(uint32_t sum);
uint32_t wb_checksum_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                            uint32_t len);

/* wire/ether, wire/arp */
struct wb_ether {
    uint8_t dst[6], src[6];
    uint16_t type;
};
int wb_ether_parse(const uint8_t *p, size_t len, struct wb_ether *out);
void wb_ether_write(uint8_t *to, const struct wb_ether *h);
bool wb_mac_is_group(const uint8_t mac[6]);
void wb_mac_of_multicast_v6(const uint8_t group[16], uint8_t out[6]);

struct wb_arp {
    uint16_t op;
    uint8_t sender_mac[6], target_mac[6], sender_ip[16], target_ip[16];
};
int wb_arp_parse(const uint8_t *p, size_t len, struct wb_arp *out);
void wb_arp_write(uint8_t *to, const struct wb_arp *m);

/* wire/ipv4, wire/ipv6 */
struct wb_ip {
    uint8_t src[16], dst[16];
    uint8_t version, proto, ttl, dscp_ecn;
    uint32_t flow_label, id;
    bool is_fragment, more_fragments, has_fragment_header;
    uint32_t fragment_offset, fragment_id;
    uint32_t payload_at, payload_len;
};
int wb_ipv4_parse(const uint8_t *p, size_t len, struct wb_ip *out);
int wb_ipv6_parse(const uint8_t *p, size_t len, struct wb_ip *out);
void wb_ipv4_write(uint8_t *to, const struct wb_ip *h);
void wb_ipv6_write(uint8_t *to, const struct wb_ip *h);

/* wire/icmp, wire/icmpv6; `p` is a whole IP packet that parses */
enum wb_icmp_kind {
    WB_ICMP_ECHO_REQUEST,
    WB_ICMP_ECHO_REPLY,
    WB_ICMP_NET_UNREACHABLE,
    WB_ICMP_HOST_UNREACHABLE,
    WB_ICMP_PROHIBITED,
    WB_ICMP_PROTO_UNREACHABLE,
    WB_ICMP_PORT_UNREACHABLE,
    WB_ICMP_PACKET_TOO_BIG,
    WB_ICMP_TIME_EXCEEDED,
    WB_ICMP_PARAMETER_PROBLEM,
    WB_ICMP_SOURCE_QUENCH,
    WB_ICMP_NEIGHBOUR,
    WB_ICMP_OTHER
};
struct wb_icmp {
    int kind;
    uint8_t type, code;
    uint16_t echo_id, echo_seq;
    uint32_t mtu, body_at, body_len;
};
struct wb_quote {
    uint8_t src[16], dst[16];
    uint16_t sport, dport;
    uint32_t seq;
};
struct wb_ndp {
    uint8_t type, target[16];
    bool router, solicited, override, has_mac;
    uint8_t mac[6];
};
int wb_icmp_parse(const uint8_t *p, size_t len, struct wb_icmp *out);
/* Parses the message first; its reason if that fails. */
int wb_icmp_quote(const uint8_t *p, size_t len, struct wb_quote *out);
int wb_ndp_parse(const uint8_t *p, size_t len, struct wb_ndp *out);
/* The echo reply (upper layer only) to the request in `p`; `to` has room for len bytes. */
size_t wb_icmp_write_echo(uint8_t *to, const uint8_t *p, size_t len);
size_t wb_ndp_write(uint8_t *to, const struct wb_ndp *m, const uint8_t src[16],
                    const uint8_t dst[16]);

/* wire/text_at */
uint32_t wb_text_at(const uint8_t *p, size_t len);

/* wire/tcp_opt, wire/tcp, wire/dump */
struct wb_opts {
    bool has_mss, has_wscale, has_ts, sack_permitted;
    uint16_t mss;
    uint8_t wscale, sack_count;
    uint32_t ts_val, ts_ecr;
    uint32_t sack[8];
};
struct wb_seg {
    uint16_t sport, dport, wnd, urp;
    uint16_t flags;
    uint32_t seq, ack, data_at, len;
    struct wb_opts opt;
};
int wb_tcp_opt_parse(const uint8_t *p, size_t len, struct wb_opts *out);
size_t wb_tcp_opt_write(uint8_t *to, const struct wb_opts *o);
size_t wb_tcp_opt_length(const struct wb_opts *o);
int wb_tcp_parse(const uint8_t *p, size_t len, struct wb_seg *out);
size_t wb_tcp_write(uint8_t *to, const struct wb_seg *s);
bool wb_tcp_checksum_ok(const uint8_t src[16], const uint8_t dst[16], const uint8_t *p, size_t len);
/* Over a whole segment whose header is header_len long. */
void wb_tcp_checksum_set(uint8_t *tcp, size_t header_len, size_t len, const uint8_t src[16],
                         const uint8_t dst[16]);
void wb_tcp_checksum_partial(uint8_t *tcp, uint32_t len, const uint8_t src[16],
                             const uint8_t dst[16]);
size_t wb_dump_tcp(char *to, size_t cap, const struct wb_seg *s, uint32_t seq_base,
                   uint32_t ack_base);
size_t wb_dump_flags(char *to, size_t cap, uint16_t flags);
/* CDEF END */

#endif
