/* sack.h: the sender's scoreboard (RFC 2018, RFC 6675 3 and 4): which bytes the peer holds.
 *
 * Kept in trouble->sacked as stream offsets above snd_una; NULL trouble = nothing is SACKed.
 */
#ifndef UT_TCP_SACK_H
#define UT_TCP_SACK_H

#include "tcp/rack.h"
#include "tcp/recovery.h"

/* SND.UNA has advanced from news->una: counts what that delivered and forgets it. */
void sack_advance(struct tcb *t, struct tcp_news *news);
/* Update() of RFC 6675 4: takes the blocks of an acceptable ACK. Blocks that are empty, reach
 * beyond snd_nxt or lie below snd_una are ignored (RFC 2018), but for a D-SACK (RFC 2883). */
void sack_update(struct tcb *t, struct tcp_news *news);
/* The peer has discarded what it had SACKed (RFC 2018 8), or nothing is known any more. */
void sack_clear(struct tcb *t);
/* Everything un-SACKed below this offset counts as lost: IsLost() of RFC 6675 4 for all at once. */
uint64_t sack_lost_edge(const struct tcb *t);
/* SACKed bytes in [lo, hi). */
uint64_t sack_bytes_in(const struct tcb *t, uint64_t lo, uint64_t hi);
/* End of the highest SACKed run, or sendq.una. */
uint64_t sack_highest(const struct tcb *t);
/* The first un-SACKed run in [from, to): false when all of it is SACKed. */
bool sack_next_hole(const struct tcb *t, uint64_t from, uint64_t to, struct range *hole);

#endif
