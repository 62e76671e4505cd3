/* usertcp.h: what Python (or any other host) sees of the engine: stacks and connections.
 *
 * An opaque stack, integer handles, plain structs. The part between the markers is what cffi reads;
 * it is the only declaration of these names. Links: usertcp_link.h; looking: usertcp_info.h.
 *
 * Conventions. Times are ns on the caller's monotonic clock, sizes bytes. Calls return 0 or a
 * count, or a negated code of base/errors.def. Every call takes the stack's mutex and may be made
 * from any thread; after it returns nothing is left to do until the next call or
 * `ut_shared.deadline`: what had to be sent has been handed to the link. C never calls back: what
 * happened is told by events.
 */
#ifndef USERTCP_H
#define USERTCP_H

#include "include/usertcp_link.h"

/* CDEF BEGIN */

typedef struct ut_stack ut_stack;

/* A connection or listener: slot and generation. 0 is never one. A stale handle is an error
 * (STALE_HANDLE), never a crash. */
typedef uint64_t ut_handle;

/* IPv6, or IPv4 as ::ffff:a.b.c.d. All zero = any. */
typedef struct {
    uint8_t ip[16];
    uint16_t port; /* host order; 0 = any */
    uint16_t reserved;
    uint32_t scope; /* reserved for IPv6 zone indices: 0 */
} ut_endpoint;

/* Where the RFCs leave a choice, or practice has left them behind. */
enum { UT_PROFILE_LINUX = 0, UT_PROFILE_RFC = 1 };

/* What a stack is made with. ut_config_default fills it; every field may then be changed. */
typedef struct {
    uint32_t profile;      /* UT_PROFILE_...: which defaults these are; ut_config_profile sets it */
    uint64_t seed[2];      /* all randomness of the stack comes from these */
    uint64_t memory_limit; /* bytes; 0 = none */
    uint32_t max_connections;
    uint32_t max_time_wait;
    uint32_t max_half_open;      /* of all listeners together */
    uint32_t rcv_buffer;         /* bytes of one receive ring: a power of two */
    uint32_t snd_buffer;         /* bytes of one send ring: a power of two */
    uint32_t mtu;                /* 0 = the link's */
    uint64_t msl_ns;             /* RFC 9293 3.4.2; TIME-WAIT lasts twice this */
    uint64_t rto_initial_ns;     /* RFC 6298 2.1 */
    uint64_t rto_min_ns;         /* RFC 6298 2.4 */
    uint64_t rto_max_ns;         /* RFC 6298 2.5 */
    uint64_t delack_ns;          /* RFC 9293 3.8.6.3: below 500 ms */
    uint32_t quick_acks;         /* so many first data segments of a connection are acked at once */
    uint64_t user_timeout_ns;    /* R2 of RFC 9293 3.8.3 for data */
    uint64_t connect_timeout_ns; /* R2 for SYN */
    uint64_t orphan_timeout_ns;  /* FIN-WAIT-2 and unread closing states without a user */
    uint32_t synack_retries;
    uint32_t syn_cookies;    /* 0 never, 1 when the half-open queue is full, 2 always */
    uint32_t use_timestamps; /* RFC 7323 */
    uint32_t use_window_scale;
    uint32_t use_sack;              /* RFC 2018 */
    uint32_t use_rack;              /* RFC 8985 where SACK is agreed; 0: RFC 6675 */
    uint32_t path_mtu_discovery;    /* RFC 1191: DF on IPv4 packets; 0: they may be fragmented */
    uint32_t mtu_probing;           /* RFC 4821: 0 never, 1 when a black hole is found, 2 always */
    uint32_t ecn;                   /* RFC 3168: 0 off, 1 ask and accept, 2 accept when asked;
                                       RFC 9768: 3 ask and accept, 4 accept and ask for RFC 3168,
                                       5 accept when asked */
    uint32_t nodelay;               /* 1 = Nagle off for new connections */
    uint32_t port_first, port_last; /* ephemeral ports, RFC 6056 */
    uint32_t challenge_ack_limit;   /* per connection and second, RFC 5961 7 */
    uint32_t fixed_isn;             /* test hook: 1 = the first ISN is fixed_isn_value, 2 = all */
    uint32_t fixed_isn_value;
    uint32_t fixed_ts_offset; /* test hook: 1 = timestamps are ms of `now` and the value's sum */
    uint32_t fixed_ts_offset_value;
    uint32_t congestion;     /* of new connections: ut_congestion_name(this) */
    uint32_t hystart;        /* of CUBIC: 0 HyStart++ (RFC 9406), 1 HyStart, 2 neither */
    uint32_t cubic_ssthresh; /* RFC 9438 4.6: 0 of what is in flight, 1 of cwnd */
    uint32_t window_probe;   /* RFC 9293 3.8.6.1: 0 an octet, 1 no data and an old number */
    uint32_t nagle;          /* 0 as RFC 9293 3.7.4, 1 as modified by Minshall (A.3) */
    uint32_t mss_max;        /* announced to peers, RFC 9293 3.7.1; 0: what the link takes */
    uint32_t mtu_base;       /* RFC 8899 5.1.2: a segment size that passes; 0: 1024, or 1220 */
    uint32_t trace_capacity; /* state transitions remembered (ut_trace_read); 0 = off */
} ut_config;

