/* events.h: what happened, kept per handle until ut_poll tells it.
 *
 *      tcb.events --> notice.events (one mask per handle) --> ready list --> ut_event
 *
 *   1. a notice is on the ready list exactly when its handle has a user and its mask is not empty
 *   2. shared.events_pending is the length of the ready list
 *   3. what does not fit into the caller's array stays on the list: no event is lost
 */
#ifndef UT_STACK_EVENTS_H
#define UT_STACK_EVENTS_H

#include "include/usertcp.h"
#include "stack/list.h"

struct notice {
    struct list node; /* on the ready list; of a connection not accepted yet: on the accept queue */
    ut_handle handle;
    uint32_t events; /* UT_READABLE ... */
    int32_t error;   /* with UT_CLOSED */
};

struct events {
    struct list ready;
    ut_shared *shared;
};

void events_init(struct events *e, ut_shared *shared);
/* Adds `mask`, and puts the notice on the list unless it waits there already. */
void events_tell(struct events *e, struct notice *n, uint32_t mask);
/* Before the handle goes away: takes it off the list. */
void events_forget(struct events *e, struct notice *n);
/* Writes up to `max` events, oldest first; returns how many. */
int events_take(struct events *e, ut_event *out, int max);

#endif
