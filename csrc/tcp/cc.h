/* cc.h: congestion control: how much may be in flight and how fast it leaves. What to send again is
 * recovery.h's business.
 *
 * A table of functions and a union of per-algorithm state inside the tcb. tcp/ calls the cc_*
 * functions below, never the table; an algorithm reads and writes cwnd, ssthresh and pacing_rate
 * (bytes, bytes per second) only.
 *
 * Who owns cwnd. Outside fast recovery the algorithm does. cc_on_recovery sets ssthresh and takes
 * cwnd down to it; from there to cc_on_recovered recovery.c (PRR, RFC 9937) writes cwnd, unless
 * cc_owns_cwnd: then PRR keeps out. on_ack goes on being called in fast recovery where wants_rate.
 *
 * What was before an episode of congestion is kept with cc_keep by whoever may call it off with
 * cc_undo (undo.h).
 */
#ifndef UT_TCP_CC_H
#define UT_TCP_CC_H

#include "base/pool.h"
#include "base/rand.h"
#include "base/time.h"

#define CC_LARGE 512u
#define PACE_INTERVAL NS_PER_MS /* what leaves together: this much of the pacing rate */

struct rate_sample;

/* What one ACK told. Offsets are stream offsets. */
struct cc_ack {
    ns_t now;
    ns_t srtt;
    ns_t rtt;           /* sample of bytes sent once, 0 = none; wants_rtt or wants_log only */
    uint64_t una, nxt;  /* after this ACK: rounds end when una passes an earlier nxt */
    uint32_t acked;     /* bytes newly acknowledged, cumulatively */
    uint32_t delivered; /* bytes newly acknowledged, cumulatively or by SACK */
    uint32_t mss;       /* payload of a full segment */
    bool was_cwnd_limited;
    const struct rate_sample *rate; /* NULL: the algorithm does not want one, nor what follows */
    uint32_t lost;                  /* bytes newly counted as lost since the last ACK */
    uint32_t pipe;                  /* in the network after this ACK */
    bool in_recovery;               /* fast recovery, before this ACK */
};

/* The state of things when congestion was noticed. */
struct cc_loss {
    ns_t now;
    uint32_t flight; /* FlightSize (RFC 5681 2), without what limited transmit added */
    uint32_t mss;
};

/* Bytes newly counted as lost, of one run that left together. */
struct cc_lost {
    ns_t now;
    uint32_t bytes, mss;
    uint32_t lost_since;   /* lost since that run left, with these */
    uint32_t tx_in_flight; /* in the network when it left */
    bool is_app_limited;
};

struct tcp_cc;

#define CC_VALUES 16u

/* Bytes, bytes per second, ns or a plain number, as the name tells; UINT64_MAX = infinity. */
struct cc_value {
    const char *name;
    uint64_t value;
};

struct cc_ops {
    const char *name;
    bool owns_cwnd;  /* in fast recovery too: no PRR */
    bool wants_rate; /* cc_ack.rate */
    /* A new connection, or the first segment size known: cwnd, ssthresh and its own state. */
    void (*init)(struct tcp_cc *cc, uint32_t mss);
    /* The connection ends or takes another algorithm. May be NULL. */
    void (*fini)(struct tcp_cc *cc);
    /* Data acknowledged, outside fast recovery or with wants_rate. */
    void (*on_ack)(struct tcp_cc *cc, const struct cc_ack *ack);
    /* Told run by run, before the on_ack of the same ACK. May be NULL. */
    void (*on_lost)(struct tcp_cc *cc, const struct cc_lost *lost);
    /* Fast recovery begins. */
    void (*on_recovery)(struct tcp_cc *cc, const struct cc_loss *loss);
    void (*on_recovered)(struct tcp_cc *cc, const struct cc_loss *loss);
    /* Congestion reported by ECE, once per window; RFC 3168 6.1.2. No on_recovered follows. */
    void (*on_ecn)(struct tcp_cc *cc, const struct cc_loss *loss);
    /* First RTO of a flight: sets ssthresh; every RTO: cwnd (RFC 5681 3.1). */
    void (*on_rto)(struct tcp_cc *cc, const struct cc_loss *loss, bool first);
    /* cwnd, ssthresh and state are back where they were. May be NULL. */
    void (*on_undo)(struct tcp_cc *cc, const struct cc_loss *now);
    /* Its own values for the snapshot, by their RFC names: fills up to CC_VALUES, returns how many.
     */
    uint32_t (*describe)(const struct tcp_cc *cc, struct cc_value *out);
    /* About to send after `idle` with nothing in flight. */
    void (*on_idle)(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto);
};

