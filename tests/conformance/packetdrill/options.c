/* options.c: setsockopt and getsockopt, and what the options mean to the engine. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <string.h>

#include "door.h"
#include "stack/stack.h"

#define SOCK_MIN_MSS 88 /* what the host takes for TCP_MAXSEG, inclusive */

/* Where an integer option is kept; NULL: it is not one of those. */
static int *options_place(struct sock_options *o, int level, int name)
{
    static int ignored; /* nothing depends on it here */
    if (level == SOL_SOCKET)
        switch (name) {
        case SO_SNDBUF:
            return &o->snd_buffer;
        case SO_RCVBUF:
            return &o->rcv_buffer;
        case SO_REUSEADDR:
            return &o->reuse;
        case SO_KEEPALIVE:
            return &o->keepalive;
        case SO_REUSEPORT:
            return &ignored;
        }
    if (level == IPPROTO_TCP)
        switch (name) {
        case TCP_NODELAY:
            return &o->nodelay;
        case TCP_CORK:
            return &o->cork;
        case TCP_MAXSEG:
            return &o->mss;
        case TCP_USER_TIMEOUT:
            return &o->user_timeout_ms;
        case TCP_SYNCNT:
            return &o->syn_count;
        case TCP_KEEPIDLE:
            return &o->keep_idle_s;
        case TCP_KEEPINTVL:
            return &o->keep_interval_s;
        case TCP_KEEPCNT:
            return &o->keep_count;
        case TCP_DEFER_ACCEPT:
            return &o->defer_accept;
        case TCP_NOTSENT_LOWAT:
            return &o->notsent_lowat;
        case TCP_FASTOPEN:
            return &o->fast_open;
        case TCP_FASTOPEN_CONNECT:
            return &o->fast_open_connect;
        }
    if ((level == IPPROTO_IP && name == IP_TOS) || (level == IPPROTO_IPV6 && name == IPV6_TCLASS))
        return &o->tos;
    if (level == IPPROTO_IP && name == IP_MTU_DISCOVER)
        return &ignored;
    if ((level == IPPROTO_IP && name == IP_TTL) ||
        (level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS))
        return &o->ttl;
    return NULL;
}

/* As net.ipv4.tcp_fastopen_key, but in bytes; of two the second is the former. */
static int options_set_key(const uint8_t *value, socklen_t len)
{
    if (len != 16 && len != 32)
        return door_error(EINVAL);
    if (len == 32)
        ut_fast_open_key_set(door.stack, value + 16, door.now);
    ut_fast_open_key_set(door.stack, value, door.now);
    return 0;
}

static void options_tell(const struct sock *k, int option, int64_t value)
{
    int code = ut_option_set(door.stack, k->handle, option, value, door.now);
    if (code != 0)
        door_fail("option %d = %lld: %s", option, (long long)value, ut_error_name(-code));
}

void options_apply(struct sock *k)
{
    const struct sock_options *o = &k->options;
    if (k->kind != SOCK_CONNECTION || k->has_ended)
        return;
    options_tell(k, UT_OPT_NODELAY, o->nodelay != 0);
    options_tell(k, UT_OPT_CORK, o->cork != 0);
    if (o->snd_buffer > 0)
        options_tell(k, UT_OPT_SND_LIMIT, 2 * (int64_t)o->snd_buffer);
    if (o->rcv_buffer > 0)
        options_tell(k, UT_OPT_RCV_LIMIT, o->rcv_buffer);
    if (o->user_timeout_ms > 0)
        options_tell(k, UT_OPT_USER_TIMEOUT, o->user_timeout_ms * (int64_t)NS_PER_MS);
    if (o->tos >= 0)
        options_tell(k, UT_OPT_DSCP, o->tos >> 2);
    if (o->ttl > 0)
        options_tell(k, UT_OPT_TTL, o->ttl);
}

void options_before_open(const struct sock *k)
{
    struct ut_stack *s = door.stack;
    const struct sock_options *o = &k->options;
    uint32_t headers = k->family == AF_INET ? 40 : 60;
    /* TCP_MAXSEG bounds what is announced and what is sent: to the engine a smaller MTU. */
    s->mtu = o->mss > 0 ? u32_min(door.mtu, (uint32_t)o->mss + headers) : door.mtu;
    if (o->syn_count > 0)
        s->env.params.connect_timeout = s->env.params.rto_initial * ((UINT64_C(2) << o->syn_count) - 1);
}

