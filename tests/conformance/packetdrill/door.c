/* door.c: the engine's life within one script, and its clock. Called by packetdrill and by all
 * other files here with door.lock held.
 */
#include "door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/stack.h"

#define DOOR_EPOCH (1000 * NS_PER_S)
#define DOOR_EVENTS 64
#define DOOR_LINK_BUFFER (8u << 20)

struct door door = {.lock = PTHREAD_MUTEX_INITIALIZER,
                    .wake = PTHREAD_COND_INITIALIZER,
                    .looked = PTHREAD_COND_INITIALIZER};

void door_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "adapter: at %.6f s: ", (double)(door.now - door.begun) / 1e9);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    fflush(stderr);
    _exit(3);
}

int door_error(int error)
{
    errno = error;
    return -1;
}

int door_errno(int code)
{
    switch (code < 0 ? -code : code) {
    case UT_E_WOULD_BLOCK:
        return EAGAIN;
    case UT_E_STALE_HANDLE:
        return EBADF;
    case UT_E_CLOSING:
    case UT_E_END_OF_STREAM:
        return EPIPE;
    case UT_E_NO_MEMORY:
        return ENOBUFS;
    case UT_E_TOO_MANY:
        return EMFILE;
    case UT_E_ADDRESS_IN_USE:
        return EADDRINUSE;
    case UT_E_ADDRESS_NOT_AVAILABLE:
    case UT_E_NO_PORTS:
        return EADDRNOTAVAIL;
    case UT_E_NO_ROUTE:
    case UT_E_NET_UNREACHABLE:
        return ENETUNREACH;
    case UT_E_HOST_UNREACHABLE:
        return EHOSTUNREACH;
    case UT_E_REFUSED:
        return ECONNREFUSED;
    case UT_E_RESET:
        return ECONNRESET;
    case UT_E_TIMED_OUT:
        return ETIMEDOUT;
    case UT_E_ABORTED:
        return ECONNABORTED;
    default:
        return EINVAL;
    }
}

/* ---- flags: "profile=linux,mtu=1520,local=192.168.0.1,strict" ---- */

static void door_take_address(const char *text)
{
    uint8_t ip[16] = {[10] = 0xff, 0xff};
    bool is_v4 = inet_pton(AF_INET, text, ip + 12) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, ip) != 1)
        door_fail("flag local=%s: not an address", text);
    memcpy(door.local[is_v4 ? 0 : 1], ip, sizeof ip);
    door.has_local[is_v4 ? 0 : 1] = true;
}

static void door_take_flag(const char *name, const char *value)
{
    if (strcmp(name, "profile") == 0) {
        bool is_rfc = strcmp(value, "rfc") == 0;
        ut_config_profile(&door.config, is_rfc ? UT_PROFILE_RFC : UT_PROFILE_LINUX);
        if (!is_rfc && strcmp(value, "linux") != 0)
            door_fail("flag profile=%s: there are linux and rfc", value);
    } else if (strcmp(name, "mtu") == 0)
        door.mtu = (uint32_t)atoi(value);
    else if (strcmp(name, "local") == 0)
        door_take_address(value);
    else if (strcmp(name, "strict") == 0)
        door.strict = true;
    else if (strcmp(name, "segments") == 0)
        door.splits = true;
    else if (strcmp(name, "isn") == 0) {
        door.config.fixed_isn = 2;
        door.config.fixed_isn_value = (uint32_t)strtoul(value, NULL, 0);
    } else
        door_fail("unknown flag %s", name);
}

static void door_take_flags(const char *flags)
{
    char text[1024], *state = NULL;
    snprintf(text, sizeof text, "%s", flags != NULL ? flags : "");
    ut_config_default(&door.config);
    for (char *at = strtok_r(text, ",", &state); at != NULL; at = strtok_r(NULL, ",", &state)) {
        char *value = strchr(at, '=');
        if (value != NULL)
            *value++ = '\0';
        door_take_flag(at, value != NULL ? value : "");
    }
}

/* ---- the engine ---- */

static void door_add_address(const uint8_t ip[16], bool is_v4)
{
    int code = ut_address_add(door.stack, ip, is_v4 ? 16 : 48, 0, door.now);
    if (code != 0)
        door_fail("address: %s", ut_error_name(-code));
}

/* Settings of the engine whose defaults are the RFCs' first choice. */
static void door_choose_as_linux(ut_config *c)
{
    c->hystart = 1;
    c->cubic_ssthresh = 1;
    c->window_probe = 1;
    c->nagle = 1;
}

ut_stack *door_stack(void)
{
    if (door.stack != NULL) {
        sysctl_read();
        route_read();
        return door.stack;
    }
    int error;
    ut_link_options link = {.mtu = door.mtu, .buffer = DOOR_LINK_BUFFER, .offload = true};
    if (door.config.profile == UT_PROFILE_LINUX)
        door_choose_as_linux(&door.config);
    door.config.seed[0] = 1;
    door.config.max_connections = 256;
    door.config.max_time_wait = 64;
    door.config.max_half_open = 64;
    door.config.snd_buffer = 4u << 20;
    door.config.rcv_buffer = 8u << 20; /* tcp_rmem's 15 MiB: a window scale of 8 */
    door.link = ut_link_memory(&link, &error);
    if (door.link == NULL)
        door_fail("link: %s", ut_error_name(-error));
    door.stack = ut_stack_new(&door.config, door.link, &error);
    if (door.stack == NULL)
        door_fail("stack: %s", ut_error_name(-error));
    for (int i = 0; i < 2; i++)
        if (door.has_local[i])
            door_add_address(door.local[i], i == 0);
    sysctl_read();
    route_read();
    return door.stack;
}

