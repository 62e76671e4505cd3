/* rate.h: how fast the network delivers: rate samples (draft-ietf-ccwg-bbr-06 4.1; first
 * draft-cheng-iccrg-delivery-rate-estimation), per run of the log (sent.h), nothing per segment.
 */
#ifndef UT_TCP_RATE_H
#define UT_TCP_RATE_H

#include "tcp/sent.h"

/* RS of 4.1.1.3: what one ACK tells of the rate. */
struct rate_sample {
    uint64_t delivery_rate;   /* bytes per second, 0 = none */
    uint64_t prior_delivered; /* P.delivered of the most recently sent run it acknowledges */
    uint64_t delivered;       /* bytes delivered between that run's sending and this ACK */
    uint64_t total_delivered; /* C.delivered after this ACK */
    uint64_t lost;            /* bytes counted as lost in that time */
    uint64_t newly_lost;      /* since the sample before */
    ns_t interval;
    uint32_t tx_in_flight; /* when that run left */
    bool is_app_limited;
    bool is_valid; /* something was delivered whose sending is on record */
};

/* After the log has heard of everything an ACK reports. */
void rate_sample_take(struct tcb *t, uint32_t delivered, ns_t now, struct rate_sample *out);
/* What is in flight does not fill the network: rates until it has arrived say little (4.1.2.4). */
void rate_mark_app_limited(struct tcb *t);
/* Called when output ends without cwnd having stopped it: whether the user leaves the network
 * unfilled (4.1.2.4). */
void rate_check_app_limited(struct tcb *t);

#endif
