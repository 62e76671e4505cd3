/* trouble.h: what only a connection with losses or reordering needs; from env->trouble, by way of
 * tcb_trouble. Offsets are stream offsets.
 */
#ifndef UT_TCP_TROUBLE_H
#define UT_TCP_TROUBLE_H

#include "tcp/cc.h"
#include "tcp/reasm.h"
#include "tcp/resent.h"

#define TROUBLE_RUNS 16 /* of each set, before it takes more */

struct tcp_trouble {
    struct ranges runs;   /* received out of order: reasm.h */
    struct ranges sacked; /* reported by the peer: sack.h */
    uint64_t recent[4];   /* an offset in each run reported, the newest first (RFC 2018 4) */
    uint32_t recent_count;

    /* rack.h */
    struct ranges lost;   /* to be sent again; nothing of it is SACKed */
    struct resent resent; /* sent again already */
    ns_t rack_at;         /* RACK.xmit_ts; 0 = nothing was delivered since this record began */
    ns_t rack_rtt;        /* RACK.rtt */
    uint64_t rack_end;    /* RACK.end_seq */
    uint64_t fack;        /* RACK.fack */
    uint64_t once_end;    /* the highest end of what was delivered and sent once */
    ns_t reorder_due;     /* when the reordering timer fires; 0 = it does not run */

    /* prr.h */
    uint64_t prr_delivered, prr_out;
    uint32_t recover_fs;    /* 0 = PRR is not at work */
    uint32_t sacked_before; /* bytes, when flight_before was noted */

    /* undo.h */
    struct cc_prior prior;
    uint32_t first_ts;    /* TSval of the first retransmission, while has_first_ts */
    uint64_t undo_from;   /* SND.UNA when the episode began */
    uint64_t undo_to;     /* SND.NXT then: what is acknowledged beyond ends the hope of an undo */
    uint32_t undo_rexmit; /* bytes sent again that no D-SACK has answered */
    uint8_t frto;         /* enum frto_step */
    bool may_undo, has_first_ts, wants_first_ts;
    bool rack_again; /* rack_at is that of a retransmission */

    struct range first[3][TROUBLE_RUNS]; /* of runs, sacked, lost */
};

static inline size_t trouble_memory(const struct tcp_trouble *o)
{
    return sizeof *o + ranges_memory(&o->runs) + ranges_memory(&o->sacked) +
           ranges_memory(&o->lost) + resent_memory(&o->resent);
}

#endif
