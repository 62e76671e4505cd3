/* undo.h: taking back what an episode did to cwnd when its cause was none: reordering or delay.
 *
 * Three witnesses: the echo of a timestamp older than the first retransmission (Eifel, RFC 3522),
 * D-SACKs for all that was sent again (RFC 2883, RFC 3708), and F-RTO (frto.h). The response is
 * that of RFC 4015.
 */
#ifndef UT_TCP_UNDO_H
#define UT_TCP_UNDO_H

#include "tcp/recovery.h"

/* Before congestion control answers to a loss: what would have to be restored. */
void undo_begin(struct tcb *t);
/* Bytes leave again; the first time their timestamp is kept (RFC 3522 3.2 step 1). */
void undo_on_sent(struct tcb *t, uint32_t len, ns_t now);
/* True: the episode was needless by this ACK; undo_apply follows. */
bool undo_is_due(struct tcb *t, const struct tcp_news *news);
/* Restores (RFC 4015 3.2) and ends recovery. */
void undo_apply(struct tcb *t, const struct tcp_news *news);
/* Nothing is left to hope for, or a new episode begins. */
void undo_end(struct tcb *t);

#endif
