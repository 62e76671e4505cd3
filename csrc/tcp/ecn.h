/* ecn.h: explicit congestion notification (RFC 3168 6.1): a router that is about to drop marks the
 * packet instead, the receiver says so until it hears that the sender has slowed down.
 *
 *      sender    --> data, ECT(0) -->  router  --> data, CE -->  receiver
 *                <-- ACK, ECE, and so on every ACK <--
 *      reduces
 *                --> new data, CWR -->                           stops saying ECE
 *
 * Negotiated by flags on the SYNs. Without it nothing here is called but at the opening; what the
 * path of the data asks is in tcb.h: ecn.on, ack_flags and two bits of rack.
 */
#ifndef UT_TCP_ECN_H
#define UT_TCP_ECN_H

#include "base/base.h"
#include "base/seq32.h"
#include "base/time.h"

struct arrival;
struct tcb;
struct tcp_out;
struct tcp_params;
struct tcp_seg;

struct tcp_ecn {
    seq32 cwr_end; /* while reduced: SND.NXT at the last reduction */
    uint32_t ce_in, ece_in, reductions;
    bool on : 1;        /* agreed: CE is answered with ECE, ECE with less */
    bool ect : 1;       /* new data leaves as ECN-capable */
    bool cwr_due : 1;   /* the next new data says CWR */
    bool reduced : 1;   /* nothing sent after the last reduction is acknowledged */
    bool asks : 1;      /* its SYN does */
    bool fell_back : 1; /* a SYN left without asking */
};

/* RFC 3168 5 */
enum ecn_codepoint { ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_0, ECN_CE };

/* tcp_params.ecn; the numbers are those of Linux's sysctl tcp_ecn. */
enum ecn_use {
    ECN_OFF,
    ECN_ASK,    /* for it, and agree when asked */
    ECN_ACCEPT, /* agree when asked */
};

/* ---- opening (6.1.1) ---- */

/* Whether we agree to what this SYN asks for. */
bool ecn_may_accept(const struct tcp_params *p, const struct tcp_seg *syn);
/* ECE and CWR of a SYN or SYN,ACK of ours that leaves now. */
uint8_t ecn_syn_flags(struct tcb *t, bool with_ack);
/* A SYN or SYN,ACK has come in SYN-SENT. */
void ecn_learn(struct tcb *t, const struct tcp_seg *seg);
/* The SYN once more, to which a SYN,ACK has left. */
void ecn_learn_again(struct tcb *t, const struct tcp_seg *syn);
/* The SYN,ACK that ends a simultaneous open. */
void ecn_learn_crossing(struct tcb *t, const struct tcp_seg *seg);
/* Both sides have agreed. */
void ecn_begin(struct tcb *t);

/* ---- while ecn.on ---- */

/* A segment within the window, its ACK believed, before anything is made of it. */
void ecn_arrive(struct tcb *t, const struct arrival *a);
/* New data is about to leave: its codepoint, and CWR when that is due. */
void ecn_mark_new(struct tcb *t, struct tcp_out *out);
/* cwnd was reduced, whyever: CWR is due, and this window's marks have had their answer. */
void ecn_on_reduction(struct tcb *t);
/* The reduction was a mistake, and is taken back. */
void ecn_on_undo(struct tcb *t);
/* With rack.ecn_waits: nothing may leave yet; pace_deadline tells when. */
bool ecn_must_wait(struct tcb *t, ns_t now);

#endif