/* How CUBIC's first slow start may end before a loss: the numbers of ut_config.hystart. */
enum hystart_kind { HYSTART_PLUS_PLUS, HYSTART_CLASSIC, HYSTART_NONE, HYSTART_KINDS };

enum hystart_phase { HYSTART_OFF, HYSTART_SLOW_START, HYSTART_CSS };

/* RFC 9406 4.2; times are round-trip times, TIME_NEVER = infinity. */
struct hystart {
    ns_t current_round_min_rtt;
    union {
        struct {
            ns_t last_round_min_rtt, css_baseline_min_rtt;
        };
        struct { /* hystart_classic.c */
            ns_t min_rtt, round_start;
        };
    };
    uint64_t window_end; /* stream offset */
    uint8_t phase, rtt_sample_count, css_rounds;
    bool train_ended;    /* hystart_classic.c */
    uint32_t css_credit; /* bytes not yet counted, below CSS_GROWTH_DIVISOR */
};

/* RFC 9438 4.1.2; windows in bytes. */
struct cubic {
    uint32_t w_max, cwnd_prior;
    ns_t t_epoch; /* when this stage of congestion avoidance began; 0 = it has yet to */
    ns_t last_ack_at;
    bool after_rto;         /* the next stage is the first after a time-out */
    struct hystart hystart; /* until the first sign of congestion */
    uint64_t k;             /* us */
    uint64_t w_est;         /* times 2^16 */
    uint32_t credit;        /* of cwnd's growth: a fraction, times cwnd */
};

union cc_state {
    struct {
        uint32_t bytes_acked; /* RFC 3465 byte counting in congestion avoidance */
    } newreno;
    struct cubic cubic;
    struct {
        void *at; /* in cc_env.large */
        uint32_t index;
    } large;
};

struct cc_external;

/* What the algorithms of a stack share. */
struct cc_env {
    struct pool large; /* of CC_LARGE bytes: state that does not fit the union */
    struct rand *rand;
    const struct cc_ops *standard; /* of new connections */
    uint8_t hystart;               /* enum hystart_kind */
    bool cubic_ssthresh_of_cwnd;   /* RFC 9438 4.6: of cwnd, not of what was in flight */
    struct {                       /* cc_external.h: the reports that wait for the host */
        struct cc_external *first, *last;
        uint64_t *pending; /* their number, where the host sees it */
        uint64_t overdue;  /* how often the host was given up waiting for */
    } reports;
};

struct tcp_cc {
    const struct cc_ops *ops;
    struct cc_env *env;
    uint32_t cwnd, ssthresh; /* bytes */
    uint64_t pacing_rate;    /* bytes per second; 0 = not paced */
    union cc_state own;
    bool may_undo;   /* the same algorithm is at work as when cc_keep was called */
    bool wants_rtt;  /* timed.h is to be kept, for cc_ack.rtt */
    bool wants_log;  /* sent.h is to be kept, for cc_ack.rtt and rate samples */
    bool is_limited; /* wants_rate: it leaves the network unfilled by itself for now */
};

/* What was before an episode of congestion. */
struct cc_prior {
    uint32_t cwnd, ssthresh;
    union cc_state own;
};

extern const struct cc_ops cc_newreno, cc_cubic, cc_bbr;

