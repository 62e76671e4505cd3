/* whitebox_tcp.c: the seams through which tests/unit reaches tcp/; never in the shipped module.
 * Translation only.
 */
#include "api/whitebox_tcp.h"

#include <stdlib.h>

#include "tcp/rack.h"
#include "tcp/rate.h"
#include "tcp/recovery.h"
#include "tcp/sack.h"
#include "tcp/sent.h"
#include "tcp/times.h"

uint32_t wb_seq_add(uint32_t a, uint32_t n) { return seq_add(seq_make(a), n).v; }
int32_t wb_seq_diff(uint32_t a, uint32_t b) { return seq_diff(seq_make(a), seq_make(b)); }
bool wb_seq_lt(uint32_t a, uint32_t b) { return seq_lt(seq_make(a), seq_make(b)); }
bool wb_seq_leq(uint32_t a, uint32_t b) { return seq_leq(seq_make(a), seq_make(b)); }
bool wb_seq_in(uint32_t s, uint32_t lo, uint32_t len)
{
    return seq_in(seq_make(s), seq_make(lo), len);
}
uint32_t wb_seq_max(uint32_t a, uint32_t b) { return seq_max(seq_make(a), seq_make(b)).v; }

/* -- tcp/reasm */

struct wb_reasm {
    struct alloc alloc;
    struct reasm_memory memory;
    struct ranges runs;
    struct range first[64];
    struct reasm reasm;
};

struct wb_reasm *wb_reasm_new(uint32_t size)
{
    struct wb_reasm *r = calloc(1, sizeof *r);
    UT_ASSERT(r != NULL);
    alloc_init(&r->alloc, 0);
    ring_cache_init(&r->memory.rings, &r->alloc, size, 1, 0);
    posted_init(&r->memory.posted);
    ranges_init(&r->runs, r->first, 64, NULL);
    r->reasm.limit = size - 1;
    return r;
}

void wb_reasm_free(struct wb_reasm *r)
{
    reasm_free_all(&r->reasm, &r->memory);
    ring_cache_fini(&r->memory.rings);
    UT_ASSERT(r->alloc.in_use == 0);
    free(r);
}

int wb_reasm_insert(struct wb_reasm *r, uint64_t offset, const uint8_t *data, uint32_t len)
{
    struct reasm_text text = {offset, data, len};
    int why = (int)reasm_insert(&r->reasm, &r->memory, &r->runs, &text);
    reasm_check(&r->reasm, &r->memory, &r->runs);
    return why;
}

bool wb_reasm_post(struct wb_reasm *r, uint32_t number, uint8_t *memory, uint32_t size)
{
    return posted_give(&r->memory.posted, number, memory, size);
}

int wb_reasm_insert_posted(struct wb_reasm *r, uint64_t offset, uint32_t number, uint32_t len)
{
    const struct posted_buffer *b = posted_at(&r->memory.posted, number);
    struct reasm_text text = {offset, b->memory, len};
    if (!reasm_hold(&r->reasm, &r->memory.posted, &r->runs, &text, (uint8_t)number))
        return wb_reasm_insert(r, offset, b->memory, len);
    reasm_check(&r->reasm, &r->memory, &r->runs);
    return DROP_none;
}

bool wb_reasm_is_free(const struct wb_reasm *r, uint32_t number)
{
    return posted_is_free(&r->memory.posted, number);
}

uint32_t wb_reasm_whole(struct wb_reasm *r, uint32_t len)
{
    return reasm_is_whole(&r->reasm, &r->memory, len) ? r->reasm.held : 0;
}

uint32_t wb_reasm_take(struct wb_reasm *r, uint8_t *to, uint32_t max)
{
    return reasm_take(&r->reasm, &r->memory, &r->runs, to, max);
}

uint32_t wb_reasm_peek(struct wb_reasm *r, uint32_t max, uint8_t **at)
{
    return reasm_peek(&r->reasm, &r->memory, max, at);
}

void wb_reasm_consume(struct wb_reasm *r, uint32_t len)
{
    reasm_consume(&r->reasm, &r->memory, &r->runs, len);
}

uint64_t wb_reasm_nxt(const struct wb_reasm *r) { return r->reasm.nxt; }
uint32_t wb_reasm_window(const struct wb_reasm *r) { return reasm_window(&r->reasm); }
bool wb_reasm_has_memory(const struct wb_reasm *r) { return ring_is_open(&r->reasm.ring); }

