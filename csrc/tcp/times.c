/* times.c: noting what leaves. Called by output.c for new data. */
#include "tcp/times.h"

#include "tcp/rack.h"

void times_note(struct tcb *t, seq32 from, seq32 end, ns_t now)
{
    if (t->times == NULL) {
        t->times = pool_take(&t->env->times, &t->times_index);
        if (t->times == NULL)
            return; /* RACK finds nothing then, and the RTO stands in */
        t->times->sendlog.count = 0;
        t->times->timed.head = t->times->timed.count = 0;
    }
    if (t->rack_on)
        sendlog_sent(&t->times->sendlog, from, now, rack_quantum(t)); /* RFC 8985 6.1 */
    if (t->cc.wants_rtt)
        timed_sent(&t->times->timed, end, t->cc.cwnd, now);
}
