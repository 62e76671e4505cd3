/* transfer.c: the calls that read and write, all of them by way of take() and give(). */
#include <errno.h>
#include <netinet/in.h>

#include "door.h"
#include "wire/tcp_opt.h"

#define PIECES 64

/* What a connection that is over answers a writer: its error once, then that the pipe is broken. */
static ssize_t give_after_end(struct sock *k)
{
    int error = sock_take_error(k);
    return door_error(error != 0 ? error : EPIPE);
}

static uint64_t transfer_segments(const struct sock *k)
{
    ut_info info;
    return ut_get_info(door.stack, k->handle, &info) == 0 ? info.segs_in : 0;
}

static void transfer_note_more(struct sock *k, bool is_held)
{
    k->more_held = is_held;
    k->segs_in = is_held ? transfer_segments(k) : 0;
}

void transfer_release(void)
{
    for (int fd = 0; fd < DOOR_FDS; fd++) {
        struct sock *k = &door.socks[fd];
        if (!k->more_held || k->kind != SOCK_CONNECTION || transfer_segments(k) == k->segs_in)
            continue;
        k->more_held = false;
        ut_option_set(door.stack, k->handle, UT_OPT_CORK, k->options.cork != 0, door.now);
        door_settle();
    }
}

static ssize_t give(struct sock *k, const uint8_t *data, size_t len, int flags)
{
    bool may_block = !k->nonblocking && !(flags & MSG_DONTWAIT);
    size_t done = 0;
    if (k->kind != SOCK_CONNECTION)
        return door_error(k->kind == SOCK_LISTENING ? ENOTCONN : EPIPE);
    int cork = flags & MSG_MORE ? 2 : k->options.cork != 0;
    transfer_note_more(k, cork == 2);
    ut_option_set(door.stack, k->handle, UT_OPT_CORK, cork, door.now);
    while (done < len) {
        if (k->has_ended || k->is_shut_for_writing)
            return done > 0 ? (ssize_t)done : give_after_end(k);
        int64_t n = -UT_E_WOULD_BLOCK;
        if (k->connected)
            n = ut_send(door.stack, k->handle, data + done, len - done, door.now);
        if (n > 0)
            done += (size_t)n;
        door_settle();
        if (n > 0 || done == len)
            continue;
        if (n != -UT_E_WOULD_BLOCK && n < 0) {
            k->has_ended = true;
            return done > 0 ? (ssize_t)done : door_error(door_errno((int)n));
        }
        if (!may_block || !wait_for_change(TIME_NEVER))
            return done > 0 ? (ssize_t)done : door_error(EAGAIN);
    }
    return (ssize_t)done;
}

static ssize_t take_end(struct sock *k, int64_t code)
{
    if (code == -UT_E_END_OF_STREAM)
        return 0;
    if (!k->has_ended)
        k->error = (int)-code;
    k->has_ended = true;
    int error = sock_take_error(k);
    return error != 0 ? door_error(error) : 0;
}

static ssize_t take(struct sock *k, uint8_t *to, size_t len, int flags)
{
    bool may_block = !k->nonblocking && !(flags & MSG_DONTWAIT);
    ut_span lent;
    if (k->kind != SOCK_CONNECTION)
        return door_error(ENOTCONN);
    if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL | MSG_TRUNC))
        return door_error(EOPNOTSUPP);
    if (len == 0)
        return 0;
    for (;;) {
        int64_t n = ut_recv(door.stack, k->handle, to, len, len, &lent, door.now);
        if (n > 0) {
            door_settle();
            return (ssize_t)n;
        }
        if (n != -UT_E_WOULD_BLOCK)
            return take_end(k, n);
        if (k->is_shut_for_reading)
            return 0;
        if (!may_block || !wait_for_change(TIME_NEVER))
            return door_error(EAGAIN);
    }
}

struct peer {
    const struct sockaddr *address;
    socklen_t len;
};

/* `to`: of MSG_FASTOPEN. */
static bool transfer_is_opening(const struct sock *k)
{
    ut_info info;
    return !k->has_ended && ut_get_info(door.stack, k->handle, &info) == 0 &&
           info.state == UT_STATE_SYN_SENT;
}

/* RFC 7413 A.1: without waiting, what the SYN takes; of nothing it leaves with the cookie alone. */
static ssize_t transfer_fast_open(struct sock *k, struct peer to, bool may_block, size_t *most)
{
    ut_info info;
    ut_span lent;
    uint8_t none;
    if (calls_fast_open(k, to.address, to.len, may_block) != 0)
        return -1;
    if (may_block || !transfer_is_opening(k))
        return 0;
    if (*most == 0) {
        ut_recv(door.stack, k->handle, &none, 1, 1, &lent, door.now);
        door_settle();
        return door_error(EINPROGRESS);
    }
    ut_get_info(door.stack, k->handle, &info);
    *most = u64_min(*most, info.snd_mss - TCP_OPT_MAX_LEN);
    return 0;
}

