/* state.h: the state, and the only way to change it (rule 7).
 *
 * Numbers equal UT_STATE_... of include/usertcp_info.h (asserted in stack/info.c).
 */
#ifndef UT_TCP_STATE_H
#define UT_TCP_STATE_H

#include "base/base.h"

enum tcp_state {
#define STATE(name, text) TCP_##name,
#include "tcp/states.def"
#undef STATE
    TCP_STATE_COUNT
};

struct tcb;

/* Transitions of one call, for whoever drives the connection to read and clear; the env owns it.
 * From a state to itself: there is news of the path instead (mtu.h), which is as rare. */
#define TCP_MOVES_MAX 8
struct tcp_moves {
    uint32_t count;
    struct {
        const struct tcb *tcb;
        uint8_t from, to;
    } item[TCP_MOVES_MAX];
};

bool tcp_state_may_become(enum tcp_state from, enum tcp_state to);
const char *tcp_state_name(enum tcp_state s);
/* Asserts that the transition is in the table; same state is allowed and does nothing. */
void tcp_set_state(struct tcb *tcb, enum tcp_state to);
/* The stack is to look at tcb->mtu. */
void tcp_tell_path(struct tcb *tcb);
/* ESTABLISHED and later (RFC 9293 3.4). */
static inline bool tcp_state_is_synchronized(enum tcp_state s) { return s >= TCP_ESTABLISHED; }

#endif
