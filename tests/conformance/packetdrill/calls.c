/* calls.c: descriptors, and the calls that open and close connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "door.h"

struct sock *sock_of(int fd)
{
    return fd >= 0 && fd < DOOR_FDS && door.socks[fd].kind != SOCK_FREE ? &door.socks[fd] : NULL;
}

/* A real descriptor: packetdrill closes what a script left open through the C library. */
int sock_new(enum sock_kind kind)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fd >= DOOR_FDS) {
        close(fd);
        return door_error(EMFILE);
    }
    door.socks[fd] = (struct sock){.kind = kind};
    return fd;
}

static bool endpoint_of(const struct sockaddr *a, socklen_t len, ut_endpoint *out)
{
    *out = (ut_endpoint){0};
    if (a != NULL && a->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const void *)a;
        out->port = ntohs(in->sin_port);
        if (in->sin_addr.s_addr != 0) {
            out->ip[10] = out->ip[11] = 0xff;
            memcpy(out->ip + 12, &in->sin_addr, 4);
        }
        return true;
    }
    if (a != NULL && a->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in = (const void *)a;
        out->port = ntohs(in->sin6_port);
        memcpy(out->ip, &in->sin6_addr, 16);
        return true;
    }
    return false;
}

static void endpoint_to(const struct sock *k, const ut_endpoint *e, struct sockaddr *a,
                        socklen_t *len)
{
    struct sockaddr_storage full = {0};
    socklen_t size;
    if (a == NULL || len == NULL)
        return;
    if (k->family == AF_INET) {
        struct sockaddr_in *in = (void *)&full;
        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, e->ip + 12, 4);
        size = sizeof *in;
    } else {
        struct sockaddr_in6 *in = (void *)&full;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(e->port);
        memcpy(&in->sin6_addr, e->ip, 16);
        size = sizeof *in;
    }
    memcpy(a, &full, *len < size ? *len : size);
    *len = size;
}

int sock_take_error(struct sock *k)
{
    int error = k->error;
    k->error = 0;
    return error == 0 ? 0 : door_errno(error);
}

static int calls_socket(void *unused, int domain, int type, int protocol)
{
    (void)unused;
    if (domain != AF_INET && domain != AF_INET6)
        return door_error(EAFNOSUPPORT);
    if ((type & 15) != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP))
        return door_error(EPROTONOSUPPORT);
    pthread_mutex_lock(&door.lock);
    int fd = sock_new(SOCK_NEW);
    if (fd >= 0) {
        door_stack();
        door.socks[fd].family = domain;
        door.socks[fd].nonblocking = (type & SOCK_NONBLOCK) != 0;
        door.socks[fd].options = (struct sock_options){.nodelay = 0, .tos = -1, .ttl = -1};
    }
    pthread_mutex_unlock(&door.lock);
    return fd;
}

static int calls_bind_locked(int fd, const struct sockaddr *a, socklen_t len)
{
    struct sock *k = sock_of(fd);
    ut_endpoint e;
    if (k == NULL)
        return door_error(EBADF);
    if (k->kind != SOCK_NEW || !endpoint_of(a, len, &e))
        return door_error(EINVAL);
    static const uint8_t any[16];
    if (memcmp(e.ip, any, 16) != 0) /* packetdrill knows its address, a flag need not say it */
        ut_address_add(door_stack(), e.ip, 128 - (e.ip[10] == 0xff ? 96 : 0), 0, door.now);
    k->local = e;
    return 0;
}

static int calls_bind(void *unused, int fd, const struct sockaddr *a, socklen_t len)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    int result = calls_bind_locked(fd, a, len);
    pthread_mutex_unlock(&door.lock);
    return result;
}

/* Without the option the host's listeners may have their backlog for it, by sysctl. */
static void calls_serve_fast_open(const struct sock *k, int backlog)
{
    int limit = k->options.fast_open;
    if (limit == 0 && (door.fast_open & FAST_OPEN_ALL_LISTENERS))
        limit = backlog;
    if ((door.fast_open & FAST_OPEN_SERVER) && limit > 0)
        ut_option_set(door.stack, k->handle, UT_OPT_FAST_OPEN, limit, door.now);
}

static int calls_listen(void *unused, int fd, int backlog)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    int result = 0;
    if (k == NULL)
        result = door_error(EBADF);
    else if (k->kind == SOCK_NEW) {
        ut_stack *s = door_stack();
        options_before_open(k);
        /* The host's queue takes one more than the backlog says. */
        int code = ut_listen(s, &k->local, backlog + 1, 0, door.now, &k->handle);
        if (code == 0)
            k->kind = SOCK_LISTENING;
        else
            result = door_error(door_errno(code));
        if (code == 0) {
            options_apply(k);
            calls_serve_fast_open(k, backlog);
        }
    } else if (k->kind != SOCK_LISTENING)
        result = door_error(EINVAL);
    door_settle();
    pthread_mutex_unlock(&door.lock);
    return result;
}

