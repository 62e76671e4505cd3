/* busy.c: the host's thread stays with the link for a moment. Called by ut_busy_poll.
 *
 * Being woken takes longer than a round trip between the ends of one machine. Here an ACK that is
 * under way is answered at once, as the kernel's TCP does, and without the host.
 *   1. the mutex is given back between turns; a turn is as long as one of ut_poll at most
 *   2. `most` bounds all turns together: so long the host's loop stands still, and no longer
 *   3. what only the host can do ends it
 */
#include "stack/busy.h"

#include "stack/clock.h"
#include "stack/poll.h"

#define BUSY_BUDGET 64 /* frames per hold of the mutex */

static bool host_is_needed(const ut_stack *s)
{
    const ut_shared *told = &s->shared;
    return told->events_pending > 0 || told->reports_pending > 0 || told->notes_pending > 0 ||
           s->link_is_down;
}

/* Whether this is an idle moment: no call was made since the last look. */
static bool begin(ut_stack *s)
{
    pthread_mutex_lock(&s->lock);
    bool is_idle = s->busy_since == s->now && !host_is_needed(s);
    s->busy_since = s->now;
    if (is_idle)
        stack_count(s, COUNTER_busy_polls);
    pthread_mutex_unlock(&s->lock);
    return is_idle;
}

/* One turn; false: the host is needed. */
static bool turn(ut_stack *s, ns_t now, int *frames)
{
    pthread_mutex_lock(&s->lock);
    uint64_t before = s->link->stats.rx_frames;
    bool goes_on = !host_is_needed(s); /* the pump, or another thread, may have been here */
    if (goes_on) {
        stack_set_now(s, now);
        poll_turn(s, BUSY_BUDGET);
        goes_on = !host_is_needed(s);
    }
    int came = (int)(s->link->stats.rx_frames - before);
    if (came > 0 && *frames == 0)
        stack_count(s, COUNTER_busy_poll_hits);
    *frames += came;
    s->busy_since = s->now;
    pthread_mutex_unlock(&s->lock);
    return goes_on;
}

int busy_poll(ut_stack *s, ns_t most)
{
    if (!begin(s))
        return -1;
    const ns_t began = clock_now();
    ns_t now = began;
    int frames = 0;
    while (turn(s, now, &frames)) {
        now = clock_now();
        if (time_between(began, now) >= most)
            break;
    }
    return frames;
}