static void door_take_events(void)
{
    ut_event events[DOOR_EVENTS];
    int count;
    do {
        count = ut_poll(door.stack, door.now, 1 << 20, events, DOOR_EVENTS);
        for (int i = 0; i < count; i++) {
            for (int fd = 0; fd < DOOR_FDS; fd++) {
                struct sock *k = &door.socks[fd];
                if (k->kind == SOCK_FREE || k->handle != events[i].handle)
                    continue;
                k->edges |= events[i].events;
                if (events[i].events & UT_CONNECTED)
                    k->connected = true;
                if ((events[i].events & UT_CLOSED) && !k->has_ended) {
                    k->has_ended = true;
                    k->error = events[i].error;
                }
            }
        }
    } while (count == DOOR_EVENTS);
    if (count < 0)
        door_fail("poll: %s", ut_error_name(-count));
}

/* The engine does not note when data came last; the kernel's TCP_INFO tells it. */
static void door_note_data(void)
{
    ut_info info;
    for (int fd = 0; fd < DOOR_FDS; fd++) {
        struct sock *k = &door.socks[fd];
        if (k->kind != SOCK_CONNECTION || ut_get_info(door.stack, k->handle, &info) != 0)
            continue;
        if (!k->is_established || k->last_data_at == 0 || info.data_segs_in != k->data_segments)
            k->last_data_at = door.now;
        k->is_established = k->connected;
        k->data_segments = info.data_segs_in;
    }
}

void door_settle(void)
{
    if (door.stack == NULL)
        return;
    door_take_events();
    door_note_data();
    packets_collect();
    wait_hand_over();
}

void door_run_until(ns_t until)
{
    for (;;) {
        ns_t next = door.waiters > 0 ? door.wait_until : TIME_NEVER;
        if (door.stack != NULL)
            next = u64_min(next, ut_stack_shared(door.stack)->deadline);
        if (next > until)
            break;
        door.now = u64_max(door.now, next);
        door_settle();
    }
    door.now = u64_max(door.now, until);
}

/* After the last word everything must go away by itself, down to the last byte. */
static void door_end_engine(void)
{
    ut_info info[8];
    uint32_t left = 0;
    for (struct packet *p = door.first; p != NULL; p = p->next)
        left++;
    if (door.strict && left > 0)
        door_fail("%u packets were sent that nobody asked for", left);
    for (int fd = 0; fd < DOOR_FDS; fd++) {
        struct sock *k = &door.socks[fd];
        if (k->kind == SOCK_LISTENING || k->kind == SOCK_CONNECTION)
            ut_abort(door.stack, k->handle, door.now);
        k->kind = SOCK_FREE;
    }
    ut_output_hold(door.stack, 0, door.now);
    door_run_until(door.now + 3600 * NS_PER_S);
    int kept = ut_list(door.stack, info, 8);
    if (kept != 0)
        door_fail("%d connections are left, the first in state %u", kept, info[0].state);
    const struct ut_stack *s = door.stack;
    if (s->conns.in_use != 0 || s->halves.in_use != 0 || s->time_waits.in_use != 0 ||
        s->listeners.in_use != 0 || s->env.trouble.in_use != 0)
        door_fail("records are left");
    door.stack->mtu = door.mtu;
    ut_stack_free(door.stack); /* asserts that no byte is left */
    door.stack = NULL;
}

static void door_free(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&door.lock);
    if (door.stack != NULL)
        door_end_engine();
    packets_drop_all();
    pthread_mutex_unlock(&door.lock);
}

static int door_pipe(void *unused, int fds[2])
{
    (void)unused;
    (void)fds;
    return door_error(ENOSYS);
}

static int door_splice(void *unused, int from, loff_t *from_at, int to, loff_t *to_at, size_t len,
                       unsigned flags)
{
    (void)unused;
    (void)from;
    (void)from_at;
    (void)to;
    (void)to_at;
    (void)len;
    (void)flags;
    return door_error(ENOSYS);
}

void packetdrill_interface_init(const char *flags, struct door_table *table)
{
    pthread_mutex_lock(&door.lock);
    for (int fd = 0; fd < DOOR_FDS; fd++)
        door.socks[fd] = (struct sock){0};
    door.stack = NULL;
    door.waiters = door.yet_to_look = 0;
    door.wait_until = TIME_NEVER;
    door.main = pthread_self();
    door.now = door.begun = DOOR_EPOCH;
    door.mtu = 1500;
    door.route_mss = 0;
    door.holds = false;
    door.strict = door.splits = false;
    door.has_local[0] = door.has_local[1] = false;
    packets_drop_all();
    door_take_flags(flags);
    *table = (struct door_table){
        .userdata = &door,
        .free = door_free,
        .netdev_send = packets_send,
        .netdev_receive = packets_receive,
        .usleep = wait_usleep,
        .gettimeofday = wait_gettimeofday,
        .pipe = door_pipe,
        .splice = door_splice,
    };
    calls_fill(table);
    transfer_fill(table);
    options_fill(table);
    polling_fill(table);
    pthread_mutex_unlock(&door.lock);
}
