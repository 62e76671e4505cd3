/* recovery.h: what to send again, and when: episodes of fast recovery and of time-out recovery.
 *
 * With SACK losses are detected by RACK-TLP (rack.h, tlp.h: RFC 8985), or as RFC 6675 says when
 * that is switched off; without SACK by NewReno (RFC 6582): nextseg.h. In fast recovery PRR (prr.h)
 * paces; an episode that proves needless is undone (undo.h, frto.h). How much may be in flight
 * besides is cc.h's business.
 */
#ifndef UT_TCP_RECOVERY_H
#define UT_TCP_RECOVERY_H

#include "tcp/tcb.h"
#include "wire/tcp.h"

/* What one acceptable ACK told the sender. */
struct tcp_news {
    const struct tcp_seg *seg;
    ns_t now;
    uint64_t una;       /* stream offset of SND.UNA before */
    uint32_t acked;     /* sequence space acknowledged cumulatively */
    uint32_t delivered; /* bytes newly acknowledged or SACKed: DeliveredData of RFC 9937 5 */
    bool reordered;     /* something sent once only came after what had left later */
    bool sacked;        /* a SACK block told something new */
    bool duplicate;     /* RFC 5681 2 */
    bool original;      /* bytes sent once only, before recovery_point, were delivered */
    bool beyond;        /* bytes sent after recovery_point were delivered */
    ns_t rack_sent;     /* rack.c: when that left of which RACK.rtt is; 0 = nothing yet */
    bool has_dsack;
    struct range dsack; /* RFC 2883: arrived more than once */
    uint32_t place;     /* rack_delivered has come to (resent.h) */
};

static inline uint64_t tcb_una_offset(const struct tcb *t) { return tcb_snd_offset(t, t->snd_una); }
static inline uint64_t tcb_nxt_offset(const struct tcb *t) { return tcb_snd_offset(t, t->snd_nxt); }

/* The ACK has been noted in the tcb (snd_una, scoreboard, RTT). */
void recovery_on_ack(struct tcb *t, const struct tcp_news *news);
/* RFC 6298 5.4 to 5.6, RFC 6675 5.1. */
void recovery_on_rto(struct tcb *t, ns_t now);
/* The reordering timer: RFC 8985 6.2 step 5. */
void recovery_on_reorder(struct tcb *t, ns_t now);
/* `run` was too large for the path: it is sent again, which is no sign of congestion and leaves the
 * RTO as it is (RFC 1191 6.4, RFC 8201 5.4). Anything else in flight stays as it is. */
void recovery_on_mtu(struct tcb *t, const struct range *run);
/* An estimate of the bytes in the network: SetPipe() of RFC 6675 4 or what RACK knows; outside
 * recovery FlightSize, less what limited transmit (RFC 3042) lends. */
uint32_t recovery_pipe(const struct tcb *t);
/* The run of stream offsets to send again, at most `limit` bytes. False: nothing, new data may
 * go. */
bool recovery_next(struct tcb *t, uint32_t mss, uint32_t limit, struct range *out);
/* More than what was named last is known to be lost. */
static inline bool recovery_has_more(const struct tcb *t)
{
    return t->trouble != NULL && !ranges_is_empty(&t->trouble->lost);
}
/* What recovery_next named, or the probe of tlp.h, is being sent. */
void recovery_sent(struct tcb *t, const struct range *run, ns_t now);
#endif