/* -- tcp/sack, tcp/recovery */

struct wb_sender {
    struct alloc alloc;
    struct rand rand;
    struct tcp_env env;
    struct tcb tcb;
    ns_t now;
};

struct wb_sender *wb_sender_new(uint32_t iss, uint32_t flight, uint32_t mss)
{
    struct wb_sender *s = calloc(1, sizeof *s);
    UT_ASSERT(s != NULL);
    alloc_init(&s->alloc, 0);
    rand_init(&s->rand, 1, 2);
    s->env.rand = &s->rand;
    pool_init(&s->env.trouble, &s->alloc, sizeof(struct tcp_trouble), 4, 4);
    s->env.cc.standard = &cc_newreno;
    pool_init(&s->env.times, &s->alloc, sizeof(struct tcp_times), 1, 1);
    pool_init(&s->env.sent, &s->alloc, sizeof(struct sent_log), 1, 1);
    ring_cache_init(&s->env.snd_rings, &s->alloc, 1 << 20, 1, 0);
    ring_cache_init(&s->env.rcv.rings, &s->alloc, 4096, 1, 0);
    struct tcp_start start = {seq_make(iss), 0, {(uint16_t)mss, (uint16_t)mss}};
    struct tcb *t = &s->tcb;
    tcb_init(t, &s->env, &start);
    t->sack_ok = true;
    t->snd_una = seq_make(iss + 1);
    t->snd_nxt = seq_make(iss + 1 + flight);
    uint8_t *bytes = calloc(1, flight);
    UT_ASSERT(bytes != NULL && sendq_put(&t->sendq, &s->env.snd_rings, bytes, flight) == flight);
    free(bytes);
    return s;
}

void wb_sender_free(struct wb_sender *s)
{
    tcb_fini(&s->tcb);
    pool_fini(&s->env.trouble);
    pool_fini(&s->env.times);
    pool_fini(&s->env.sent);
    ring_cache_fini(&s->env.snd_rings);
    ring_cache_fini(&s->env.rcv.rings);
    UT_ASSERT(s->alloc.in_use == 0);
    free(s);
}

static struct tcp_news news_of(const struct wb_sender *s, const struct tcp_seg *seg)
{
    return (struct tcp_news){.seg = seg, .now = s->now, .una = tcb_una_offset(&s->tcb)};
}

bool wb_sender_sacked(struct wb_sender *s, const uint64_t *pairs, uint32_t blocks)
{
    struct tcp_seg seg = {.ack = s->tcb.snd_una};
    struct tcp_opts o = {.sack_count = (uint8_t)blocks};
    for (uint32_t i = 0; i < blocks; i++) {
        o.sack[i].left = tcb_snd_seq(&s->tcb, pairs[2 * i]);
        o.sack[i].right = tcb_snd_seq(&s->tcb, pairs[2 * i + 1]);
    }
    seg.opt = o;
    struct tcp_news news = news_of(s, &seg);
    sack_update(&s->tcb, &news);
    return news.sacked;
}

static struct tcp_news advance(struct wb_sender *s, struct tcp_seg *seg, uint64_t una)
{
    struct tcb *t = &s->tcb;
    seg->ack = tcb_snd_seq(t, una);
    struct tcp_news news = news_of(s, seg);
    news.acked = (uint32_t)(una - t->sendq.una);
    t->snd_una = seg->ack;
    sendq_ack(&t->sendq, &s->env.snd_rings, una);
    sack_advance(t, &news);
    if (t->log != NULL)
        sent_advance(t, una);
    times_acked(t);
    return news;
}

void wb_sender_advanced(struct wb_sender *s, uint64_t una)
{
    struct tcp_seg seg = {0};
    advance(s, &seg, una);
}

void wb_sender_acked(struct wb_sender *s, uint64_t una)
{
    struct tcp_seg seg = {0};
    struct tcp_news news = advance(s, &seg, una);
    recovery_on_ack(&s->tcb, &news);
}

void wb_sender_duplicate(struct wb_sender *s, bool news)
{
    struct tcp_seg seg = {.ack = s->tcb.snd_una};
    struct tcp_news n = news_of(s, &seg);
    n.sacked = news;
    n.duplicate = true;
    recovery_on_ack(&s->tcb, &n);
}

