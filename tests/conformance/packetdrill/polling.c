/* polling.c: fcntl, ioctl, poll and epoll over what the engine says of its connections. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <stdarg.h>

#include "door.h"

static bool sock_info(const struct sock *k, ut_info *out)
{
    return (k->kind == SOCK_CONNECTION || k->kind == SOCK_LISTENING) &&
           ut_get_info(door.stack, k->handle, out) == 0;
}

/* The peer's FIN has been taken in. */
static bool peer_has_closed(const ut_info *i)
{
    return i->state == UT_STATE_CLOSE_WAIT || i->state == UT_STATE_LAST_ACK ||
           i->state == UT_STATE_CLOSING || i->state == UT_STATE_TIME_WAIT ||
           i->state == UT_STATE_CLOSED;
}

bool sock_is_readable(const struct sock *k)
{
    ut_info i;
    if (!sock_info(k, &i))
        return false;
    if (k->kind == SOCK_LISTENING)
        return i.accept_queue > 0;
    return i.rcv_readable > 0 || k->has_ended || k->is_shut_for_reading || peer_has_closed(&i);
}

bool sock_is_writable(const struct sock *k)
{
    ut_info i;
    if (k->kind != SOCK_CONNECTION || !sock_info(k, &i))
        return false;
    return k->has_ended || k->is_shut_for_writing || (k->connected && i.snd_free >= i.snd_queued / 2 && i.snd_free > 0);
}

uint32_t sock_ready(const struct sock *k)
{
    ut_info i;
    uint32_t ready = 0;
    if (k->kind == SOCK_NEW)
        return EPOLLOUT | EPOLLHUP;
    if (!sock_info(k, &i))
        return 0;
    if (sock_is_readable(k))
        ready |= EPOLLIN | EPOLLRDNORM;
    if (sock_is_writable(k))
        ready |= EPOLLOUT | EPOLLWRNORM;
    if (k->kind == SOCK_LISTENING)
        return ready;
    bool no_more_in = peer_has_closed(&i) || k->has_ended || k->is_shut_for_reading;
    if (no_more_in)
        ready |= EPOLLRDHUP;
    if (k->has_ended || (no_more_in && k->is_shut_for_writing))
        ready |= EPOLLHUP;
    if (k->error != 0)
        ready |= EPOLLERR;
    return ready;
}

static int polling_fcntl(void *unused, int fd, int command, ...)
{
    (void)unused;
    va_list args;
    va_start(args, command);
    int value = command == F_SETFL ? va_arg(args, int) : 0, result = 0;
    va_end(args);
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    if (k == NULL)
        result = door_error(EBADF);
    else if (command == F_SETFL)
        k->nonblocking = (value & O_NONBLOCK) != 0;
    else if (command == F_GETFL)
        result = O_RDWR | (k->nonblocking ? O_NONBLOCK : 0);
    else if (command != F_GETFD && command != F_SETFD)
        result = door_error(EINVAL);
    pthread_mutex_unlock(&door.lock);
    return result;
}

static int polling_ioctl(void *unused, int fd, unsigned long request, ...)
{
    (void)unused;
    va_list args;
    va_start(args, request);
    int *out = va_arg(args, int *), result = 0;
    va_end(args);
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    ut_info i;
    if (k == NULL)
        result = door_error(EBADF);
    else if (out == NULL)
        result = door_error(EFAULT);
    else if (k->kind != SOCK_CONNECTION || !sock_info(k, &i))
        result = door_error(EINVAL);
    else if (request == SIOCINQ)
        *out = (int)i.rcv_readable;
    else if (request == SIOCOUTQ)
        *out = (int)i.snd_queued;
    else if (request == SIOCOUTQNSD)
        *out = (int)(i.snd_queued - u64_min(i.snd_queued, i.flight_size));
    else
        result = door_error(ENOTTY);
    pthread_mutex_unlock(&door.lock);
    return result;
}

static ns_t polling_until(int timeout_ms)
{
    return timeout_ms < 0 ? TIME_NEVER : door.now + (ns_t)timeout_ms * NS_PER_MS;
}

static int polling_look(struct pollfd *fds, nfds_t count)
{
    int ready = 0;
    for (nfds_t n = 0; n < count; n++) {
        const struct sock *k = sock_of(fds[n].fd);
        fds[n].revents = 0;
        if (fds[n].fd < 0)
            continue;
        if (k == NULL)
            fds[n].revents = POLLNVAL;
        else
            fds[n].revents =
                (short)(sock_ready(k) & ((uint16_t)fds[n].events | POLLERR | POLLHUP));
        ready += fds[n].revents != 0;
    }
    return ready;
}

