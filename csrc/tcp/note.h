/* note.h: what a trace of a connection tells beside its states: losses, recovery, measurements.
 *
 * Somebody listens or nobody does: one test where such a thing happens, and nothing on the way of
 * data that arrives in order but once per round trip, with its RTT sample.
 */
#ifndef UT_TCP_NOTE_H
#define UT_TCP_NOTE_H

#include "tcp/tcb.h"

/* Numbers equal UT_NOTE_... of include/usertcp_notes.h. */
enum tcp_note {
    NOTE_STATE = 0,
    NOTE_METRICS = 1,     /* a round trip was measured: lo is its time in ns */
    NOTE_RECOVERY = 2,    /* fast recovery begins */
    NOTE_RECOVERED = 3,   /* an episode is over */
    NOTE_LOST = 4,        /* [lo, hi) of the stream is taken for lost */
    NOTE_LOST_BY_RTO = 5, /* the same, because the time-out fired */
    NOTE_RTO = 6,         /* the retransmission time-out has fired */
    NOTE_PROBE = 7,       /* so has the probe time-out: a tail loss probe leaves */
    NOTE_UNDO = 8,        /* the episode was none */
    NOTE_ECN = 9,         /* congestion was reported by ECE */
};

static inline void tcp_note(struct tcb *t, enum tcp_note kind, uint64_t lo, uint64_t hi)
{
    if (UT_UNLIKELY(t->env->on_note != NULL))
        t->env->on_note(t, (uint8_t)kind, lo, hi);
}

#endif
