/* whitebox_cc.h: one congestion control alone (tcp/cc.h), event by event, for tests/unit only. */
#ifndef UT_API_WHITEBOX_CC_H
#define UT_API_WHITEBOX_CC_H

#include <stdbool.h>
#include <stdint.h>

/* CDEF BEGIN */
/* tcp/cc_cubic.h */
uint64_t wb_cubic_k(uint32_t w_max, uint32_t cwnd_epoch, uint32_t mss);
uint32_t wb_cubic_window(uint32_t w_max, int64_t since_k_us, uint32_t mss);

typedef struct {
    uint64_t now, srtt, rtt; /* ns; rtt 0: no sample */
    uint64_t una, nxt;       /* stream offsets, after it */
    uint32_t acked;          /* bytes */
    bool is_cwnd_limited;
} wb_ack;

struct wb_cc;
/* The algorithm of that place in cc_all, of a new connection. */
struct wb_cc *wb_cc_new(int index, uint32_t mss);
/* Begins anew with these choices of ut_config. */
void wb_cc_choose(struct wb_cc *c, uint32_t hystart, uint32_t cubic_ssthresh);
void wb_cc_free(struct wb_cc *c);
void wb_cc_set(struct wb_cc *c, uint32_t cwnd, uint32_t ssthresh);
void wb_cc_ack(struct wb_cc *c, const wb_ack *a);
void wb_cc_recovery(struct wb_cc *c, uint64_t now, uint32_t flight);
void wb_cc_recovered(struct wb_cc *c, uint64_t now, uint32_t flight);
void wb_cc_ecn(struct wb_cc *c, uint64_t now, uint32_t flight);
void wb_cc_rto(struct wb_cc *c, uint64_t now, uint32_t flight, bool first);
/* What is now comes back with wb_cc_undo. */
void wb_cc_keep(struct wb_cc *c);
void wb_cc_undo(struct wb_cc *c, uint64_t now);
void wb_cc_idle(struct wb_cc *c, uint64_t now, uint64_t idle, uint64_t rto);
uint32_t wb_cc_cwnd(const struct wb_cc *c);
uint32_t wb_cc_ssthresh(const struct wb_cc *c);
uint64_t wb_cc_pacing_rate(const struct wb_cc *c);
/* What it keeps, by the snapshot's names; asserts that there is such a value. */
uint64_t wb_cc_value(const struct wb_cc *c, const char *name);
/* CDEF END */

#endif