/* And with waiting, when the handshake is over. */
static ssize_t transfer_wait_open(struct sock *k, ssize_t sum)
{
    while (transfer_is_opening(k))
        if (!wait_for_change(TIME_NEVER))
            break;
    int error = k->has_ended ? sock_take_error(k) : 0;
    return error != 0 ? door_error(error) : sum;
}

static ssize_t transfer_with(int fd, const struct iovec *pieces, int count, int flags, bool out,
                             struct peer to)
{
    ssize_t sum = 0;
    size_t most = 0;
    bool is_fast_open = (flags & MSG_FASTOPEN) != 0;
    for (int i = 0; i < count; i++)
        most += pieces[i].iov_len;
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    if (k == NULL || k->kind == SOCK_EPOLL)
        sum = door_error(EBADF);
    else if (count < 0 || count > PIECES)
        sum = door_error(EINVAL);
    bool may_block = k != NULL && !k->nonblocking && !(flags & MSG_DONTWAIT);
    if (sum == 0 && is_fast_open)
        sum = transfer_fast_open(k, to, may_block, &most);
    flags &= ~MSG_FASTOPEN;
    for (int i = 0; sum >= 0 && i < count; i++) {
        const struct iovec *p = &pieces[i];
        size_t left = out ? u64_min(p->iov_len, most - (size_t)sum) : p->iov_len;
        int more = i + 1 < count && left == p->iov_len ? MSG_MORE : 0;
        ssize_t n = out ? give(k, p->iov_base, left, flags | more)
                        : take(k, p->iov_base, p->iov_len, flags | (sum > 0 ? MSG_DONTWAIT : 0));
        if (n < 0) {
            sum = sum > 0 ? sum : n;
            break;
        }
        sum += n;
        if ((size_t)n < p->iov_len)
            break;
    }
    if (sum >= 0 && is_fast_open && may_block)
        sum = transfer_wait_open(k, sum);
    int error = errno;
    wait_done();
    pthread_mutex_unlock(&door.lock);
    errno = error;
    return sum;
}

static ssize_t transfer(int fd, const struct iovec *pieces, int count, int flags, bool out)
{
    return transfer_with(fd, pieces, count, flags, out, (struct peer){0});
}

static ssize_t transfer_recv(void *unused, int fd, void *to, size_t len, int flags)
{
    (void)unused;
    struct iovec piece = {to, len};
    return transfer(fd, &piece, 1, flags, false);
}

static ssize_t transfer_read(void *d, int fd, void *to, size_t len)
{
    return transfer_recv(d, fd, to, len, 0);
}

static ssize_t transfer_readv(void *unused, int fd, const struct iovec *pieces, int count)
{
    (void)unused;
    return transfer(fd, pieces, count, 0, false);
}

static ssize_t transfer_recvfrom(void *d, int fd, void *to, size_t len, int flags,
                                 struct sockaddr *from, socklen_t *from_len)
{
    (void)from;
    if (from_len != NULL)
        *from_len = 0; /* a stream has no sender to name */
    return transfer_recv(d, fd, to, len, flags);
}

static ssize_t transfer_recvmsg(void *unused, int fd, struct msghdr *m, int flags)
{
    (void)unused;
    ssize_t n = transfer(fd, m->msg_iov, (int)m->msg_iovlen, flags, false);
    m->msg_controllen = 0;
    m->msg_namelen = 0;
    m->msg_flags = 0;
    return n;
}

static ssize_t transfer_send(void *unused, int fd, const void *data, size_t len, int flags)
{
    (void)unused;
    struct iovec piece = {(void *)(uintptr_t)data, len};
    return transfer(fd, &piece, 1, flags, true);
}

static ssize_t transfer_write(void *d, int fd, const void *data, size_t len)
{
    return transfer_send(d, fd, data, len, 0);
}

static ssize_t transfer_writev(void *unused, int fd, const struct iovec *pieces, int count)
{
    (void)unused;
    return transfer(fd, pieces, count, 0, true);
}

static ssize_t transfer_sendto(void *d, int fd, const void *data, size_t len, int flags,
                               const struct sockaddr *to, socklen_t to_len)
{
    (void)d;
    struct iovec piece = {(void *)(uintptr_t)data, len};
    return transfer_with(fd, &piece, 1, flags, true, (struct peer){to, to_len});
}

static ssize_t transfer_sendmsg(void *unused, int fd, const struct msghdr *m, int flags)
{
    (void)unused;
    return transfer_with(fd, m->msg_iov, (int)m->msg_iovlen, flags, true,
                         (struct peer){m->msg_name, m->msg_namelen});
}

void transfer_fill(struct door_table *t)
{
    t->read = transfer_read;
    t->readv = transfer_readv;
    t->recv = transfer_recv;
    t->recvfrom = transfer_recvfrom;
    t->recvmsg = transfer_recvmsg;
    t->write = transfer_write;
    t->writev = transfer_writev;
    t->send = transfer_send;
    t->sendto = transfer_sendto;
    t->sendmsg = transfer_sendmsg;
}
