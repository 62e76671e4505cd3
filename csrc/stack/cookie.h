/* cookie.h: SYN cookies: a half-open entry that the peer keeps for us (RFC 4987 3.6).
 *
 *      ISN = | minutes, 5 bits | MSS class, 3 bits | keyed hash, 24 bits |
 *      low bits of the timestamp, when the SYN had one: | ECN 1 | SACK 1 | wscale 4 | (15 = none)
 */
#ifndef UT_STACK_COOKIE_H
#define UT_STACK_COOKIE_H

#include "stack/listen.h"

/* Answers the SYN in rx with a cookie. Nothing is kept. */
void cookie_send(ut_stack *s, struct rx *rx);
/* Might an ACK be the answer to a cookie of ours? */
bool cookie_is_possible(const ut_stack *s, const struct rx *rx);
/* The entry that a valid cookie stands for. False: forged or too old. */
bool cookie_redeem(ut_stack *s, const struct rx *rx, struct tcp_half *out);

#endif
