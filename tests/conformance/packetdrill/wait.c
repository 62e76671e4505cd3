/* wait.c: the clock, blocking calls, and the hand-over between them.
 *
 * A blocked call sleeps without the lock. Whoever changes something wakes it and waits until it has
 * looked: it then sleeps again, or its call is over at exactly this time, which its next reading of
 * the clock gets, however late the thread is run.
 */
#include "door.h"

#define CREEP 1000u /* ns per reading: who spins for a time gets there */
#define BLOCKED_MAX (300 * NS_PER_S)

static __thread bool has_joined; /* this thread is in a call that blocks */
static __thread ns_t woken_at;   /* 0 = its last call did not block */

void wait_hand_over(void)
{
    if (door.waiters == 0 || has_joined)
        return; /* nobody, or it is the blocked call itself that changed something */
    door.generation++;
    door.yet_to_look = door.waiters;
    pthread_cond_broadcast(&door.wake);
    while (door.yet_to_look > 0)
        pthread_cond_wait(&door.looked, &door.lock);
}

static void wait_looked(void)
{
    if (--door.yet_to_look == 0)
        pthread_cond_signal(&door.looked);
}

/* The thread that moves the clock has to move it itself. */
static bool wait_on_main(ns_t until)
{
    if (door.stack == NULL)
        return false;
    ns_t next = ut_stack_shared(door.stack)->deadline;
    if (next == TIME_NEVER || next > u64_min(until, door.now + BLOCKED_MAX)) {
        if (until != TIME_NEVER)
            door_run_until(until);
        return false;
    }
    door_run_until(next);
    return true;
}

bool wait_for_change(ns_t until)
{
    if (pthread_equal(pthread_self(), door.main))
        return wait_on_main(until);
    if (door.now >= until)
        return false;
    if (has_joined)
        wait_looked();
    else
        door.waiters++;
    has_joined = true;
    uint64_t seen = door.generation;
    door.wait_until = until;
    while (seen == door.generation)
        pthread_cond_wait(&door.wake, &door.lock);
    door.wait_until = TIME_NEVER;
    woken_at = door.now;
    return true;
}

void wait_done(void)
{
    if (!has_joined)
        return;
    has_joined = false;
    door.waiters--;
    wait_looked();
}

int wait_gettimeofday(void *unused, struct timeval *tv, struct timezone *zone)
{
    (void)unused;
    (void)zone;
    pthread_mutex_lock(&door.lock);
    ns_t at = woken_at;
    woken_at = 0;
    if (at == 0) {
        door_run_until(door.now + CREEP);
        at = door.now;
    }
    pthread_mutex_unlock(&door.lock);
    tv->tv_sec = (time_t)(at / NS_PER_S);
    tv->tv_usec = (suseconds_t)(at % NS_PER_S / 1000);
    return 0;
}

int wait_usleep(void *unused, useconds_t us)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    door_run_until(door.now + us * UINT64_C(1000));
    pthread_mutex_unlock(&door.lock);
    return 0;
}