static int polling_poll(void *unused, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    ns_t until = polling_until(timeout_ms);
    int ready;
    while ((ready = polling_look(fds, count)) == 0 && door.now < until)
        if (!wait_for_change(until) && until == TIME_NEVER)
            break;
    wait_done();
    pthread_mutex_unlock(&door.lock);
    return ready;
}

static int polling_epoll_create(void *unused, int size)
{
    (void)unused;
    if (size <= 0)
        return door_error(EINVAL);
    pthread_mutex_lock(&door.lock);
    int fd = sock_new(SOCK_EPOLL);
    for (int i = 0; fd >= 0 && i < DOOR_WATCHED; i++)
        door.socks[fd].watched[i].fd = -1;
    pthread_mutex_unlock(&door.lock);
    return fd;
}

static struct watch *watch_of(struct sock *e, int fd)
{
    for (int i = 0; i < DOOR_WATCHED; i++)
        if (e->watched[i].fd == fd)
            return &e->watched[i];
    return NULL;
}

static int epoll_ctl_locked(struct sock *e, int op, int fd, const struct epoll_event *event)
{
    struct watch *w = watch_of(e, fd);
    if (op != EPOLL_CTL_DEL && event == NULL)
        return door_error(EFAULT);
    if (op == EPOLL_CTL_ADD && w != NULL)
        return door_error(EEXIST);
    if (op != EPOLL_CTL_ADD && w == NULL)
        return door_error(ENOENT);
    if (op == EPOLL_CTL_ADD && (w = watch_of(e, -1)) == NULL)
        return door_error(ENOSPC);
    *w = op == EPOLL_CTL_DEL ? (struct watch){.fd = -1}
                             : (struct watch){.fd = fd, .wanted = event->events, .data = event->data};
    return 0;
}

static int polling_epoll_ctl(void *unused, int epoll, int op, int fd, struct epoll_event *event)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *e = sock_of(epoll);
    int result;
    if (e == NULL || sock_of(fd) == NULL)
        result = door_error(EBADF);
    else if (e->kind != SOCK_EPOLL)
        result = door_error(EINVAL);
    else
        result = epoll_ctl_locked(e, op, fd, event);
    pthread_mutex_unlock(&door.lock);
    return result;
}

/* Edge-triggered: what was told is told again only after something new has happened. */
static int epoll_look(struct sock *e, struct epoll_event *events, int max)
{
    int count = 0;
    for (int i = 0; i < DOOR_WATCHED && count < max; i++) {
        struct watch *w = &e->watched[i];
        struct sock *k = w->fd >= 0 ? sock_of(w->fd) : NULL;
        if (k == NULL || (w->wanted & EPOLLONESHOT && w->wanted & EPOLLET && w->told == UINT32_MAX))
            continue;
        uint32_t ready = sock_ready(k) & (w->wanted | EPOLLERR | EPOLLHUP);
        if (k->edges != 0)
            w->told = 0;
        k->edges = 0;
        uint32_t fresh = w->wanted & EPOLLET ? ready & ~w->told : ready;
        w->told = ready;
        if (fresh == 0)
            continue;
        events[count++] = (struct epoll_event){.events = ready, .data = w->data};
        if (w->wanted & EPOLLONESHOT)
            w->wanted = 0;
    }
    return count;
}

static int polling_epoll_wait(void *unused, int epoll, struct epoll_event *events, int max,
                              int timeout_ms)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *e = sock_of(epoll);
    ns_t until = polling_until(timeout_ms);
    int count;
    if (e == NULL || e->kind != SOCK_EPOLL || max <= 0)
        count = door_error(e == NULL ? EBADF : EINVAL);
    else
        while ((count = epoll_look(e, events, max)) == 0 && door.now < until)
            if (!wait_for_change(until) && until == TIME_NEVER)
                break;
    wait_done();
    pthread_mutex_unlock(&door.lock);
    return count;
}

void polling_fill(struct door_table *t)
{
    t->fcntl = polling_fcntl;
    t->ioctl = polling_ioctl;
    t->poll = polling_poll;
    t->epoll_create = polling_epoll_create;
    t->epoll_ctl = polling_epoll_ctl;
    t->epoll_wait = polling_epoll_wait;
}