static int options_set_locked(struct sock *k, int level, int name, const void *value, socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_LINGER) {
        if (len < sizeof k->options.linger)
            return door_error(EINVAL);
        memcpy(&k->options.linger, value, sizeof k->options.linger);
        return 0;
    }
    if (level == IPPROTO_TCP && name == TCP_FASTOPEN_KEY)
        return options_set_key(value, len);
    int *place = options_place(&k->options, level, name), number;
    if (place == NULL)
        return door_error(ENOPROTOOPT);
    if (len < 1)
        return door_error(EINVAL);
    if (level == IPPROTO_IP && len < sizeof number) /* the host takes a byte there */
        number = *(const uint8_t *)value;
    else if (len < sizeof number)
        return door_error(EINVAL);
    else
        memcpy(&number, value, sizeof number);
    if (place == &k->options.mss && (number < SOCK_MIN_MSS || number > 32767))
        return door_error(EINVAL);
    *place = number;
    /* The host pushes what Nagle or the cork held when either is loosened. */
    if (place == &k->options.nodelay && number && k->kind == SOCK_CONNECTION && !k->has_ended) {
        options_tell(k, UT_OPT_NODELAY, 1);
        options_tell(k, UT_OPT_CORK, 0);
        door_settle();
    }
    if (k->kind != SOCK_CONNECTION)
        options_before_open(k);
    options_apply(k);
    door_settle();
    return 0;
}

static int options_set(void *unused, int fd, int level, int name, const void *value, socklen_t len)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    int result;
    if (k == NULL)
        result = door_error(EBADF);
    else if (value == NULL)
        result = door_error(EFAULT);
    else
        result = options_set_locked(k, level, name, value, len);
    pthread_mutex_unlock(&door.lock);
    return result;
}

static int options_mss(const struct sock *k)
{
    ut_info info;
    if (k->kind == SOCK_CONNECTION && ut_get_info(door.stack, k->handle, &info) == 0)
        return (int)info.snd_mss - (info.timestamps_ok ? 12 : 0);
    return k->options.mss > 0 ? k->options.mss : 536;
}

static int options_number(struct sock *k, int level, int name, int *out)
{
    int *place = options_place(&k->options, level, name);
    if (level == SOL_SOCKET && name == SO_ERROR)
        *out = sock_take_error(k);
    else if (level == SOL_SOCKET && name == SO_TYPE)
        *out = SOCK_STREAM;
    else if (place == &k->options.mss && place != NULL)
        *out = options_mss(k);
    else if (place == &k->options.snd_buffer || place == &k->options.rcv_buffer)
        *out = place != NULL ? *place * 2 : 0;
    else if (place != NULL)
        *out = *place < 0 ? 0 : *place;
    else
        return ENOPROTOOPT;
    return 0;
}

static int options_get_locked(struct sock *k, int level, int name, void *value, socklen_t *len)
{
    if (level == IPPROTO_TCP && name == TCP_INFO)
        return info_get(k, value, len);
    if (level == SOL_SOCKET && name == SO_LINGER) {
        *len = (socklen_t)u32_min(*len, sizeof k->options.linger);
        memcpy(value, &k->options.linger, *len);
        return 0;
    }
    int number, error = options_number(k, level, name, &number);
    if (error != 0)
        return door_error(error);
    *len = (socklen_t)u32_min(*len, sizeof number);
    memcpy(value, &number, *len);
    return 0;
}

static int options_get(void *unused, int fd, int level, int name, void *value, socklen_t *len)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    int result;
    if (k == NULL)
        result = door_error(EBADF);
    else if (value == NULL || len == NULL)
        result = door_error(EFAULT);
    else
        result = options_get_locked(k, level, name, value, len);
    pthread_mutex_unlock(&door.lock);
    return result;
}

void options_fill(struct door_table *t)
{
    t->setsockopt = options_set;
    t->getsockopt = options_get;
}
