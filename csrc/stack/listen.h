/* listen.h: listeners: the table of them, their accept queues, and what they do with segments.
 *
 *      SYN -> half_open.c -> (ACK) -> listen_promote -> accept queue -> ut_accept
 *         `-> cookie.c ---> (ACK) ------^
 *
 *   1. accept_count connections are on the accept queue; they have no user
 *   2. half_count half-open entries name this listener
 *   3. both are bounded by the backlog
 *   4. fast_open_count connections in SYN-RECEIVED have their `fast_open` from here
 *   5. no two have the same local end, unless both share it
 */
#ifndef UT_STACK_LISTEN_H
#define UT_STACK_LISTEN_H

#include "stack/conn.h"
#include "stack/ingress.h"

struct listener {
    struct flow_key key; /* local and lport; a free one has lport 0 */
    struct notice notice;
    struct list accept_queue; /* of conn.notice.node */
    uint32_t backlog, accept_count, half_count;
    uint32_t bucket_next;            /* POOL_NONE = last */
    const struct cc_ops *congestion; /* of what it accepts; NULL: the stack's */
    bool shares;                     /* its local end, with others that do */
    bool refuses_ecn;                /* whatever a SYN asks for */
    /* fastopen.h; 0: off */
    uint32_t fast_open_max, fast_open_count;
    uint32_t resets_now, resets_before; /* of this minute and the one before */
    ns_t resets_since;
};

#define LISTENER_BIT UINT32_C(0x80000000) /* in a handle's low half */
#define LISTENERS_MAX 65536u

void listen_init(ut_stack *s);
static inline bool listen_is_handle(ut_handle h) { return ((uint32_t)h & LISTENER_BIT) != 0; }
static inline uint32_t listen_index(const struct listener *l)
{
    return ((uint32_t)l->notice.handle & ~LISTENER_BIT) - 1;
}
/* NULL: stale. */
struct listener *listen_of(const ut_stack *s, ut_handle h);
/* Live one of that index, or NULL. */
struct listener *listen_at(const ut_stack *s, uint32_t index);
/* Who takes connections to that address and port: most specific first. NULL: nobody. */
struct listener *listen_find(const ut_stack *s, const struct ipaddr *ip, uint16_t port);
/* Who takes this one: of those that share the local end the one its name falls to, which is the
 * same as long as that one listens. NULL: nobody. */
struct listener *listen_for(ut_stack *s, const struct flow_key *key);
/* A listener for exactly this local end exists that would not share it. */
bool listen_is_taken(const ut_stack *s, const struct ipaddr *ip, uint16_t port, bool share);

int listen_open(ut_stack *s, const struct flow_key *local, uint32_t backlog, bool shares,
                struct listener **out);
/* UT_OPT_CONGESTION, UT_OPT_ECN, UT_OPT_FAST_OPEN; any other: -NOT_SUPPORTED. */
int listen_option_set(ut_stack *s, ut_handle h, int option, int64_t value);
int listen_option_get(const struct listener *l, int option, int64_t *value);
/* Resets what waits in its queues and forgets it. */
void listen_shut(ut_stack *s, struct listener *l);
/* A segment for its port that belongs to no record. `isn_after`: from TIME-WAIT, or NULL. */
void listen_arrive(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after);
/* A connection of its, on the accept queue, still CLOSED, in place of the record `instead` (0: of
 * none). NULL, and counted, when accept queue or table are full. */
struct conn *listen_admit(ut_stack *s, struct rx *rx, struct listener *l,
                          const struct tcp_half *half, uint32_t instead);
/* A handshake that is complete. */
struct promotion {
    const struct tcp_half *half;
    uint32_t instead; /* the record it takes the place of; 0: none */
    ns_t synack_at;   /* when the only SYN,ACK left: the first RTT sample; TIME_NEVER: ambiguous */
};
/* It becomes a connection, if the accept queue and the table have room. True: done, `rx` has been
 * given to it. */
bool listen_promote(ut_stack *s, struct rx *rx, struct listener *l, const struct promotion *p);
/* The oldest connection of the accept queue, or NULL. */
struct conn *listen_accept(ut_stack *s, struct listener *l);

#endif
