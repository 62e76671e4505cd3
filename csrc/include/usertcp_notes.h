/* usertcp_notes.h: a trace of what happens to the connections of a stack: states, losses, recovery,
 * congestion, measurements. Off until ut_notes_start; docs/recipes/trace.md.
 */
#ifndef USERTCP_NOTES_H
#define USERTCP_NOTES_H

#include "include/usertcp.h"

/* CDEF BEGIN */

/* ut_note.kind */
enum {
    UT_NOTE_STATE = 0,     /* `from` has become `to`, because of `call`, or a segment of `flags` */
    UT_NOTE_METRICS = 1,   /* a round trip was measured: lo is its time in ns */
    UT_NOTE_RECOVERY = 2,  /* fast recovery begins */
    UT_NOTE_RECOVERED = 3, /* an episode is over */
    UT_NOTE_LOST = 4,      /* [lo, hi) of the stream is taken for lost */
    UT_NOTE_LOST_BY_RTO = 5, /* the same, because the time-out fired */
    UT_NOTE_RTO = 6,         /* the retransmission time-out has fired */
    UT_NOTE_PROBE = 7,       /* a tail loss probe leaves */
    UT_NOTE_UNDO = 8,        /* the episode was none */
    UT_NOTE_ECN = 9          /* congestion was reported by ECE */
};

typedef struct {
    uint64_t at_ns;
    ut_endpoint local, remote;
    uint64_t lo, hi;
    uint64_t srtt_ns, rttvar_ns, rtt_min_ns, rto_ns; /* 0 = not measured yet */
    uint64_t pacing_rate;                            /* bytes per second, 0 = not paced */
    uint32_t cwnd, ssthresh, flight;                 /* bytes */
    uint32_t has_metrics; /* 0: srtt_ns to flight mean nothing: there is no control block */
    const char *call;     /* of a state: the call or timer; NULL: a segment alone */
    int32_t error;        /* of CLOSED: a code of errors.def, 0: orderly */
    uint8_t kind, from, to;
    uint8_t recovery; /* 0 none, 1 fast recovery, 2 after a time-out, 3 segments were too large */
    uint8_t flags;    /* of a state: TCP's, of the segment */
    uint8_t received; /* 1: that segment came, 0: it was sent, or there was none */
    uint8_t reserved[6];
} ut_note;

/* From now on up to `capacity` notes wait to be read, `ut_shared.notes_pending` of them; what comes
 * when they are that many is lost, and counted. -INVALID when on already or for no capacity,
 * -NO_MEMORY. */
int ut_notes_start(ut_stack *s, uint32_t capacity);
/* No more; those not read are gone. */
void ut_notes_stop(ut_stack *s);
/* Takes up to `max` of the oldest. *missed: how many were lost behind the last of all, since the
 * last call that took all there were. */
int ut_notes_read(ut_stack *s, ut_note *out, int max, uint64_t *missed);

/* CDEF END */

#endif