/* Read by Python straight from memory between calls. */
typedef struct {
    uint64_t deadline;        /* call ut_poll no later than this; UINT64_MAX = never */
    uint64_t events_pending;  /* handles with events not yet read by ut_poll */
    uint64_t moved;           /* bytes the link had received and sent when the last turn ended */
    uint64_t reports_pending; /* of ut_cc_reports */
    uint64_t notes_pending;   /* of ut_notes_read */
} ut_shared;

enum {
    UT_READABLE = 1,    /* ut_recv would return bytes, END_OF_STREAM or an error */
    UT_WRITABLE = 2,    /* ut_send would take bytes again */
    UT_CONNECTED = 4,   /* ut_connect has succeeded */
    UT_CLOSED = 8,      /* no more will happen; `error` tells why (0: orderly) */
    UT_ACCEPTABLE = 16, /* ut_accept would return a connection */
    UT_URGENT = 32,     /* RFC 9293 3.8.5: new or advanced urgent pointer */
    UT_ALL_SENT = 64    /* everything accepted by ut_send has been acknowledged, FIN included */
};

typedef struct {
    ut_handle handle;
    uint32_t events; /* UT_READABLE ... */
    int32_t error;   /* with UT_CLOSED: a code of errors.def, positive, or 0 */
} ut_event;

/* Received bytes, lent: see ut_recv. Without any `data` is NULL, `len` 0, the rest undefined. */
typedef struct {
    uint8_t *data;
    uint64_t len;
    uint64_t address; /* `data` as a number */
    uint32_t posted;  /* the buffer of ut_post that has this and no more; 0: none */
    uint32_t want;    /* the size that buffers should have now; 0: none are needed */
} ut_span;

/* Options of a connection, for ut_option_set and ut_option_get. Values are integers. */
enum {
    UT_OPT_NODELAY = 1,
    UT_OPT_RCV_LIMIT = 2,    /* receive window at most this many bytes */
    UT_OPT_SND_LIMIT = 3,    /* bytes ut_send holds at most */
    UT_OPT_USER_TIMEOUT = 4, /* ns */
    UT_OPT_LINGER = 5,       /* -1: default; 0: ut_close resets */
    UT_OPT_TTL = 6,
    UT_OPT_DSCP = 7,
    UT_OPT_SND_LOWAT = 8, /* UT_WRITABLE when at least this much is free */
    UT_OPT_KEEPALIVE =
        9, /* 1: ask a silent peer whether it is still there; 0, the default: do not */
    UT_OPT_KEEPALIVE_IDLE = 10,     /* ms of silence before the first probe; 1 to 2^31 */
    UT_OPT_KEEPALIVE_INTERVAL = 11, /* ms between probes; 1 to 2^31 */
    UT_OPT_KEEPALIVE_COUNT = 12,    /* unanswered probes that end the connection; 1 to 255 */
    UT_OPT_RTO_MIN = 13,            /* ns: the RTO's floor, RFC 6298 2.4 */
    UT_OPT_NOTSENT_LOWAT = 14,      /* bytes ut_send leaves unsent, about, at most; 0: no bound */
    UT_OPT_CONGESTION = 15,   /* an index of ut_congestion_name; of a listener: of what it accepts;
                                 the number of names: ut_cc_attach was called */
    UT_OPT_MTU_DISCOVER = 16, /* 0 not, 1 want, 2 do, 3 probe: as IP_MTU_DISCOVER of Linux */
    UT_OPT_CORK = 17,         /* 1: only full segments leave, until it is 0 again, or FIN; 2: and
                                 what was sent meanwhile asks for no PSH */
    UT_OPT_ECN =
        18, /* 1: where ECN was agreed new data says so; of a listener: it agrees; 0: not */
    UT_OPT_FAST_OPEN =
        19, /* of a listener: so many connections of RFC 7413 in SYN-RECEIVED; 0: off */
    UT_OPT_FLOW_LABEL = 20 /* of its IPv6 packets, RFC 6437: 0 to 0xfffff, 0 for none */
};