void wb_sender_set_cwnd(struct wb_sender *s, uint32_t cwnd) { s->tcb.cc.cwnd = cwnd; }
void wb_sender_timed_out(struct wb_sender *s) { recovery_on_rto(&s->tcb, s->now); }
uint64_t wb_sender_lost_edge(const struct wb_sender *s) { return sack_lost_edge(&s->tcb); }

uint64_t wb_sender_sacked_in(const struct wb_sender *s, uint64_t lo, uint64_t hi)
{
    return sack_bytes_in(&s->tcb, lo, hi);
}

uint64_t wb_sender_highest(const struct wb_sender *s) { return sack_highest(&s->tcb); }
uint32_t wb_sender_pipe(const struct wb_sender *s) { return recovery_pipe(&s->tcb); }
int wb_sender_mode(const struct wb_sender *s) { return s->tcb.recovery_mode; }
uint64_t wb_sender_high_rxt(const struct wb_sender *s) { return s->tcb.high_rxt; }
uint64_t wb_sender_recovery_point(const struct wb_sender *s) { return s->tcb.recovery_point; }

void wb_sender_use_rack(struct wb_sender *s, uint64_t srtt_ns, uint64_t rtt_min_ns)
{
    struct tcb *t = &s->tcb;
    t->rack_on = true;
    t->rtt.srtt = srtt_ns;
    t->rtt.min = rtt_min_ns;
    t->snd_nxt = t->snd_una;
}

void wb_sender_at(struct wb_sender *s, uint64_t now_ns) { s->now = now_ns; }

void wb_sender_send(struct wb_sender *s, uint32_t bytes)
{
    struct tcb *t = &s->tcb;
    seq32 end = seq_add(t->snd_nxt, bytes);
    times_sent(t, t->snd_nxt, end, s->now);
    (void)times_note_size(t, bytes, u32_max(t->snd_mss, 1));
    if (t->cc.wants_log)
        sent_note_new(t, tcb_nxt_offset(t), tcb_nxt_offset(t) + bytes, s->now);
    t->snd_nxt = end;
}

bool wb_sender_detect(struct wb_sender *s) { return rack_detect(&s->tcb, s->now); }

bool wb_sender_is_lost(const struct wb_sender *s, uint64_t offset)
{
    return s->tcb.trouble != NULL && ranges_has(&s->tcb.trouble->lost, offset);
}

void wb_sender_resend(struct wb_sender *s, uint64_t lo, uint64_t hi)
{
    struct range run = {lo, hi};
    recovery_sent(&s->tcb, &run, s->now);
    if (s->tcb.log != NULL)
        sent_note_again(&s->tcb, lo, hi, s->now);
    resent_check(&s->tcb.trouble->resent);
}

uint64_t wb_sender_reorder_due(const struct wb_sender *s)
{
    return s->tcb.trouble != NULL ? s->tcb.trouble->reorder_due : 0;
}

uint64_t wb_work(void)
{
#if defined(UT_CHECKS) && UT_CHECKS
    uint64_t work = base_work;
    base_work = 0;
    return work;
#else
    return 0;
#endif
}

void wb_sender_use_log(struct wb_sender *s) { s->tcb.cc.wants_log = true; }

bool wb_sender_sample(struct wb_sender *s, uint32_t delivered, uint64_t out[3])
{
    struct tcb *t = &s->tcb;
    struct rate_sample sample;
    if (t->log == NULL)
        return false;
    ns_t sent_at = t->log->newest.sent_at;
    rate_sample_take(t, delivered, s->now, &sample);
    sent_check(t);
    out[0] = sample.prior_delivered;
    out[1] = sent_at;
    out[2] = sample.delivered;
    return sample.is_valid;
}

uint32_t wb_sender_log_runs(const struct wb_sender *s)
{
    return s->tcb.log != NULL ? s->tcb.log->count : 0;
}

bool wb_sender_next(struct wb_sender *s, uint64_t run[2], bool send)
{
    struct range found;
    if (!recovery_next(&s->tcb, s->tcb.snd_mss, s->tcb.snd_mss, &found))
        return false;
    run[0] = found.lo;
    run[1] = found.hi;
    if (send)
        recovery_sent(&s->tcb, &found, s->now);
    return true;
}
