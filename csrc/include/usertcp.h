/* usertcp.h: everything Python (or any other host) sees of the engine.
 *
 * An opaque stack, integer handles, plain structs. The part between the markers is what cffi reads;
 * it is the only declaration of these names.
 *
 * Conventions. Times are ns on the caller's monotonic clock, sizes bytes. Calls return 0 or a count, or
 * a negated code of base/errors.def. Every call takes the stack's mutex and may be made from any
 * thread; after it returns nothing is left to do until the next call or `ut_shared.deadline`: what had
 * to be sent has been handed to the link. C never calls back: what happened is told by events.
 */
#ifndef USERTCP_H
#define USERTCP_H

#include <stddef.h>
#include <stdint.h>

/* CDEF BEGIN */

typedef struct ut_stack ut_stack;
typedef struct ut_link ut_link;

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

/* What a stack is made with. ut_config_default fills it; every field may then be changed. */
typedef struct {
    uint64_t seed[2];             /* all randomness of the stack comes from these */
    uint64_t memory_limit;        /* bytes; 0 = none */
    uint32_t max_connections;
    uint32_t max_time_wait;
    uint32_t max_half_open;       /* of all listeners together */
    uint32_t rcv_buffer;          /* bytes of one receive ring: a power of two */
    uint32_t snd_buffer;          /* bytes of one send ring: a power of two */
    uint32_t mtu;                 /* 0 = the link's */
    uint64_t msl_ns;              /* RFC 9293 3.4.2; TIME-WAIT lasts twice this */
    uint64_t rto_initial_ns;      /* RFC 6298 2.1 */
    uint64_t rto_min_ns;          /* RFC 6298 2.4 */
    uint64_t rto_max_ns;          /* RFC 6298 2.5 */
    uint64_t delack_ns;           /* RFC 9293 3.8.6.3: below 500 ms */
    uint64_t user_timeout_ns;     /* R2 of RFC 9293 3.8.3 for data */
    uint64_t connect_timeout_ns;  /* R2 for SYN */
    uint64_t orphan_timeout_ns;   /* FIN-WAIT-2 and unread closing states without a user */
    uint32_t synack_retries;
    uint32_t syn_cookies;         /* 0 never, 1 when the half-open queue is full, 2 always */
    uint32_t use_timestamps;      /* RFC 7323 */
    uint32_t use_window_scale;
    uint32_t use_sack;            /* RFC 2018 */
    uint32_t nodelay;             /* 1 = Nagle off for new connections */
    uint32_t port_first, port_last; /* ephemeral ports, RFC 6056 */
    uint32_t challenge_ack_limit; /* per connection and second, RFC 5961 7 */
    uint32_t fixed_isn;           /* test hook: 1 = the next ISN is fixed_isn_value */
    uint32_t fixed_isn_value;
    uint32_t trace_capacity;      /* state transitions remembered (ut_trace_read); 0 = off */
} ut_config;

