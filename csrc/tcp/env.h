/* env.h: what all connections of a stack share: parameters, memory, randomness, counters.
 *
 * tcp/ takes everything that differs between a test and production from here or from arguments
 * (rule 4). The stack fills it and outlives every tcb.
 */
#ifndef UT_TCP_ENV_H
#define UT_TCP_ENV_H

#include "base/drops.h"
#include "base/pool.h"
#include "base/rand.h"
#include "base/seq32.h"
#include "base/time.h"
#include "tcp/cc.h"
#include "tcp/reasm.h"
#include "tcp/state.h"

struct tcp_params {
    ns_t msl, rto_initial, rto_min, rto_max, delack, user_timeout, connect_timeout, orphan_timeout;
    uint32_t synack_retries;
    uint8_t quick_acks; /* first data segments of a connection that are acknowledged at once */
    uint32_t challenge_ack_limit; /* per connection and second */
    bool use_timestamps, use_window_scale, use_sack, use_rack, nodelay;
    bool rto_min_is_of_variance; /* RTO >= SRTT + rto_min, as Linux has it */
    uint8_t mtu_probing;         /* enum mtu_probing */
    uint8_t ecn;                 /* enum ecn_use */
    uint16_t mtu_base;           /* mtu.h; 0: as usual */
    uint16_t mss_max;            /* announced at most, whatever the link takes */
    bool nagle_minshall;         /* RFC 9293 A.3 */
    bool bare_window_probes;     /* RFC 9293 3.8.6.1: without an octet of data */
    uint8_t batch_min_segs;      /* not 0: only what an algorithm wants paced by its nature is */
};

/* What the IP layer says about the way to the peer. */
struct tcp_path {
    uint16_t mss;         /* MTU less the IP and TCP headers without options */
    uint16_t default_mss; /* when the peer names none: 536 over IPv4, 1220 over IPv6 (MUST-15) */
};

/* What the stack chooses for a new connection before its first segment. */
struct tcp_start {
    seq32 iss;
    uint32_t ts_offset; /* RFC 7323 5.4: of its timestamp clock */
    struct tcp_path path;
};

struct tcb;

struct tcp_env {
    struct tcp_params params;
    struct ring_cache snd_rings;
    struct reasm_memory rcv;
    struct pool trouble; /* of struct tcp_trouble: what only a connection with losses needs */
    struct pool times;   /* of struct tcp_times: while data is in flight */
    struct pool sent;    /* of struct sent_log: the same, where the rate is sampled */
    struct pool accecn;  /* of struct tcp_accecn: while RFC 9768 is agreed */
    struct cc_env cc;
    struct rand *rand;
    struct tcp_moves moves;
    void (*on_note)(struct tcb *t, uint8_t kind, uint64_t lo, uint64_t hi); /* note.h; or NULL */
    uint64_t drops[DROP_COUNT];
};

static inline void tcp_count_drop(struct tcp_env *env, enum drop_reason r) { env->drops[r]++; }

#endif
