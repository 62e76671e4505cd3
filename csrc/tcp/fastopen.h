/* fastopen.h: data in the SYN (RFC 7413): what one connection has to do with it.
 *
 *      client                                                     server
 *      SYN-SENT     --> seq=0 SYN, cookie, data 1..n -->          SYN-RECEIVED, its user has the
 * data ESTABLISHED  <-- seq=0 ack=n+1 SYN,ACK        <--          may answer before
 *                   --> ack=1 ACK                    -->          ESTABLISHED
 *
 * Where cookies come from and are kept: stack/fastopen.h.
 *
 *   1. active: with `waits` no SYN has left; it leaves with the first data, once the user waits for
 * the peer's, or after FAST_OPEN_PATIENCE
 *   2. only the first SYN or SYN,ACK has the option, only the first SYN has data
 *   3. passive: from the SYN on snd_una is iss + 1, so that what leaves early is numbered as ever;
 * until the SYN is acknowledged the timer is the SYN,ACK's
 */
#ifndef UT_TCP_FASTOPEN_H
#define UT_TCP_FASTOPEN_H

#include "base/base.h"
#include "base/time.h"

#define FAST_OPEN_PATIENCE (200 * NS_PER_MS)

struct tcb;
struct tcp_half;
struct tcp_opts;
struct tcp_out;
struct tcp_seg;

struct tcp_fast_open {
    bool on : 1;         /* active: its SYN has the option; passive: a cookie was valid */
    bool waits : 1;      /* the SYN is held back */
    bool data_sent : 1;  /* active: with the SYN */
    bool data_acked : 1; /* at least some of it; passive: some was taken */
    uint16_t again;      /* active: bytes that went with the SYN in vain, and have not left since */
};

/* Lies where recovery keeps its own later; all zero once ESTABLISHED. */
struct tcp_cookie {
    uint8_t len;
    uint8_t bytes[16];
};

/* ---- active open; before tcp_open ---- */

/* The SYN asks for a cookie. */
void fast_open_ask(struct tcb *t);
/* There is one: the SYN waits for data, of which `mss` less the options may go with it; the user is
 * told that it is connected. */
void fast_open_wait(struct tcb *t, const struct tcp_cookie *cookie, uint16_t mss, ns_t now);

/* ---- passive open ---- */

/* In place of tcp_open_from_half: SYN-RECEIVED, the SYN's data given to the user, as far as the
 * window goes. `fresh`: a cookie for the SYN,ACK, or NULL. */
void fast_open_accept(struct tcb *t, const struct tcp_half *half, const struct tcp_seg *syn,
                      const struct tcp_cookie *fresh, ns_t now);

/* ---- both ---- */

/* Option and data of a SYN or SYN,ACK that leaves now; its other options are there. */
void fast_open_fill_syn(struct tcb *t, struct tcp_out *out);
/* Our SYN is acknowledged, and perhaps data that came with it: what was not is new again. */
void fast_open_opened(struct tcb *t, const struct tcp_seg *seg);
/* Nobody can wait for more: a SYN that waits leaves. */
void fast_open_release(struct tcb *t);
/* CLOSE in SYN-SENT ends what has nothing to deliver (RFC 9293 3.10.4); this one has. */
bool fast_open_outlives_close(const struct tcb *t);

#endif
