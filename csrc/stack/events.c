/* events.c: the ready list. Called after each touch of a connection, and by ut_poll.
 */
#include "stack/events.h"

void events_init(struct events *e, ut_shared *shared)
{
    list_init(&e->ready);
    e->shared = shared;
}

void events_tell(struct events *e, struct notice *n, uint32_t mask)
{
    n->events |= mask;
    if (n->events == 0 || list_is_linked(&n->node))
        return;
    list_append(&e->ready, &n->node);
    e->shared->events_pending++;
}

void events_forget(struct events *e, struct notice *n)
{
    n->events = 0;
    if (!list_is_linked(&n->node))
        return;
    list_remove(&n->node);
    e->shared->events_pending--;
}

int events_take(struct events *e, ut_event *out, int max)
{
    int count = 0;
    while (count < max && !list_is_empty(&e->ready)) {
        struct notice *n = UT_CONTAINER_OF(e->ready.next, struct notice, node);
        out[count++] = (ut_event){n->handle, n->events, n->events & UT_CLOSED ? n->error : 0};
        events_forget(e, n);
    }
    return count;
}
