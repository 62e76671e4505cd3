/* accecn_option.h: AccECN options (RFC 9768 3.2.3): bytes that came with each codepoint.
 *
 * Their counters lie in a record from env->accecn while RFC 9768 is agreed. Without memory for one
 * there are no options, and the flags alone tell.
 */
#ifndef UT_TCP_ACCECN_OPTION_H
#define UT_TCP_ACCECN_OPTION_H

#include "base/base.h"

struct tcb;
struct tcp_opts;
struct tcp_seg;

/* By enum ecn_codepoint; [0], Not-ECT, is not counted. */
struct tcp_accecn {
    uint64_t in[4];         /* r.e1b, r.e0b, r.ceb */
    uint64_t out[4];        /* s.e1b, s.e0b, s.ceb */
    uint32_t told[4];       /* of `in`, in the last option sent */
    uint32_t ece_at_option; /* ecn.ece_in when the last option came */
    uint8_t seen;           /* bit n: in[n] has changed */
    bool is_client, first_sent;
    bool is_off;     /* none are sent: they seem not to get through */
    bool has_come;   /* one */
    bool is_ignored; /* those that come mean nothing */
};

/* Takes a record, if there is memory. */
void accecn_options_begin(struct tcb *t, bool is_client);
void accecn_options_end(struct tcb *t);
/* NULL = none */
struct tcp_accecn *accecn_record(const struct tcb *t);
/* That of a SYN,ACK, which has the counters as they begin. */
void accecn_option_first(struct tcp_opts *out);
/* The option of the next segment, if one is due and fits beside the rest. */
void accecn_option_put(const struct tcb *t, struct tcp_opts *out);
/* It has left. */
void accecn_option_sent(struct tcb *t, const struct tcp_opts *sent);
/* Segments with options seem to be lost. */
void accecn_option_give_up(struct tcb *t);
/* An acceptable segment has come. */
void accecn_option_count(struct tcb *t, const struct tcp_seg *seg);
/* The option of a segment that is not superseded. Bytes newly marked; -1 = it does not tell. */
int64_t accecn_option_hear(struct tcb *t, const struct tcp_seg *seg);

#endif
