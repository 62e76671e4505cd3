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
struct tcp_half;
struct tcp_out;
struct tcp_params;
struct tcp_seg;

struct tcp_ecn {
    seq32 cwr_end;       /* while reduced: SND.NXT at the last reduction */
    uint32_t ce_in;      /* data segments that came marked; accurate: packets */
    uint32_t ece_in;     /* ACKs with ECE; accurate: packets of ours that the peer saw marked */
    uint32_t reductions; /* of cwnd, for that */
    uint32_t record;     /* accecn_option.h: index + 1; 0 = none */
    bool on : 1;         /* agreed: CE is answered with ECE, ECE with less */
    bool ect : 1;        /* new data leaves as ECN-capable */
    bool cwr_due : 1;    /* the next new data says CWR */
    bool reduced : 1;    /* nothing sent after the last reduction is acknowledged */
    bool fell_back : 1;  /* a SYN left without asking */
    bool barred : 1;     /* nothing may leave as ECN-capable */
    uint8_t asks : 2;    /* enum ecn_mode: what its SYN asks for */
    /* accecn.h */
    bool accurate : 1;         /* agreed, with `on` */
    bool opening : 1;          /* the ACK of our SYN,ACK has not come */
    bool owes_handshake : 1;   /* the next pure ACK tells how the SYN,ACK came */
    bool deaf : 1;             /* the peer's counter means nothing */
    bool last_was_ce : 1;      /* the packet before came marked */
    bool ace_seen : 1;         /* a counter has come */
    uint8_t syn_ecn : 2;       /* SYN-RECEIVED: the codepoint of the peer's SYN */
    uint8_t segs_mark : 5;     /* low bits of segs_out when the last mark came */
    uint8_t marks_waiting : 3; /* that came since */
    uint8_t acked_avg;         /* segments an ACK is for, on average, in eighths */
};

/* RFC 3168 5 */
enum ecn_codepoint { ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_0, ECN_CE };

/* What a connection agreed on: RFC 3168, RFC 9768. */
enum ecn_mode { ECN_NONE, ECN_CLASSIC, ECN_ACCURATE };

/* tcp_params.ecn; the numbers are those of Linux's sysctl tcp_ecn. */
enum ecn_use {
    ECN_OFF,
    ECN_ASK,             /* for RFC 3168, and agree to it when asked */
    ECN_ACCEPT,          /* agree to RFC 3168 when asked */
    ECN_ACCURATE_ASK,    /* for RFC 9768, and agree to either */
    ECN_ACCURATE_ACCEPT, /* agree to either, and ask for RFC 3168 */
    ECN_ACCURATE_QUIET,  /* agree to either when asked */
};
static inline bool ecn_knows_accurate(uint8_t use) { return use >= ECN_ACCURATE_ASK; }

/* ---- opening (6.1.1) ---- */

/* What a connection asks for by default, and what one whose user wants ECN. */
enum ecn_mode ecn_wish(const struct tcp_params *p);
enum ecn_mode ecn_best(const struct tcp_params *p);
/* What we agree to of what this SYN asks for. */
enum ecn_mode ecn_accept(const struct tcp_params *p, const struct tcp_seg *syn);
/* AE, ECE and CWR of a SYN or SYN,ACK of ours that leaves now. */
uint16_t ecn_syn_flags(struct tcb *t, bool with_ack);
/* A SYN or SYN,ACK has come in SYN-SENT. */
void ecn_learn(struct tcb *t, const struct tcp_seg *seg);
/* The SYN once more, to which a SYN,ACK has left. False: it speaks of another mode. */
bool ecn_learn_again(struct tcb *t, const struct tcp_seg *syn);
/* The SYN,ACK that ends a simultaneous open. False: the peer speaks of two modes at once. */
bool ecn_learn_crossing(struct tcb *t, const struct tcp_seg *seg);
/* Both sides have agreed, as the half-open entry says. */
void ecn_begin_from_half(struct tcb *t, const struct tcp_half *half);

/* ---- while ecn.on ---- */

/* How many packets a segment came in. */
uint32_t ecn_packets(const struct tcp_seg *seg);
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
