/* seq.h: arithmetic on sequence numbers, modulo 2^32 (RFC 9293 3.4), and nowhere else (rule 6).
 *
 * seq_lt(a, b) says a comes before b when they are less than 2^31 apart.
 */
#ifndef UT_TCP_SEQ_H
#define UT_TCP_SEQ_H

#include "base/base.h"
#include "base/seq32.h"

static inline seq32 seq_add(seq32 a, uint32_t n) { return seq_make(a.v + n); }
static inline seq32 seq_sub(seq32 a, uint32_t n) { return seq_make(a.v - n); }
/* a - b as a signed distance. */
static inline int32_t seq_diff(seq32 a, seq32 b) { return (int32_t)(a.v - b.v); }
/* a - b where a is known not to be before b. */
static inline uint32_t seq_len(seq32 a, seq32 b) { return a.v - b.v; }
static inline bool seq_eq(seq32 a, seq32 b) { return a.v == b.v; }
static inline bool seq_lt(seq32 a, seq32 b) { return seq_diff(a, b) < 0; }
static inline bool seq_leq(seq32 a, seq32 b) { return seq_diff(a, b) <= 0; }
static inline bool seq_gt(seq32 a, seq32 b) { return seq_diff(a, b) > 0; }
static inline bool seq_geq(seq32 a, seq32 b) { return seq_diff(a, b) >= 0; }
/* s in [lo, lo + len) */
static inline bool seq_in(seq32 s, seq32 lo, uint32_t len) { return s.v - lo.v < len; }
static inline seq32 seq_max(seq32 a, seq32 b) { return seq_lt(a, b) ? b : a; }

#endif
