/* accecn.h: more accurate ECN feedback (RFC 9768): instead of "there was a mark", until CWR, every
 * segment says how many, modulo 8.
 *
 *      AE CWR ECE on a SYN       1 1 1: asked for
 *                 on a SYN,ACK   the codepoint the SYN came with: agreed
 *                 on the rest    ACE: packets that came marked, r.cep = 5 + ecn.ce_in
 *
 * The sender keeps s.cep = 5 + ecn.ece_in. Called by ecn.c and the opening steps; without it
 * nothing here runs.
 */
#ifndef UT_TCP_ACCECN_H
#define UT_TCP_ACCECN_H

#include "base/base.h"

struct arrival;
struct tcb;
struct tcp_half;
struct tcp_seg;

/* The three flags as the number they are: ACE (3.2.2), or the columns of the table in 3.1.2. */
uint8_t accecn_field(const struct tcp_seg *seg);
/* The same flags for a codepoint that came on a SYN or SYN,ACK (3.1.2, 3.2.2.1). */
uint16_t accecn_code(uint8_t ip_ecn);

/* ACE after so many marked packets, as flags. */
uint16_t accecn_counter(uint32_t marks);

/* ---- opening ---- */

/* Both sides have agreed. `ect`: our data may be ECN-capable. */
void accecn_begin(struct tcb *t, bool ect);
/* A SYN,ACK in SYN-SENT that agrees. */
void accecn_learn(struct tcb *t, const struct tcp_seg *seg);
/* What a SYN,ACK tells of our SYN, which was Not-ECT (3.2.2.3). */
void accecn_judge(struct tcb *t, const struct tcp_seg *seg);
/* The SYN of a half-open entry has come again. False: with another mode of feedback, and the
 * connection is to be reset (3.1.5). */
bool accecn_syn_again(struct tcp_half *h, const struct tcp_seg *seg);
/* The SYN,ACK has come again: its codepoint is told too. */
void accecn_synack_again(struct tcb *t, const struct tcp_seg *seg);
/* With ecn.owes_handshake: whether data has to wait for the pure ACK of the SYN,ACK. */
bool accecn_must_wait(struct tcb *t);

/* ---- while ecn.accurate ---- */

/* As ecn_arrive. Whether the segment reports marks, to be answered. */
bool accecn_arrive(struct tcb *t, const struct arrival *a);

#endif
