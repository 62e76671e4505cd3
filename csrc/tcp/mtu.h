/* mtu.h: how large this connection's segments may be: what routers report (RFC 1191, RFC 8201) and
 * what is found out without them (RFC 4821 as RFC 8899 has it).
 *
 *      report ---- smaller than what has arrived already? ---- held ---- the segment times out --+
 *        |                      no                                                              |
 *        +---------------------------------------------------------------------> lower, send again
 *
 *      two time-outs of a full segment -> a part of it -> ACK, and the next full one times out:
 *      black hole -> the size that has passed -> ACK -> search upwards
 *
 * Sizes are MSS: the packet less the IP and TCP headers without options. Lowering is no sign of
 * congestion (RFC 8201 5.4): what was too large is sent again at once. A black hole is: nobody said
 * why the segments were lost.
 *
 *   1. snd_mss = min(peer_mss, path_mss), at least TCP_MIN_MSS
 *   2. search_mss != 0: sizes from snd_mss to below search_mss have yet to be tried
 *   3. rack.mtu_probe_out: [tried, tried + probe_len) left as one segment and is in flight
 */
#ifndef UT_TCP_MTU_H
#define UT_TCP_MTU_H

#include "tcp/seq.h"

struct tcb;

#define MTU_BASE_MSS 1024u /* what passes nearly everywhere: as Linux; 1220 over IPv6 */
#define MTU_LEAST_MSS 512u /* over IPv4: 552 bytes, as Linux's min_pmtu */
#define MTU_SEARCH_STEP 32u
#define MTU_PART_RTOS 2u /* of the same data, before it is sent again in parts */
#define MTU_REPORTS \
    10u               /* believed at once while nothing is acknowledged; RFC 1191 7.1's plateaus */
#define MTU_PROBES 3u /* RFC 8899 5.1.2: MAX_PROBES, of one size */

enum mtu_probing { MTU_PROBING_OFF, MTU_PROBING_AFTER_HOLE, MTU_PROBING_ALWAYS };

struct tcp_mtu {
    uint16_t peer_mss;   /* what the peer announced, or the default */
    uint16_t path_mss;   /* what the path carries, as far as is known */
    uint16_t acked_mss;  /* RFC 5927 7.2, maxsizeacked: a segment so large has arrived */
    uint16_t held_mss;   /* a report that waits for the time-out of held_seq; 0 = none */
    uint16_t search_mss; /* RFC 4821 7.2, search_high, exclusive; 0 = there is no search */
    uint16_t probe_len;  /* payload of the probe, or of the part */
    uint8_t probes_lost; /* of that size */
    uint8_t reports;     /* taken since snd_una moved */
    bool is_guess : 1;   /* path_mss was found out, not reported */
    bool try_top : 1;    /* the largest of the search comes first */
    bool in_hole : 1;    /* lowered after time-outs; an ACK beyond `tried` will prove it right */
    uint8_t part : 2;    /* enum mtu_part: [tried, tried + probe_len) was sent again on its own */
    seq32 held_seq;
    seq32 tried;     /* where the segment in question begins: the probe's, or that of the hole */
    seq32 large_end; /* what was sent before this may be larger than path_mss */
};

enum mtu_part { MTU_PART_NONE, MTU_PART_BASE, MTU_PART_LEAST };

enum mtu_verdict {
    MTU_TAKEN,      /* path_mss is lower, and what was too large is sent again */
    MTU_HELD,       /* kept until the segment times out or arrives */
    MTU_NOT_SENT,   /* the number quoted is not in flight */
    MTU_NO_NEWS,    /* no smaller than what is in use */
    MTU_RESENT,     /* known already, but the segment left before it was */
    MTU_PROBE_OVER, /* a probe was too large, as it may be */
};

/* The peer's MSS option, 0 = none: sets snd_mss. */
void mtu_agree(struct tcb *t, uint16_t announced);
/* A checked Packet Too Big about the segment that begins with `seq`. */
enum mtu_verdict mtu_report(struct tcb *t, seq32 seq, uint16_t mss);
/* Other connections found that the path carries no more. */
void mtu_learn(struct tcb *t, uint16_t mss);
/* What was known of the path is too old: it may carry more again. */
void mtu_forget(struct tcb *t);
/* The RTO has fired. True: a report that was held back explains it, and all is done. */
bool mtu_on_rto(struct tcb *t);
/* How much of the first segment is sent again after a time-out. */
uint32_t mtu_again(const struct tcb *t, uint32_t mss);
/* A recovery is over. */
void mtu_on_recovered(struct tcb *t);
/* An ACK while a probe is out (rack.mtu_probe_out), `una` moved already. */
void mtu_on_ack(struct tcb *t);
/* Something was found to be lost while a probe is out. True: it is the probe alone, which is no
 * sign of congestion (RFC 4821 7.6). */
bool mtu_lost_probe(struct tcb *t);
/* The payload of the probe that is to leave now, in one segment; 0 = none. `avail` bytes wait, the
 * peer takes `usable` of them and cwnd has `room`. */
uint32_t mtu_probe_due(struct tcb *t, uint32_t avail, uint32_t usable, uint32_t room);
/* It leaves: call before snd_nxt moves. */
void mtu_probe_sent(struct tcb *t, uint32_t len);

#endif
