/* verdict.h: what became of a segment; the value every step of arrival returns.
 */
#ifndef UT_TCP_VERDICT_H
#define UT_TCP_VERDICT_H

#include "base/drops.h"
#include "base/errors.h"
#include "base/base.h"

enum tcp_verdict_kind {
    VERDICT_CONTINUE, /* go on with the next step; at the end: accepted */
    VERDICT_DROP,     /* counted under `reason`; an ACK owed is noted in the tcb */
    VERDICT_CLOSED,   /* the connection is CLOSED now; tcb->error tells why */
    VERDICT_SYN,      /* from a listener or TIME-WAIT: the SYN may open a connection */
    VERDICT_PROMOTE,  /* from a half-open entry: the handshake is complete */
    VERDICT_ACK,      /* from a compact record: answer with its ACK (or SYN,ACK) */
    VERDICT_RESTART,  /* from TIME-WAIT: the same, and the 2 MSL begin again */
};

struct tcp_verdict {
    enum tcp_verdict_kind kind;
    enum drop_reason reason; /* DROP_none unless something was discarded */
    bool reset;              /* answer the segment with RST (respond_rst) */
};

static inline struct tcp_verdict verdict_continue(void)
{
    return (struct tcp_verdict){VERDICT_CONTINUE, DROP_none, false};
}
static inline struct tcp_verdict verdict_of(enum tcp_verdict_kind kind)
{
    return (struct tcp_verdict){kind, DROP_none, false};
}
static inline struct tcp_verdict verdict_drop(enum drop_reason why)
{
    return (struct tcp_verdict){VERDICT_DROP, why, false};
}
static inline struct tcp_verdict verdict_drop_reset(enum drop_reason why)
{
    return (struct tcp_verdict){VERDICT_DROP, why, true};
}

#endif
