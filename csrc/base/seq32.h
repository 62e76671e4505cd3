/* seq32.h: the type of a sequence number, with no arithmetic.
 *
 * A one-member struct, so that `<` between two of them does not compile; what may be done with
 * sequence numbers stands in tcp/seq.h and nowhere else (wire/ only carries them).
 */
#ifndef UT_BASE_SEQ32_H
#define UT_BASE_SEQ32_H

#include <stdint.h>

typedef struct {
    uint32_t v;
} seq32;

static inline seq32 seq_make(uint32_t v) { return (seq32){v}; }

#endif
