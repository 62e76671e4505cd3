/* sent.h: the log of what is in flight: when each run of bytes last left, and how much had been
 * delivered by then.
 *
 * Kept while congestion control wants it (cc.wants_log): for the delivery rate (rate.h), and an RTT
 * sample with every ACK. From env->sent, held while data is in flight.
 *
 *     lo          run[0].hi       run[1].hi                          run[count - 1].hi
 *     |  run 0    |   run 1       |   ...                            |
 *     snd_una                                                        snd_nxt
 *
 *   1. runs touch: each begins where the one before it ends, the first at `lo`
 *   2. run[i].hi rises strictly; 1 <= count <= SENT_RUNS while there is a log
 *   3. a run sent again is a run of its own while there is room; without, its times stay those of
 *      its first sending, so that a sample is too long and never too short
 *   4. what the peer has SACKed is one run wherever it touches: holes take room, not what arrived
 *
 * Runs, not segments: what leaves while the log is half full or more joins the run before it when
 * both are small against the flight, so that a log has a fixed size whatever the window. No log (no
 * memory): nothing is known of times, and recovery goes by counting.
 */
#ifndef UT_TCP_SENT_H
#define UT_TCP_SENT_H

#include "tcp/tcb.h"

#define SENT_RUNS 128u /* a power of two */

struct sent_run {
    uint64_t hi;            /* stream offset of its end (the FIN counts as one) */
    ns_t sent_at;           /* last transmission of its last byte: P.send_time */
    ns_t first_sent_at;     /* P.first_sent_time of draft-ietf-ccwg-bbr 4.1.2.2.2 */
    ns_t delivered_at;      /* P.delivered_time */
    uint64_t delivered;     /* P.delivered */
    uint32_t lost;          /* P.lost, modulo 2^32 */
    uint32_t tx_in_flight;  /* P.tx_in_flight, this run included */
    bool retransmitted : 1; /* sent more than once */
    bool app_limited : 1;   /* P.is_app_limited */
    bool is_lost : 1;       /* (part of it) counted as lost since it last left */
    bool is_spread : 1;     /* its bytes left at several instants, the last at sent_at */
    bool is_delivered : 1;  /* at the peer, by SACK: nothing else of it is known any more */
};

struct sent_log {
    /* what the ACK at hand says, until sent_rtt and rate_sample_take have read it */
    struct sent_run newest; /* the most recently sent run it delivers, as it was */
    bool has_newest;
    ns_t newest_once; /* when the latest of the runs sent only once left; 0 = none of them */
    /* the log */
    uint64_t lo;
    uint32_t head, count; /* run i is at[(head + i) % SENT_RUNS] */
    struct sent_run at[SENT_RUNS];
};

/* Run i, from the oldest. */
static inline struct sent_run *sent_at(struct sent_log *log, uint32_t i)
{
    return &log->at[(log->head + i) % SENT_RUNS];
}
/* Where run i begins. */
static inline uint64_t sent_lo(const struct sent_log *log, uint32_t i)
{
    return i == 0 ? log->lo : log->at[(log->head + i - 1) % SENT_RUNS].hi;
}

/* The run that holds `offset`: count when it lies beyond. */
uint32_t sent_find(const struct sent_log *log, uint64_t offset);
/* New bytes [lo, hi) leave: lo is snd_nxt's offset, before it moves. */
void sent_note_new(struct tcb *t, uint64_t lo, uint64_t hi, ns_t now);
/* [lo, hi), within what is in flight, leaves again. */
void sent_note_again(struct tcb *t, uint64_t lo, uint64_t hi, ns_t now);
/* [lo, hi) has reached the peer, by SACK or cumulatively, for the first time. */
void sent_note_delivered(struct tcb *t, uint64_t lo, uint64_t hi);
/* [lo, hi), nothing of it SACKed, is newly taken for lost. */
void sent_note_lost(struct tcb *t, uint64_t lo, uint64_t hi, ns_t now);
/* The round-trip time of the ACK at hand, once: of the latest bytes sent only once. 0 = none. */
ns_t sent_rtt(struct tcb *t, ns_t now);
/* Everything below `una` is acknowledged. */
void sent_advance(struct tcb *t, uint64_t una);
/* Nothing is in flight any more. */
void sent_forget(struct tcb *t);
/* Asserts the invariants above (test builds). */
void sent_check(const struct tcb *t);

#endif