static int calls_accept_locked(int fd, struct sockaddr *a, socklen_t *len)
{
    struct sock *k = sock_of(fd);
    ut_handle h;
    ut_endpoint local, remote;
    if (k == NULL)
        return door_error(EBADF);
    if (k->kind != SOCK_LISTENING)
        return door_error(EINVAL);
    for (;;) {
        int code = ut_accept(door.stack, k->handle, door.now, &h, &local, &remote);
        if (code == 0)
            break;
        if (code != -UT_E_WOULD_BLOCK || k->nonblocking || !wait_for_change(TIME_NEVER))
            return door_error(door_errno(code));
    }
    int new_fd = sock_new(SOCK_CONNECTION);
    if (new_fd < 0)
        return -1;
    struct sock *c = &door.socks[new_fd];
    c->family = k->family;
    c->handle = h;
    c->connected = true;
    c->local = local;
    c->remote = remote;
    c->options = k->options;
    options_apply(c);
    endpoint_to(c, &remote, a, len);
    return new_fd;
}

static int calls_accept(void *unused, int fd, struct sockaddr *a, socklen_t *len)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    int result = calls_accept_locked(fd, a, len);
    wait_done();
    door_settle();
    pthread_mutex_unlock(&door.lock);
    return result;
}

static int calls_connect_begin(struct sock *k, const ut_endpoint *to, bool fast_open)
{
    if (k->kind == SOCK_CONNECTION)
        return door_error(k->connected ? EISCONN : EALREADY);
    if (k->kind != SOCK_NEW)
        return door_error(EINVAL);
    ut_stack *s = door_stack();
    options_before_open(k);
    k->remote = *to;
    fast_open = (fast_open || k->options.fast_open_connect) && (door.fast_open & FAST_OPEN_CLIENT);
    unsigned flags = fast_open ? UT_CONNECT_FAST_OPEN : 0;
    int code = ut_connect(s, &k->local, to, flags, door.now, &k->handle);
    if (code < 0)
        return door_error(door_errno(code));
    k->kind = SOCK_CONNECTION;
    k->connected = code > 0; /* the SYN waits for data */
    options_apply(k);
    door_settle();
    return 0;
}

static int calls_connect_to(struct sock *k, const ut_endpoint *to, bool fast_open, bool may_block)
{
    if (calls_connect_begin(k, to, fast_open) != 0)
        return -1;
    if (!may_block && !k->connected)
        return door_error(EINPROGRESS);
    while (!k->connected && !k->has_ended)
        if (!wait_for_change(TIME_NEVER))
            return door_error(ETIMEDOUT);
    return k->connected ? 0 : door_error(sock_take_error(k));
}

int calls_fast_open(struct sock *k, const struct sockaddr *a, socklen_t len, bool may_block)
{
    ut_endpoint to;
    if (!(door.fast_open & FAST_OPEN_CLIENT))
        return door_error(EOPNOTSUPP);
    if (!endpoint_of(a, len, &to))
        return door_error(EINVAL);
    return calls_connect_to(k, &to, true, may_block);
}

static int calls_connect_locked(int fd, const struct sockaddr *a, socklen_t len)
{
    struct sock *k = sock_of(fd);
    ut_endpoint to;
    if (k == NULL)
        return door_error(EBADF);
    if (!endpoint_of(a, len, &to))
        return door_error(EINVAL);
    return calls_connect_to(k, &to, false, !k->nonblocking);
}

static int calls_connect(void *unused, int fd, const struct sockaddr *a, socklen_t len)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    int result = calls_connect_locked(fd, a, len);
    wait_done();
    pthread_mutex_unlock(&door.lock);
    return result;
}

static int calls_shutdown(void *unused, int fd, int how)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    int result = 0;
    if (k == NULL)
        result = door_error(EBADF);
    else if (k->kind != SOCK_CONNECTION || k->has_ended)
        result = door_error(ENOTCONN);
    else {
        if (how == SHUT_RD || how == SHUT_RDWR)
            k->is_shut_for_reading = true;
        if (how == SHUT_WR || how == SHUT_RDWR) {
            k->is_shut_for_writing = true;
            ut_shutdown(door.stack, k->handle, door.now);
        }
        door_settle();
    }
    pthread_mutex_unlock(&door.lock);
    return result;
}

static int calls_close(void *unused, int fd)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    int result = close(fd);
    if (k != NULL) {
        if (k->kind == SOCK_CONNECTION && k->options.linger.l_onoff && k->options.linger.l_linger == 0)
            ut_option_set(door.stack, k->handle, UT_OPT_LINGER, 0, door.now);
        if (k->kind == SOCK_CONNECTION || k->kind == SOCK_LISTENING)
            ut_close(door.stack, k->handle, door.now);
        k->kind = SOCK_FREE;
        door_settle();
    }
    pthread_mutex_unlock(&door.lock);
    return result;
}

void calls_fill(struct door_table *t)
{
    t->socket = calls_socket;
    t->bind = calls_bind;
    t->listen = calls_listen;
    t->accept = calls_accept;
    t->connect = calls_connect;
    t->shutdown = calls_shutdown;
    t->close = calls_close;
}
