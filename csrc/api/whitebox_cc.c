/* whitebox_cc.c: the seam through which tests/unit reaches a congestion control; never in the
 * shipped module. Translation only.
 */
#include "api/whitebox_cc.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tcp/cc.h"
#include "tcp/cc_cubic.h"

struct wb_cc {
    struct alloc alloc;
    struct rand rand;
    struct cc_env env;
    struct tcp_cc cc;
    struct cc_prior prior;
    uint32_t mss;
};

uint64_t wb_cubic_k(uint32_t w_max, uint32_t cwnd_epoch, uint32_t mss)
{
    return cubic_k(w_max, cwnd_epoch, mss);
}

uint32_t wb_cubic_window(uint32_t w_max, int64_t since_k_us, uint32_t mss)
{
    return cubic_window(w_max, since_k_us, mss);
}

struct wb_cc *wb_cc_new(int index, uint32_t mss)
{
    struct wb_cc *c = calloc(1, sizeof *c);
    UT_ASSERT(c != NULL);
    alloc_init(&c->alloc, 0);
    rand_init(&c->rand, 1, 2);
    c->env.rand = &c->rand;
    pool_init(&c->env.large, &c->alloc, CC_LARGE, 1, 1);
    c->mss = mss;
    cc_init(&c->cc, cc_at(index), &c->env, mss);
    return c;
}

void wb_cc_choose(struct wb_cc *c, uint32_t hystart, uint32_t cubic_ssthresh)
{
    c->env.hystart = (uint8_t)hystart;
    c->env.cubic_ssthresh_of_cwnd = cubic_ssthresh != 0;
    cc_start(&c->cc, c->mss);
}

void wb_cc_free(struct wb_cc *c)
{
    cc_fini(&c->cc);
    pool_fini(&c->env.large);
    free(c);
}

void wb_cc_set(struct wb_cc *c, uint32_t cwnd, uint32_t ssthresh)
{
    c->cc.cwnd = cwnd;
    c->cc.ssthresh = ssthresh;
}

void wb_cc_ack(struct wb_cc *c, const wb_ack *a)
{
    struct cc_ack ack = {.now = a->now,
                         .srtt = a->srtt,
                         .rtt = a->rtt,
                         .una = a->una,
                         .nxt = a->nxt,
                         .acked = a->acked,
                         .delivered = a->acked,
                         .mss = c->mss,
                         .was_cwnd_limited = a->is_cwnd_limited};
    cc_on_ack(&c->cc, &ack);
}

static struct cc_loss loss(const struct wb_cc *c, uint64_t now, uint32_t flight)
{
    return (struct cc_loss){now, flight, c->mss};
}

void wb_cc_recovery(struct wb_cc *c, uint64_t now, uint32_t flight)
{
    struct cc_loss l = loss(c, now, flight);
    cc_on_recovery(&c->cc, &l);
}

void wb_cc_recovered(struct wb_cc *c, uint64_t now, uint32_t flight)
{
    struct cc_loss l = loss(c, now, flight);
    cc_on_recovered(&c->cc, &l);
}

void wb_cc_ecn(struct wb_cc *c, uint64_t now, uint32_t flight)
{
    struct cc_loss l = loss(c, now, flight);
    cc_on_ecn(&c->cc, &l);
}

void wb_cc_rto(struct wb_cc *c, uint64_t now, uint32_t flight, bool first)
{
    struct cc_loss l = loss(c, now, flight);
    cc_on_rto(&c->cc, &l, first);
}

void wb_cc_keep(struct wb_cc *c) { cc_keep(&c->cc, &c->prior); }

void wb_cc_undo(struct wb_cc *c, uint64_t now)
{
    struct cc_loss l = loss(c, now, 0);
    cc_undo(&c->cc, &c->prior, &l, UINT32_MAX);
}

void wb_cc_idle(struct wb_cc *c, uint64_t now, uint64_t idle, uint64_t rto)
{
    struct cc_loss l = loss(c, now, 0);
    cc_on_idle(&c->cc, &l, idle, rto);
}

uint32_t wb_cc_cwnd(const struct wb_cc *c) { return c->cc.cwnd; }
uint32_t wb_cc_ssthresh(const struct wb_cc *c) { return c->cc.ssthresh; }
uint64_t wb_cc_pacing_rate(const struct wb_cc *c) { return c->cc.pacing_rate; }

uint64_t wb_cc_value(const struct wb_cc *c, const char *name)
{
    struct cc_value values[CC_VALUES];
    uint32_t count = c->cc.ops->describe(&c->cc, values);
    uint32_t i = 0;
    while (i < count && strcmp(values[i].name, name) != 0)
        i++;
    UT_ASSERT(i < count);
    return values[i].value;
}