enum { UT_POSTED_MAX = 31 }; /* buffers of ut_post */
enum { UT_LISTEN_SHARE = 1 };
enum { UT_CONNECT_ECN = 1, UT_CONNECT_NO_ECN = 2, UT_CONNECT_FAST_OPEN = 16 };

/* ---- stack ---------------------------------------------------------------------------------- */

void ut_config_default(ut_config *c);
/* Sets the fields in which the profiles differ; the others stay. 0 or -INVALID. */
int ut_config_profile(ut_config *c, uint32_t profile);
/* Takes the link, also when it fails. NULL with -code in *error. */
ut_stack *ut_stack_new(const ut_config *c, ut_link *link, int *error);
/* Frees everything at once, without a word to any peer (ut_abort or ut_close first). */
void ut_stack_free(ut_stack *s);
ut_shared *ut_stack_shared(ut_stack *s);
ut_link *ut_stack_link(ut_stack *s);
/* On Ethernet: announces the address (gratuitous ARP) or checks it first (IPv6 DAD, RFC 4862 5.4;
 * `check_duplicates` 0 skips that). */
int ut_address_add(ut_stack *s, const uint8_t ip[16], int prefix_len, int check_duplicates,
                   uint64_t now);
/* 0 usable, 1 still being checked, -ADDRESS_IN_USE another station has it, -ADDRESS_NOT_AVAILABLE.
 */
int ut_address_state(ut_stack *s, const uint8_t ip[16]);
int ut_gateway_set(ut_stack *s, const uint8_t ip[16]);

/* One turn: receives up to `budget` frames, runs due timers, sends, then writes up to `max_events`
 * events, one per handle. Returns their number, or -LINK_DOWN. When the budget ended the turn,
 * ut_shared.deadline is `now`. */
int ut_poll(ut_stack *s, uint64_t now, int budget, ut_event *events, int max_events);

/* For a host that has nothing to do: turns without sleep between them, for `most_ns` of
 * CLOCK_MONOTONIC (which every `now` must be), until an event, a report or a note waits for the
 * host. Returns how many frames came; -1, at once, when the host has made a call on the stack since
 * the last ut_busy_poll, or is waited for: it may have more to do. */
int ut_busy_poll(ut_stack *s, uint64_t most_ns);

/* Starts the thread that services link and timers whenever ut_poll is not called in time: TCP goes
 * on while the host is busy. From then on every `now` must be CLOCK_MONOTONIC in ns. 0 or -SYSTEM
 * with errno in *system_error. ut_stack_free ends it. */
int ut_pump_start(ut_stack *s, int *system_error);
/* A descriptor that is readable when the pump has left events for ut_poll; -1 without a pump. */
int ut_pump_fd(ut_stack *s);

/* ---- connections ---------------------------------------------------------------------------- */

/* Sends SYN; UT_CONNECTED or UT_CLOSED follows. local may be all zero. flags: UT_CONNECT_ECN asks
 * for ECN, UT_CONNECT_NO_ECN does not; neither: as the stack does. UT_CONNECT_FAST_OPEN: RFC 7413,
 * which the peer may be given twice; asks for a cookie, or returns 1: there is one, UT_CONNECTED is
 * told at once, and the SYN leaves with the first ut_send, or by the first ut_recv or ut_shutdown.
 */
