/* tcb.c: a connection's control block coming and going, and its numbered invariants.
 *
 * Called by tcp/ and by the stack, which owns the memory a tcb lies in.
 */
#include "tcp/tcb.h"

#include "tcp/accecn_option.h"
#include "tcp/options.h"
#include "tcp/sent.h"
#include "tcp/timers.h"
#include "tcp/times.h"
#include "tcp/window.h"

void tcb_init(struct tcb *t, struct tcp_env *env, const struct tcp_start *start)
{
    const struct tcp_params *p = &env->params;
    memset(t, 0, sizeof *t);
    t->env = env;
    t->trouble_index = t->log_index = t->times_index = POOL_NONE;
    t->iss = t->snd_una = t->snd_nxt = t->snd_up = start->iss;
    t->fin_seq = t->last_ack_sent = start->iss;
    t->path = start->path;
    t->rcv_mss = (uint16_t)u32_min(start->path.mss, p->mss_max);
    t->snd_mss = start->path.default_mss;
    t->mtu.path_mss = start->path.mss;
    t->mtu.large_end = start->iss;
    t->seen_mss = start->path.default_mss;
    t->ts_offset = start->ts_offset;
    t->nodelay = p->nodelay;
    t->quick_acks = p->quick_acks;
    t->user_timeout = p->user_timeout;
    t->rexmt_deadline = t->delack_deadline = t->wait_deadline = TIME_NEVER;
    t->pace_deadline = TIME_NEVER;
    t->rexmt_since = t->restarted_at = TIME_NEVER;
    t->rto_una = UINT64_MAX;
    t->sendq.limit = env->snd_rings.size;
    t->snd_lowat = t->sendq.limit / 4;
    t->rcv_wscale = p->use_window_scale ? window_scale_for(env->rcv.rings.size) : 0;
    t->reasm.limit = env->rcv.rings.size - window_spare(env->rcv.rings.size, t->rcv_wscale);
    cc_init(&t->cc, env->cc.standard, &env->cc, t->snd_mss);
    rtt_init(&t->rtt, p->rto_initial);
    t->rtt.floor_is_of_variance = p->rto_min_is_of_variance;
    t->cwnd_use_end = start->iss;
    t->rto_min = p->rto_min;
    t->ack_flags = TCP_ACK;
    t->ecn.asks = ecn_wish(p) & 3;
    t->rack.reo_wnd_mult = 1;
    t->rack.tlp_sampled = true;
    keepalive_init(&t->keepalive);
}

static void give_trouble_back(struct tcb *t)
{
    struct tcp_trouble *o = t->trouble;
    ranges_fini(&o->runs);
    ranges_fini(&o->sacked);
    ranges_fini(&o->lost);
    resent_fini(&o->resent);
    pool_put(&t->env->trouble, t->trouble_index);
    pool_trim(&t->env->trouble);
    t->trouble = NULL;
    t->trouble_index = POOL_NONE;
}

void tcb_fini(struct tcb *t)
{
    UT_ASSERT(t->state == TCP_CLOSED || t->state == TCP_TIME_WAIT);
    timers_stop_all(t);
    sendq_free_all(&t->sendq, &t->env->snd_rings);
    reasm_free_all(&t->reasm, &t->env->rcv);
    cc_fini(&t->cc);
    sent_forget(t);
    times_close(t);
    accecn_options_end(t);
    if (t->trouble != NULL)
        give_trouble_back(t);
}

struct tcp_trouble *tcb_trouble(struct tcb *t)
{
    if (t->trouble != NULL)
        return t->trouble;
    struct pool *pool = &t->env->trouble;
    struct tcp_trouble *o = pool_get(pool, &t->trouble_index);
    if (o != NULL) {
        ranges_init(&o->runs, o->first[0], TROUBLE_RUNS, pool->alloc);
        ranges_init(&o->sacked, o->first[1], TROUBLE_RUNS, pool->alloc);
        ranges_init(&o->lost, o->first[2], TROUBLE_RUNS, pool->alloc);
        resent_init(&o->resent, pool->alloc);
    }
    t->trouble = o;
    return o;
}

void tcb_trouble_release(struct tcb *t)
{
    const struct tcp_trouble *o = t->trouble;
    if (o == NULL || !ranges_is_empty(&o->runs) || !ranges_is_empty(&o->sacked))
        return;
    if (t->recovery_mode != RECOVERY_NONE || o->resent.count != 0 || o->may_undo ||
        o->recover_fs != 0)
        return;
    give_trouble_back(t);
}

void tcb_check(const struct tcb *t)
{
    UT_CHECK(seq_leq(t->snd_una, t->snd_nxt));
    if (t->state >= TCP_ESTABLISHED)
        UT_CHECK(seq_eq(tcb_snd_seq(t, t->sendq.una + tcb_fin_acked(t)), t->snd_una));
    if (t->state >= TCP_SYN_RECEIVED && t->state != TCP_TIME_WAIT)
        UT_CHECK(seq_leq(t->rcv_nxt, t->rcv_adv) || t->fin_received);
    if (tcp_state_is_synchronized(t->state) && t->state != TCP_TIME_WAIT && tcb_flight(t) > 0)
        UT_CHECK(t->rexmt_deadline != TIME_NEVER && t->rexmt_kind != REXMT_NONE);
    sent_check(t);
    if (t->trouble != NULL) {
        ranges_check(&t->trouble->lost);
        resent_check(&t->trouble->resent);
        for (uint32_t i = 0; i < t->trouble->lost.count; i++)
            UT_CHECK(!ranges_touches(&t->trouble->sacked, t->trouble->lost.run[i].lo,
                                     t->trouble->lost.run[i].hi));
    }
    sendq_check(&t->sendq);
    reasm_check(&t->reasm, &t->env->rcv, t->trouble ? &t->trouble->runs : NULL);
    (void)t;
}