/* All there are, NULL-terminated; the first is the default. */
extern const struct cc_ops *const cc_all[];

/* The algorithm of that place in cc_all, or NULL. */
const struct cc_ops *cc_at(int64_t index);
int cc_index(const struct cc_ops *ops);
/* A new connection (tcb_init). */
void cc_init(struct tcp_cc *cc, const struct cc_ops *ops, struct cc_env *env, uint32_t mss);
void cc_fini(struct tcp_cc *cc);
/* The same connection, another algorithm: cwnd and ssthresh stay. */
void cc_choose(struct tcp_cc *cc, const struct cc_ops *ops, uint32_t mss);
/* The segment size has become known (or changed before the first data). */
void cc_start(struct tcp_cc *cc, uint32_t mss);
/* RFC 5681 3.1, RFC 6928 2 (MUST): the SYN was lost more than once. */
void cc_lost_syns(struct tcp_cc *cc, uint32_t mss);

static inline bool cc_owns_cwnd(const struct tcp_cc *cc) { return cc->ops->owns_cwnd; }
static inline bool cc_wants_rate(const struct tcp_cc *cc) { return cc->ops->wants_rate; }

static inline void cc_on_ack(struct tcp_cc *cc, const struct cc_ack *ack)
{
    cc->ops->on_ack(cc, ack);
}
static inline void cc_on_lost(struct tcp_cc *cc, const struct cc_lost *lost)
{
    if (cc->ops->on_lost != NULL)
        cc->ops->on_lost(cc, lost);
}
void cc_on_recovery(struct tcp_cc *cc, const struct cc_loss *loss);
void cc_on_recovered(struct tcp_cc *cc, const struct cc_loss *loss);
void cc_on_ecn(struct tcp_cc *cc, const struct cc_loss *loss);
void cc_on_rto(struct tcp_cc *cc, const struct cc_loss *loss, bool first);
/* An episode begins: what cc_undo returns to. */
void cc_keep(struct tcp_cc *cc, struct cc_prior *prior);
/* The episode was a mistake (RFC 4015 3.2, RFC 9438 4.9); nothing happens when the algorithm is
 * another one now. cwnd comes back to `cwnd_max` at most, so that no burst leaves. */
void cc_undo(struct tcp_cc *cc, const struct cc_prior *prior, const struct cc_loss *now,
             uint32_t cwnd_max);
void cc_on_idle(struct tcp_cc *cc, const struct cc_loss *now, ns_t idle, ns_t rto);

/* For algorithms: a rate of two windows per round trip in slow start, of one and a quarter in
 * congestion avoidance, none where it gains nothing. */
void cc_pace(struct tcp_cc *cc, const struct cc_ack *a);
/* For algorithms: growth by RFC 5681 3.1 and RFC 3465; `bytes_acked` is theirs to keep. */
void cc_grow(struct tcp_cc *cc, const struct cc_ack *ack, uint32_t *bytes_acked);
/* For algorithms: half of what was in flight (RFC 5681 (4)). */
static inline uint32_t cc_half_flight(const struct cc_loss *l)
{
    uint32_t half = l->flight / 2, least = 2 * l->mss;
    return half > least ? half : least;
}
/* For algorithms: the same loss in a window of `cwnd`. RFC 5681 3.1 (4) halves a FlightSize that
 * its senders keep within cwnd. With SACK it outgrows cwnd in long recovery, where new data follows
 * what is SACKed: half of it could be more than the window that lost. */
static inline struct cc_loss cc_within(const struct cc_loss *l, uint32_t cwnd)
{
    return (struct cc_loss){l->now, l->flight < cwnd ? l->flight : cwnd, l->mss};
}
/* For algorithms: the restart window after idle (RFC 5681 4.1). */
void cc_restart(struct tcp_cc *cc, uint32_t mss, ns_t idle, ns_t rto);

/* min(10 * mss, max(2 * mss, 14600)): RFC 6928 2. */
uint32_t cc_initial_window(uint32_t mss);

#endif
