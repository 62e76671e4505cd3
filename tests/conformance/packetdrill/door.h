/* door.h: our engine behind the table of functions that packetdrill calls in a loaded object.
 *
 *     packetdrill -> door_table -> sock (a descriptor) -> ut_* -> engine -> memory link -> packets
 *
 *   1. one engine, one link, one virtual clock per script; nothing outlives door_free
 *   2. the clock moves in netdev_receive, usleep and (by 1 us) gettimeofday only, and stops at every
 *      deadline of the engine on its way
 *   3. before the clock moves, every blocked call has looked whether it can go on (calls_wait.c)
 *   4. every packet of the engine is checked when it is taken from the link (packets.c)
 *
 * The order and types of the table are facts of the interface; see README.md for the rest.
 */
#ifndef DOOR_H
#define DOOR_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "base/base.h"
#include "base/errors.h"
#include "base/time.h"
#include "include/usertcp_info.h"

struct door_table {
    void *userdata;
    void (*free)(void *);
    int (*socket)(void *, int domain, int type, int protocol);
    int (*bind)(void *, int fd, const struct sockaddr *, socklen_t);
    int (*listen)(void *, int fd, int backlog);
    int (*accept)(void *, int fd, struct sockaddr *, socklen_t *);
    int (*connect)(void *, int fd, const struct sockaddr *, socklen_t);
    ssize_t (*read)(void *, int fd, void *, size_t);
    ssize_t (*readv)(void *, int fd, const struct iovec *, int);
    ssize_t (*recv)(void *, int fd, void *, size_t, int flags);
    ssize_t (*recvfrom)(void *, int fd, void *, size_t, int flags, struct sockaddr *, socklen_t *);
    ssize_t (*recvmsg)(void *, int fd, struct msghdr *, int flags);
    ssize_t (*write)(void *, int fd, const void *, size_t);
    ssize_t (*writev)(void *, int fd, const struct iovec *, int);
    ssize_t (*send)(void *, int fd, const void *, size_t, int flags);
    ssize_t (*sendto)(void *, int fd, const void *, size_t, int flags, const struct sockaddr *,
                      socklen_t);
    ssize_t (*sendmsg)(void *, int fd, const struct msghdr *, int flags);
    int (*fcntl)(void *, int fd, int command, ...);
    int (*ioctl)(void *, int fd, unsigned long request, ...);
    int (*close)(void *, int fd);
    int (*shutdown)(void *, int fd, int how);
    int (*getsockopt)(void *, int fd, int level, int name, void *, socklen_t *);
    int (*setsockopt)(void *, int fd, int level, int name, const void *, socklen_t);
    int (*poll)(void *, struct pollfd *, nfds_t, int timeout_ms);
    int (*netdev_send)(void *, const void *packet, size_t);
    int (*netdev_receive)(void *, void *packet, size_t *, long long *at_us);
    int (*usleep)(void *, useconds_t);
    int (*gettimeofday)(void *, struct timeval *, struct timezone *);
    int (*epoll_create)(void *, int size);
    int (*epoll_ctl)(void *, int epoll, int op, int fd, struct epoll_event *);
    int (*epoll_wait)(void *, int epoll, struct epoll_event *, int max, int timeout_ms);
    int (*pipe)(void *, int[2]);
    int (*splice)(void *, int from, loff_t *, int to, loff_t *, size_t, unsigned flags);
};

#define DOOR_FDS 1024
#define DOOR_WATCHED 16
#define DOOR_PACKET_MAX 65536

/* Bits of the sysctl tcp_fastopen. */
enum { FAST_OPEN_CLIENT = 1, FAST_OPEN_SERVER = 2, FAST_OPEN_ALL_LISTENERS = 0x400 };

enum sock_kind { SOCK_FREE, SOCK_NEW, SOCK_LISTENING, SOCK_CONNECTION, SOCK_EPOLL };

/* What was set on a descriptor, in the host's units; a listener's go to what it accepts. */
struct sock_options {
    int nodelay, cork, mss, snd_buffer, rcv_buffer, user_timeout_ms, syn_count, tos, ttl, reuse;
    int keepalive, keep_idle_s, keep_interval_s, keep_count, defer_accept, notsent_lowat;
    int fast_open, fast_open_connect;
    struct linger linger;
};

struct watch {
    int fd;
    uint32_t wanted, told; /* EPOLL*; `told`: what an edge was reported for */
    epoll_data_t data;
};