int ut_connect(ut_stack *s, const ut_endpoint *local, const ut_endpoint *remote, unsigned flags,
               uint64_t now, ut_handle *out);
/* flags: UT_LISTEN_SHARE or 0. -ADDRESS_IN_USE when a listener has exactly this local end, unless
 * all of them share: then each new connection goes to one of them, by a keyed hash of its four
 * values. */
int ut_listen(ut_stack *s, const ut_endpoint *local, int backlog, unsigned flags, uint64_t now,
              ut_handle *out);
/* -WOULD_BLOCK when no connection waits. */
int ut_accept(ut_stack *s, ut_handle listener, uint64_t now, ut_handle *out, ut_endpoint *local,
              ut_endpoint *remote);
/* Bytes taken (1..len; 0 only for len 0), -WOULD_BLOCK when the send ring is full, or why not. When
 * not all was taken, UT_WRITABLE follows once there is room. */
int64_t ut_send(ut_stack *s, ut_handle h, const void *data, size_t len, uint64_t now);
/* Up to `max` bytes. When at most `cap` are there to be given they are copied to `to` and consumed:
 * returns their number, less than min(cap, max) only if none are left. When more are there, returns
 * 0 and lends up to `max` bytes, contiguous, more than `cap`, in *lent: valid and unconsumed until
 * ut_recv_done; or returns `cap` bytes, where fewer are contiguous. Else -WOULD_BLOCK,
 * -END_OF_STREAM, or why. Received bytes are given before END_OF_STREAM or RESET is told;
 * UT_READABLE follows when that is next. */
int64_t ut_recv(ut_stack *s, ut_handle h, void *to, size_t cap, size_t max, ut_span *lent,
                uint64_t now);
/* Consumes `len` bytes of what was lent (0 gives it all back). The number of bytes that are still
 * there (2^31 - 1 for more), or a negated code. */
int ut_recv_done(ut_stack *s, ut_handle h, size_t len, uint64_t now);

/* Memory for received text: where the link can, large segments are received into it, and ut_recv
 * lends them there. `number` is 1 to UT_POSTED_MAX; NULL takes the memory back. It must stay until
 * then, until ut_recv_keep, or until ut_stack_free. 0; -INVALID also while the buffer has text that
 * nobody has read. */
int ut_post(ut_stack *s, uint32_t number, void *memory, size_t size);
/* As ut_recv_done of all that was lent, where a posted buffer had this: its memory is the caller's
 * again, text and all, and the buffer has `memory` instead. */
int ut_recv_keep(ut_stack *s, ut_handle h, void *memory, size_t size, uint64_t now);
/* FIN after what was accepted; receiving goes on (half-close). Idempotent. */
int ut_shutdown(ut_stack *s, ut_handle h, uint64_t now);
/* Gives the handle up. A connection goes on without its user: accepted data, FIN, bounded by
 * orphan_timeout_ns; RST when received bytes were unread (RFC 9293 SHLD-3) or linger is 0. A
 * listener: its queue is reset. */
int ut_close(ut_stack *s, ut_handle h, uint64_t now);
/* RST, and gives the handle up. */
int ut_abort(ut_stack *s, ut_handle h, uint64_t now);
/* On: what connections have to send stays unsent, retransmissions and ACKs too, until it is off;
 * time-outs run on. */
void ut_output_hold(ut_stack *s, int on, uint64_t now);
/* The key of Fast Open's cookies (RFC 7413 4.1.2); until then it is random and changes daily.
 * Cookies under the one before stay good. */
void ut_fast_open_key_set(ut_stack *s, const uint8_t key[16], uint64_t now);
/* The congestion controls there are, from 0, the default; NULL beyond the last. */
const char *ut_congestion_name(int index);
int ut_option_set(ut_stack *s, ut_handle h, int option, int64_t value, uint64_t now);
int ut_option_get(ut_stack *s, ut_handle h, int option, int64_t *value);

/* CDEF END */

#endif
