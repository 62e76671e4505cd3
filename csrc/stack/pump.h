/* pump.h: the thread that services link and timers whenever the event loop is late.
 *
 *        PARKED --frame or deadline--> WATCHING --loop late--> PUMPING
 *           ^                            |  ^                     |
 *           +------ nothing to do -------+  +--- the loop polls --+
 *
 * TCP then acknowledges, retransmits and answers probes while Python is busy, as the kernel's does.
 * A prompt loop costs it nothing: parked, the thread is asleep; watching, it looks every
 * PUMP_PATIENCE whether the loop has polled since.
 *
 *   1. all fields but the thread's own phase are under the stack's mutex
 *   2. what the pump's turns lead to stays on the ready list; event_fd tells the loop
 *   3. while it runs, every `now` given to the stack must be CLOCK_MONOTONIC in ns
 */
#ifndef UT_STACK_PUMP_H
#define UT_STACK_PUMP_H

#include <pthread.h>

#include "base/time.h"

#define PUMP_PATIENCE (10 * NS_PER_MS)

struct ut_stack;

struct pump {
    pthread_t thread;
    bool is_running, is_stopping;
    bool has_told;       /* event_fd is readable */
    int control_fd;      /* readable: look at is_stopping and the deadline again */
    int event_fd;        /* readable: events were left for the loop */
    ns_t parked_until;   /* an earlier deadline must wake the thread; 0 = it is awake */
    uint64_t loop_turns; /* of the event loop */
    uint64_t turns;      /* of the pump */
};

/* 0, or -UT_E_SYSTEM with errno. Idempotent. */
int pump_start(struct ut_stack *s);
/* Ends the thread and waits for it. Not under the mutex. Idempotent. */
void pump_stop(struct ut_stack *s);
/* The loop polls. Under the mutex. */
void pump_on_loop_turn(struct ut_stack *s);
/* The stack's deadline is known anew. Under the mutex. */
void pump_on_deadline(struct ut_stack *s);

#endif
