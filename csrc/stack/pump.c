/* pump.c: the pump thread. The one place outside link/ that reads a clock and makes system calls.
 *
 * Called by api/ (start, stop) and by stack_settle. See pump.h for the phases.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "stack/pump.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/errors.h"
#include "stack/clock.h"
#include "stack/poll.h"

#define QUIET_LOOKS 10 /* looks without a turn of the loop, and nothing to do, before parking */
#define PUMP_BUDGET 64 /* frames per hold of the mutex */

enum phase { PARKED, WATCHING, PUMPING, ENDED };

/* The thread's own. */
struct watch {
    ut_stack *stack;
    enum phase phase;
    int quiet;
    uint64_t seen; /* loop_turns when last looked */
    int link_fd, control_fd;
};

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    /* It can only fail when the count is full, and then it is readable. */
    if (write(fd, &one, sizeof one) < 0)
        return;
}

static void drain_fd(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0)
        return; /* nothing was told */
}

/* Sleeps until `until`, the control descriptor, or (if asked) the link's; true: the link has
 * frames. */
static bool wait_for(const struct watch *w, bool link, ns_t until)
{
    struct pollfd fds[] = {{.fd = w->control_fd, .events = POLLIN},
                           {.fd = link ? w->link_fd : -1, .events = POLLIN}};
    ns_t left = until == TIME_NEVER ? 0 : time_between(clock_now(), until);
    struct timespec t = {(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
    int n = ppoll(fds, 2, until == TIME_NEVER ? NULL : &t, NULL);
    if (n > 0 && fds[0].revents != 0)
        drain_fd(w->control_fd);
    return n > 0 && fds[1].revents != 0;
}

/* Nothing to do: asleep until a frame comes, or a deadline has been missed. */
static void park(struct watch *w)
{
    ut_stack *s = w->stack;
    pthread_mutex_lock(&s->lock);
    ns_t until = time_after(s->shared.deadline, PUMP_PATIENCE);
    s->pump.parked_until = s->pump.is_stopping ? 0 : s->shared.deadline;
    w->seen = s->pump.loop_turns;
    bool stopping = s->pump.is_stopping;
    pthread_mutex_unlock(&s->lock);
    if (!stopping)
        wait_for(w, true, until);
    pthread_mutex_lock(&s->lock);
    s->pump.parked_until = 0;
    w->phase = s->pump.is_stopping ? ENDED : WATCHING;
    pthread_mutex_unlock(&s->lock);
    w->quiet = 0;
}

/* Is the loop prompt? */
static void look(struct watch *w)
{
    ut_stack *s = w->stack;
    ns_t now = clock_now();
    wait_for(w, false, now + PUMP_PATIENCE);
    bool frames = wait_for(w, true, 0);
    now = clock_now();
    pthread_mutex_lock(&s->lock);
    bool is_late = frames || time_after(s->shared.deadline, PUMP_PATIENCE) <= now;
    if (s->pump.is_stopping) {
        w->phase = ENDED;
    } else if (s->pump.loop_turns != w->seen) {
        w->seen = s->pump.loop_turns;
        w->quiet = 0;
    } else if (is_late) {
        w->phase = PUMPING;
    } else if (++w->quiet >= QUIET_LOOKS) {
        w->phase = PARKED;
    }
    pthread_mutex_unlock(&s->lock);
}

/* One turn in the loop's place. */
static void pump_turn(struct watch *w)
{
    ut_stack *s = w->stack;
    ns_t until = 0;
    pthread_mutex_lock(&s->lock);
    struct pump *p = &s->pump;
    if (p->is_stopping || s->link_is_down) {
        w->phase = ENDED;
    } else if (p->loop_turns != w->seen) {
        w->phase = WATCHING; /* the loop is back */
        w->seen = p->loop_turns;
        w->quiet = 0;
    } else {
        stack_set_now(s, clock_now());
        p->turns++;
        until = poll_turn(s, PUMP_BUDGET) ? 0 : s->shared.deadline;
        bool has_news = s->shared.events_pending > 0 || s->shared.reports_pending > 0;
        if ((has_news || s->link_is_down) && !p->has_told) {
            p->has_told = true;
            signal_fd(p->event_fd);
        }
    }
    bool goes_on = w->phase == PUMPING;
    pthread_mutex_unlock(&s->lock);
    if (goes_on)
        wait_for(w, true, until);
}

static void *pump_main(void *arg)
{
    ut_stack *s = arg;
    struct watch w = {
        .stack = s, .phase = WATCHING, .link_fd = s->link->fd, .control_fd = s->pump.control_fd};
    while (w.phase != ENDED) {
        if (w.phase == PARKED)
            park(&w);
        else if (w.phase == WATCHING)
            look(&w);
        else
            pump_turn(&w);
    }
    return NULL;
}

static int start_failed(struct pump *p, int why)
{
    if (p->control_fd >= 0)
        close(p->control_fd);
    if (p->event_fd >= 0)
        close(p->event_fd);
    p->control_fd = p->event_fd = -1;
    errno = why;
    return -UT_E_SYSTEM;
}

int pump_start(ut_stack *s)
{
    struct pump *p = &s->pump;
    sigset_t all, before;
    if (p->is_running)
        return 0;
    p->control_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->control_fd < 0 || p->event_fd < 0)
        return start_failed(p, errno);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int why = pthread_create(&p->thread, NULL, pump_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (why != 0)
        return start_failed(p, why);
    p->is_running = true;
    return 0;
}

void pump_stop(ut_stack *s)
{
    struct pump *p = &s->pump;
    pthread_mutex_lock(&s->lock);
    bool was_running = p->is_running;
    p->is_running = false;
    p->is_stopping = true;
    if (was_running)
        signal_fd(p->control_fd);
    pthread_mutex_unlock(&s->lock);
    if (!was_running)
        return;
    pthread_join(p->thread, NULL);
    close(p->control_fd);
    close(p->event_fd);
    p->control_fd = p->event_fd = -1;
}

void pump_on_loop_turn(ut_stack *s)
{
    struct pump *p = &s->pump;
    p->loop_turns++;
    if (p->has_told) {
        p->has_told = false;
        drain_fd(p->event_fd);
    }
}

void pump_on_deadline(ut_stack *s)
{
    struct pump *p = &s->pump;
    if (s->shared.deadline >= p->parked_until)
        return;
    p->parked_until = 0;
    signal_fd(p->control_fd);
}
