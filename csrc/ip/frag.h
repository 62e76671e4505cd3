/* frag.h: fragments put together again (RFC 791 3.2, RFC 1122 3.3.2, RFC 8200 4.5).
 *
 *      fragment -> frag_add -> waits, or the whole datagram in the header it came with
 *
 * Nobody sends TCP in fragments on purpose, so what is kept is little, and whatever an honest
 * sender would not do spoils the datagram: an overlap (RFC 5722 4; of IPv4 too), a first fragment
 * that hides the TCP header (RFC 8200 4.5, RFC 1858), two ends.
 *
 *   1. at most FRAG_DATAGRAMS wait, for at most FRAG_BYTES of memory together
 *   2. a spoiled one holds no data; its name stays until its time is over, so that the rest of it
 *      begins no new one
 */
#ifndef UT_IP_FRAG_H
#define UT_IP_FRAG_H

#include "base/alloc.h"
#include "base/ranges.h"
#include "base/time.h"
#include "wire/ip.h"

#define FRAG_DATAGRAMS 16u
#define FRAG_RUNS 64u /* of one datagram */
#define FRAG_BYTES (256u << 10)
#define FRAG_LIFE (60 * NS_PER_S) /* RFC 8200 4.5, RFC 1122 3.3.2: from the first that came */

struct frag_datagram {
    struct ipaddr src, dst;
    uint32_t id;
    uint8_t version, proto; /* version 0: a free place */
    bool is_spoiled;
    bool has_ce, has_not_ect; /* RFC 3168 5.3 */
    uint32_t len;             /* of the whole; 0 = its end has not come */
    uint32_t capacity;
    uint8_t *data;
    ns_t due;
    struct ranges held; /* does not grow */
    struct range runs[FRAG_RUNS];
};

struct frag {
    struct alloc *alloc;
    struct frag_datagram *datagram; /* FRAG_DATAGRAMS of them, from the first fragment on */
    uint32_t bytes;
    struct frag_datagram *whole; /* given out last; its data goes with the next call */
};

enum frag_result { FRAG_WAITS, FRAG_WHOLE, FRAG_DROPPED };

/* Takes no memory yet. */
void frag_init(struct frag *f, struct alloc *a);
void frag_fini(struct frag *f);
/* FRAG_WHOLE: `ip` is the datagram's header now, its payload valid until the next call. Anything
 * that is dropped, this fragment or a datagram that made room for it, is counted in `drops`. */
enum frag_result frag_add(struct frag *f, struct ip_hdr *ip, ns_t now, uint64_t *drops);
/* Gives up what has waited too long. */
void frag_expire(struct frag *f, ns_t now, uint64_t *drops);
/* When frag_expire is due; TIME_NEVER. */
ns_t frag_next(const struct frag *f);

#endif