/* Read by Python straight from memory between calls. */
typedef struct {
    uint64_t deadline;       /* call ut_poll no later than this; UINT64_MAX = never */
    uint64_t events_pending; /* handles with events not yet read by ut_poll */
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

/* A run of received bytes, lent: see ut_recv. */
typedef struct {
    uint8_t *data;
    uint64_t len;
} ut_span;

/* Options of a connection, for ut_option_set and ut_option_get. Values are integers. */
enum {
    UT_OPT_NODELAY = 1,
    UT_OPT_RCV_LIMIT = 2,     /* receive window at most this many bytes */
    UT_OPT_SND_LIMIT = 3,     /* bytes ut_send holds at most */
    UT_OPT_USER_TIMEOUT = 4,  /* ns */
    UT_OPT_LINGER = 5,        /* -1: default; 0: ut_close resets */
    UT_OPT_TTL = 6,
    UT_OPT_DSCP = 7,
    UT_OPT_SND_LOWAT = 8      /* UT_WRITABLE when at least this much is free */
};

enum {
    UT_STATE_CLOSED = 0,
    UT_STATE_LISTEN = 1,
    UT_STATE_SYN_SENT = 2,
    UT_STATE_SYN_RECEIVED = 3,
    UT_STATE_ESTABLISHED = 4,
    UT_STATE_FIN_WAIT_1 = 5,
    UT_STATE_FIN_WAIT_2 = 6,
    UT_STATE_CLOSE_WAIT = 7,
    UT_STATE_CLOSING = 8,
    UT_STATE_LAST_ACK = 9,
    UT_STATE_TIME_WAIT = 10
};

/* A connection or listener as it is now, with the RFCs' names. Sequence numbers are the wire's. */
typedef struct {
    ut_handle handle;
    uint32_t state;      /* UT_STATE_... */
    int32_t error;       /* why it ended, 0 while it lives */
    ut_endpoint local, remote;
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, max_snd_wnd;
    uint32_t irs, rcv_nxt, rcv_wnd, rcv_up, snd_up;
    uint32_t snd_mss, rcv_mss;
    uint8_t snd_wscale, rcv_wscale, wscale_ok, timestamps_ok;
    uint8_t sack_ok, nodelay, in_recovery, orphan;
    uint32_t cwnd, ssthresh, flight_size, pipe;
    uint32_t recovery_point, backoff; /* consecutive RTOs of the same data */
    uint64_t srtt_ns, rttvar_ns, rto_ns, rtt_min_ns;
    uint64_t deadline_ns;             /* earliest timer, absolute; UINT64_MAX = none */
    uint32_t snd_queued, snd_free;    /* bytes in the send ring: unacknowledged and unsent; room left */
    uint32_t rcv_readable, rcv_out_of_order;
    uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retransmitted;
    uint64_t segs_out, segs_in, data_segs_out, data_segs_in;
    uint64_t retransmits, rto_count, fast_recoveries, dup_acks_in, challenge_acks;
    uint32_t half_open, accept_queue, backlog; /* listeners */
    uint32_t memory;                           /* bytes this connection holds in C now */
    char congestion_control[16];
} ut_info;

/* One state transition (trace_capacity > 0): which connection, when, from, to, and the segment or
 * call that caused it, in figure notation. */
typedef struct {
    uint64_t at_ns;
    ut_handle handle;
    ut_endpoint local, remote;
    uint8_t from, to, received; /* received: 1 = caused by a segment, 0 = call or timer */
    char cause[93];
} ut_transition;

/* ---- links ---------------------------------------------------------------------------------- */

typedef struct {
    uint32_t mtu;        /* 0 = the device's, 1500 where there is none */
    uint32_t offload;    /* 0 off, 1 on */
    uint32_t buffer;     /* bytes of the receive queue; 0 = default */
    uint32_t queues;     /* TUN: 1 = IFF_MULTI_QUEUE */
    uint32_t ethernet;   /* memory: 1 = Ethernet frames, 0 = bare IP */
    uint32_t has_mac;
    uint8_t mac[8];      /* packet: the stack's own station address; else the device's */
    uint16_t port_first, port_last; /* raw: the range claimed */
} ut_link_options;

typedef struct {
    uint32_t caps, mtu, gso_max, medium; /* medium: 0 Ethernet, 1 IP */
    int32_t fd;
    uint8_t mac[8];
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t tx_full, tx_errors, rx_errors, recv_calls, flush_calls;
    uint64_t rx_missed;  /* frames the kernel's queue to us had no room for */
    uint64_t tap_missed; /* frames the capture had no room for */
    char name[16];       /* of the device, or of the kind of link */
} ut_link_info;

/* Each returns a link, or NULL with -code in *error and, for SYSTEM, errno in *system_error. A link
 * belongs to whoever opened it until ut_stack_new takes it. */
ut_link *ut_link_packet(const char *ifname, const ut_link_options *o, int *error, int *system_error);
ut_link *ut_link_tun(const char *ifname, const ut_link_options *o, int *error, int *system_error);
ut_link *ut_link_raw(const ut_link_options *o, int *error, int *system_error);
/* One end in memory. Two of them may be joined; one alone is driven by ut_memory_read / _write. */
ut_link *ut_link_memory(const ut_link_options *o, int *error);
int ut_memory_join(ut_link *a, ut_link *b);
/* Joins l to the end that waits under `name` in this process (returns 1), or waits there (0). */
int ut_memory_join_name(ut_link *l, const char *name);
void ut_link_close(ut_link *l);
void ut_link_get_info(ut_link *l, ut_link_info *out);
/* Copies every frame that passes, both ways, to a pcapng file. Returns 0 or -code. */
int ut_link_capture(ut_link *l, const char *path, int *system_error);
int ut_link_capture_stop(ut_link *l);

/* Offload marks of a frame, as in virtio_net_hdr. */
typedef struct {
    uint8_t flags, gso;
    uint16_t gso_size, csum_start, csum_offset, header_len, reserved;
} ut_offload;

/* The far end of an unjoined memory link: what the stack sent (returns the length, 0 = nothing), and
 * what it shall receive (returns 0, or -WOULD_BLOCK when its queue is full). Usable while a stack owns
 * the link. */
int64_t ut_memory_read(ut_link *l, uint8_t *to, size_t cap, ut_offload *offload);
/* A descriptor that is readable while ut_memory_read would return a frame. */
int ut_memory_fd(ut_link *l);
int ut_memory_write(ut_link *l, const uint8_t *frame, size_t len, const ut_offload *offload);

/* ---- stack ---------------------------------------------------------------------------------- */

void ut_config_default(ut_config *c);
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
/* 0 usable, 1 still being checked, -ADDRESS_IN_USE another station has it, -ADDRESS_NOT_AVAILABLE. */
int ut_address_state(ut_stack *s, const uint8_t ip[16]);
int ut_gateway_set(ut_stack *s, const uint8_t ip[16]);

/* One turn: receives up to `budget` frames, runs due timers, sends, then writes up to `max_events`
 * events, one per handle. Returns their number, or -LINK_DOWN. When the budget ended the turn,
 * ut_shared.deadline is `now`. */
int ut_poll(ut_stack *s, uint64_t now, int budget, ut_event *events, int max_events);

/* ---- connections ---------------------------------------------------------------------------- */

/* Sends SYN; UT_CONNECTED or UT_CLOSED follows. local may be all zero. */
int ut_connect(ut_stack *s, const ut_endpoint *local, const ut_endpoint *remote, uint64_t now,
               ut_handle *out);
int ut_listen(ut_stack *s, const ut_endpoint *local, int backlog, uint64_t now, ut_handle *out);
/* -WOULD_BLOCK when no connection waits. */
int ut_accept(ut_stack *s, ut_handle listener, uint64_t now, ut_handle *out, ut_endpoint *local,
              ut_endpoint *remote);
/* Bytes taken (1..len; 0 only for len 0), -WOULD_BLOCK when the send ring is full, or why not. */
int64_t ut_send(ut_stack *s, ut_handle h, const void *data, size_t len, uint64_t now);
/* Up to `max` bytes. When at most `cap` are there to be given they are copied to `to` and consumed:
 * returns their number. When more are there, returns 0 and lends up to `max` bytes, contiguous, in *lent:
 * valid and unconsumed until ut_recv_done. Else -WOULD_BLOCK, -END_OF_STREAM, or why. Received bytes are
 * given before END_OF_STREAM or RESET is told. */
int64_t ut_recv(ut_stack *s, ut_handle h, void *to, size_t cap, size_t max, ut_span *lent,
                uint64_t now);
/* Consumes `len` bytes of what was lent (0 gives it all back). */
int ut_recv_done(ut_stack *s, ut_handle h, size_t len, uint64_t now);
/* FIN after what was accepted; receiving goes on (half-close). Idempotent. */
int ut_shutdown(ut_stack *s, ut_handle h, uint64_t now);
/* Gives the handle up. A connection goes on without its user: accepted data, FIN, bounded by
 * orphan_timeout_ns; RST when received bytes were unread (RFC 9293 SHLD-3) or linger is 0. A
 * listener: its queue is reset. */
int ut_close(ut_stack *s, ut_handle h, uint64_t now);
/* RST, and gives the handle up. */
int ut_abort(ut_stack *s, ut_handle h, uint64_t now);
int ut_option_set(ut_stack *s, ut_handle h, int option, int64_t value, uint64_t now);
int ut_option_get(ut_stack *s, ut_handle h, int option, int64_t *value);

/* ---- looking -------------------------------------------------------------------------------- */

int ut_get_info(ut_stack *s, ut_handle h, ut_info *out);
/* All connections, listeners, half-open and TIME-WAIT entries: fills up to `max`, returns how many
 * there are. */
int ut_list(ut_stack *s, ut_info *out, int max);
/* Counters: fills up to `max`, returns how many there are; names by ut_counter_name(0 ...). */
int ut_counters(ut_stack *s, uint64_t *out, int max);
const char *ut_counter_name(int index);
/* Takes up to `max` of the oldest remembered transitions. */
int ut_trace_read(ut_stack *s, ut_transition *out, int max);
/* Connections with unsent or unacknowledged data, or an unacknowledged FIN. */
int ut_unfinished(ut_stack *s);
uint64_t ut_memory_in_use(ut_stack *s);
const char *ut_error_name(int code);
const char *ut_error_sentence(int code);
const char *ut_checksum_name(void);

/* CDEF END */

#endif