struct sock {
    enum sock_kind kind;
    int family;
    bool is_established; /* last_data_at counts */
    bool more_held; /* by MSG_MORE: until the next write, or a segment of the peer's */
    uint64_t segs_in; /* when that began */
    bool nonblocking, connected, is_shut_for_reading, is_shut_for_writing;
    int error; /* of the engine (errors.def), not yet told; 0 = none */
    bool has_ended;
    uint32_t edges; /* UT_READABLE ... since epoll last looked */
    ut_handle handle;
    uint64_t data_segments; /* received until last_data_at */
    ns_t last_data_at;
    ut_endpoint local, remote;
    struct sock_options options;
    struct watch watched[DOOR_WATCHED]; /* SOCK_EPOLL */
};

struct packet {
    struct packet *next;
    ns_t at;
    uint32_t len;
    uint8_t bytes[];
};


struct door {
    pthread_mutex_t lock;
    pthread_cond_t wake, looked;
    pthread_t main;
    uint32_t waiters, yet_to_look;
    uint64_t generation;
    ns_t wait_until; /* when the blocked call gives up */

    ns_t now, begun;
    ut_stack *stack;
    ut_link *link;
    ut_config config; /* as the flags say */
    uint32_t mtu;
    uint32_t route_mss; /* the route's MTU without headers; 0 = the link's */
    bool holds;         /* the device's queue takes nothing */
    bool strict;     /* packets that nobody asked for are an error */
    uint32_t fast_open; /* sysctl tcp_fastopen, FAST_OPEN_... */
    bool splits;     /* super-segments are segmented below the engine, as by a host with "gso off" */
    uint8_t local[2][16]; /* our address of IPv4 and IPv6 */
    bool has_local[2];
    struct packet *first, **last;
    uint32_t packets_out, packets_in;
    struct sock socks[DOOR_FDS];
};

extern struct door door;

/* ---- door.c */
#define DOOR_EXPORT __attribute__((visibility("default")))
DOOR_EXPORT void packetdrill_interface_init(const char *flags, struct door_table *table);
/* Prints what is wrong and ends the process: a check of the adapter's own has failed. */
void door_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The engine, made at the first socket: by then the script's first command has run. */
ut_stack *door_stack(void);
/* Sets errno and returns -1. */
int door_error(int error);
/* errno of a code of errors.def. */
int door_errno(int code);
/* After every call into the engine: events taken, packets collected, blocked calls woken. */
void door_settle(void);
/* Runs the engine's timers up to `until`, one after the other. */
void door_run_until(ns_t until);

/* ---- packets.c */
void packets_collect(void);
void packets_drop_all(void);
int packets_send(void *, const void *packet, size_t len);
int packets_receive(void *, void *packet, size_t *len, long long *at_us);

/* ---- wait.c */
/* A call that blocks: sleeps until something has happened; false: `until` has come, or nothing ever
 * will (the thread that moves the clock, no timer left). The lock is held before and after. */
bool wait_for_change(ns_t until);
/* At the end of each call that may have blocked. */
void wait_done(void);
/* Lets every blocked call look again, and waits until each has. */
void wait_hand_over(void);
int wait_gettimeofday(void *, struct timeval *, struct timezone *);
int wait_usleep(void *, useconds_t);

/* ---- calls.c, transfer.c, options.c, polling.c: the table's functions */
struct sock *sock_of(int fd);
int sock_new(enum sock_kind kind);
bool sock_is_readable(const struct sock *);
bool sock_is_writable(const struct sock *);
/* EPOLL* that hold now. */
uint32_t sock_ready(const struct sock *);
/* errno of what ended the connection, once; 0 = nothing or told before. */
int sock_take_error(struct sock *);
/* MSG_FASTOPEN: connects `k`; 0 when data may be given, else -1 and errno. */
int calls_fast_open(struct sock *k, const struct sockaddr *, socklen_t, bool may_block);
void calls_fill(struct door_table *);
void transfer_fill(struct door_table *);
void options_fill(struct door_table *);
void polling_fill(struct door_table *);
/* What can be set on an open connection only. */
void options_apply(struct sock *);
/* What the engine must know before the SYN or SYN,ACK. */
void options_before_open(const struct sock *);
/* TCP_INFO in the kernel's layout. */
int info_get(const struct sock *, void *, socklen_t *);

/* A segment came in: MSG_MORE holds nothing any longer on the connection it was for, as the host
 * keeps the flag for one call and not for the socket. */
void transfer_release(void);

/* ---- sysctl.c */
void sysctl_read(void);

/* ---- route.c */
void route_read(void);
/* A packet comes in: what the script said of the route to whoever sent it. */
void route_note(const uint8_t *packet, uint32_t len);

#endif
