/* state.c: the table of legal transitions and the one function that changes a state (rule 7).
 *
 * Behaviour lives in the step functions; this file only knows what is legal (states.def, which the
 * documents and tests read too). RFC 9293 3.3.2, figure 5.
 */
#include "tcp/state.h"

#include "tcp/tcb.h"

static const char *const state_names[TCP_STATE_COUNT] = {
#define STATE(name, text) [TCP_##name] = text,
#include "tcp/states.def"
#undef STATE
};

/* Bit `to` of entry `from`. */
static const uint16_t allowed[TCP_STATE_COUNT] = {
    [TCP_CLOSED] = 1u << TCP_LISTEN | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECEIVED,
    [TCP_LISTEN] = 1u << TCP_CLOSED | 1u << TCP_SYN_RECEIVED | 1u << TCP_SYN_SENT,
    [TCP_SYN_SENT] = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_RECEIVED | 1u << TCP_CLOSED,
    [TCP_SYN_RECEIVED] = 1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT_1 | 1u << TCP_CLOSE_WAIT |
                         1u << TCP_CLOSED | 1u << TCP_LISTEN,
    [TCP_ESTABLISHED] = 1u << TCP_FIN_WAIT_1 | 1u << TCP_CLOSE_WAIT | 1u << TCP_CLOSED,
    [TCP_FIN_WAIT_1] =
        1u << TCP_FIN_WAIT_2 | 1u << TCP_CLOSING | 1u << TCP_TIME_WAIT | 1u << TCP_CLOSED,
    [TCP_FIN_WAIT_2] = 1u << TCP_TIME_WAIT | 1u << TCP_CLOSED,
    [TCP_CLOSE_WAIT] = 1u << TCP_LAST_ACK | 1u << TCP_CLOSED,
    [TCP_CLOSING] = 1u << TCP_TIME_WAIT | 1u << TCP_CLOSED,
    [TCP_LAST_ACK] = 1u << TCP_CLOSED,
    [TCP_TIME_WAIT] = 1u << TCP_CLOSED | 1u << TCP_SYN_RECEIVED,
};

bool tcp_state_may_become(enum tcp_state from, enum tcp_state to)
{
    return (allowed[from] >> to & 1u) != 0;
}

const char *tcp_state_name(enum tcp_state s) { return s < TCP_STATE_COUNT ? state_names[s] : "?"; }

static void note_move(struct tcb *t, enum tcp_state from, enum tcp_state to)
{
    struct tcp_moves *moves = &t->env->moves;
    if (moves->count == TCP_MOVES_MAX)
        return;
    moves->item[moves->count].tcb = t;
    moves->item[moves->count].from = (uint8_t)from;
    moves->item[moves->count].to = (uint8_t)to;
    moves->count++;
}

void tcp_set_state(struct tcb *t, enum tcp_state to)
{
    enum tcp_state from = t->state;
    if (from == to)
        return;
    UT_ASSERT(tcp_state_may_become(from, to));
    t->state = (uint8_t)to;
    note_move(t, from, to);
}

void tcp_tell_path(struct tcb *t) { note_move(t, t->state, t->state); }
