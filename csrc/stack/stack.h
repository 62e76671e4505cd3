/* stack.h: one stack: everything it owns, and how it is made and unmade.
 *
 *      link -> poll -> ingress -> demux -> { conn | half-open | time-wait | listen } -> tcp/
 *                                               |
 *      link <- egress <- dirty list <-----------+----> ready list -> ut_event
 *
 * api/ holds the mutex around every call into stack/; nothing here locks. `now` is set at the
 * beginning of each call. Each call ends with stack_settle, which sends what is to be sent and
 * stores the next deadline (rule 8).
 */
#ifndef UT_STACK_STACK_H
#define UT_STACK_STACK_H

#include <pthread.h>

#include "include/usertcp.h"
#include "ip/frag.h"
#include "ip/icmp_in.h"
#include "ip/neigh.h"
#include "ip/pmtu.h"
#include "ip/route.h"
#include "link/link.h"
#include "stack/counters.h"
#include "stack/demux.h"
#include "stack/events.h"
#include "stack/pump.h"
#include "stack/trace.h"
#include "tcp/env.h"

/* What a deadline_node lies in. */
enum deadline_kind {
    DEADLINE_CONN,
    DEADLINE_HALF,
    DEADLINE_NEIGHBOUR,
    DEADLINE_TIME_WAIT, /* the queue's one node */
    DEADLINE_ADDRESSES, /* duplicate address detection */
    DEADLINE_FRAGMENTS,
    DEADLINE_PATHS,
    DEADLINE_KINDS
};

#define LISTENER_BUCKETS 256
#define PORT_COUNTERS 4096 /* RFC 6056 3.3.4 */

/* TIME-WAIT entries in the order of their deadlines: timewait.h. */
struct time_wait_queue {
    uint32_t head, tail; /* indices, POOL_NONE = empty */
    struct deadline_node timer;
};

/* Keys, one per purpose. */
struct secrets {
    struct siphash_key isn, timestamp, cookie, port_offset, port_index;
};

/* The connection a segment of this batch belonged to last; ref 0 = none. */
struct last_flow {
    struct flow_key key;
    uint32_t ref;
};

/* What ended connections counted; the living ones are added when somebody asks. */
struct totals {
    uint64_t segs_out, data_segs_out, bytes_out, bytes_in, bytes_retransmitted;
    uint64_t retransmits, rto_count, fast_recoveries, dup_acks_in, challenge_acks;
    uint64_t tlp_probes, spurious_retransmits, spurious_recoveries;
};

/* path.h: what is known, and when the connections are told; forgetting is one timer's work too. */
struct paths {
    struct pmtu_cache known;
    struct deadline_node timer;
    ns_t tell_after; /* all of them are looked at, so not more often than once a second */
    bool has_news;
};

/* fastopen.h */
#define FAST_OPEN_PATHS 1024u
#define FAST_OPEN_BUCKETS 256u
struct fast_open {
    struct siphash_key key, former; /* of our cookies */
    ns_t key_until;                 /* 0: there is none yet; TIME_NEVER: it was given */
    struct pool paths;              /* of struct fast_open_path: servers */
    struct siphash_key hash;
    uint32_t victim; /* where the search for one to evict goes on */
    uint32_t bucket[FAST_OPEN_BUCKETS];
};

struct ut_stack {
    pthread_mutex_t lock;
    ut_shared shared;
    ns_t now; /* of this call; never goes backwards */
    struct alloc alloc;
    ut_config config;
    struct rand rand;
    struct secrets secrets;
    struct tcp_env env;
    struct link *link;
    ut_link *outer; /* what api/ calls the link */
    uint32_t mtu;

    struct pool conns, halves, time_waits, listeners;
    struct demux demux;
    struct last_flow last_flow;
    struct deadline_heap heap;
    struct events events;
    struct list dirty;                          /* connections whose output has to be asked for */
    struct list waiting;                        /* connections whose station is not known yet */
    uint32_t listener_bucket[LISTENER_BUCKETS]; /* by port; POOL_NONE = empty */
    struct time_wait_queue time_wait;

    struct addr_table addresses;
    struct route_table routes;
    struct neigh_cache neighbours;
    struct deadline_node addresses_timer;
    struct frag fragments;
    struct deadline_node fragments_timer;
    struct paths paths;
    struct fast_open fast_open;
    struct icmp_rate echo_rate;
    uint8_t *scratch; /* mtu bytes, for echo replies */

    uint32_t *port_counters; /* PORT_COUNTERS of them */
    uint32_t isns_made;
    uint32_t cookies_until; /* cookie.c: the period in which none of ours is good any more */
    bool link_is_down;
    bool holds_output; /* connections send nothing: egress_hold */
    ns_t busy_since;   /* `now` as busy.c left it */

    struct pump pump;
    struct trace trace;
    struct totals totals;
    uint64_t counters[COUNTER_COUNT];
};

/* 0 and a stack in *out, or -code. The link is taken only on success. */
int stack_new(const ut_config *c, struct link *link, ut_stack **out);
/* Everything but the link. */
void stack_free(ut_stack *s);
/* At the beginning of a call. */
void stack_set_now(ut_stack *s, ns_t now);
/* At the end of a call: output of the dirty connections, one flush, the next deadline. */
void stack_settle(ut_stack *s);
/* Room for one more deadline node; false: out of memory. */
bool stack_reserve_deadline(ut_stack *s);

static inline void stack_count(ut_stack *s, enum counter c) { s->counters[c]++; }
static inline void stack_drop(ut_stack *s, enum drop_reason why) { s->env.drops[why]++; }
/* Headers before TCP's, IP and below. */
static inline uint32_t stack_ip_header_len(bool is_v4) { return is_v4 ? 20 : 40; }
static inline bool stack_is_ethernet(const ut_stack *s) { return s->link->medium == LINK_ETHERNET; }
/* What TCP is told of the path to `remote`. */
struct tcp_path stack_path_to(const ut_stack *s, const struct ipaddr *remote);

#endif
