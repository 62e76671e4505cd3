/* times.c: a record of times coming and going. Called by output.c, ack.c and tcb.c. */
#include "tcp/times.h"

bool times_open(struct tcb *t)
{
    t->times = pool_take(&t->env->times, &t->times_index);
    if (t->times == NULL)
        return false;
    sendlog_clear(&t->times->sendlog);
    t->times->timed.head = 0;
    t->times->small_end = t->snd_nxt; /* if something is in flight, it may be small */
    t->times->least = tcb_flight(t) == 0 ? UINT32_MAX : 0; /* what left before is not known */
    timed_clear(&t->times->timed);
    return true;
}

void times_close(struct tcb *t)
{
    if (t->times == NULL)
        return;
    pool_put(&t->env->times, t->times_index);
    t->times = NULL;
    t->times_index = POOL_NONE;
}
