/* reasm.h: received bytes at their final place in one ring, in order or not; or, where the link had
 * put them there, in buffers that the user posted.
 *
 *      read        nxt                                     read + limit
 *       |-- readable --|....|== run ==|.....|= run =|.........|
 *                        holes           out of order (trouble->runs)
 *
 *   1. read <= nxt <= read + limit, limit <= ring capacity
 *   2. every out-of-order run lies within (nxt, read + limit)
 *   3. the ring is open while bytes in it are readable, out of order, or lent to the user; closed
 *      when nothing is
 *   4. what lies at an offset is never overwritten: the first arrival wins (RFC 9293 3.10.7.4 lets
 *      us choose; conformance.md attack 37)
 *   5. what a held buffer has (base/posted.h) was at nxt when it came; the ring's bytes at these
 *      offsets mean nothing
 *   6. offset 0 is the byte after the peer's SYN: sequence number irs + 1
 */
#ifndef UT_TCP_REASM_H
#define UT_TCP_REASM_H

#include "base/drops.h"
#include "base/posted.h"
#include "base/ranges.h"
#include "base/ring.h"

/* What all connections of a stack receive into. */
struct reasm_memory {
    struct ring_cache rings;
    struct posted posted;
};

#define REASM_LEND_MAX ((1u << 27) - 1) /* bytes */

struct reasm {
    struct ring ring;
    uint64_t read, nxt;
    uint32_t limit;
    uint32_t lent : 27; /* bytes from `read` the user may be looking at */
    uint32_t held : 5;  /* number of the posted buffer that is read next; 0: none is */
};

static inline uint32_t reasm_readable(const struct reasm *r)
{
    return (uint32_t)(r->nxt - r->read);
}
/* Room from nxt to the right edge. */
static inline uint32_t reasm_window(const struct reasm *r)
{
    uint32_t held = reasm_readable(r);
    return held < r->limit ? r->limit - held : 0;
}
/* Received bytes and where they belong. */
struct reasm_text {
    uint64_t offset;
    const uint8_t *data;
    uint32_t len;
};

/* Text in order that fills the posted buffer it lies in stays there: true. Less does not: in the
 * ring it is read together with what follows, and calls cost more than copies. */
bool reasm_hold(struct reasm *r, struct posted *p, const struct ranges *runs,
                const struct reasm_text *text, uint8_t number);
/* Writes [offset, offset + len), which lies within [nxt, read + limit), and advances nxt over what
 * is now contiguous. `runs` is NULL when nothing is out of order and offset == nxt. DROP_none, or
 * why not (no memory, no room for one more run). */
enum drop_reason reasm_insert(struct reasm *r, struct reasm_memory *m, struct ranges *runs,
                              const struct reasm_text *text);
/* Contiguous readable bytes, at most `max`; *at is set. */
uint32_t reasm_peek(const struct reasm *r, struct reasm_memory *m, uint32_t max, uint8_t **at);
/* Whether the next `len` readable bytes are all that a posted buffer has. */
bool reasm_is_whole(const struct reasm *r, struct reasm_memory *m, uint32_t len);
/* Copies and consumes up to `max` bytes; returns how many. */
uint32_t reasm_take(struct reasm *r, struct reasm_memory *m, const struct ranges *runs, void *to,
                    uint32_t max);
void reasm_consume(struct reasm *r, struct reasm_memory *m, const struct ranges *runs,
                   uint32_t len);
void reasm_free_all(struct reasm *r, struct reasm_memory *m);
void reasm_check(const struct reasm *r, struct reasm_memory *m, const struct ranges *runs);

#endif
