/* rand.h: all randomness of a stack, from one 128-bit seed: SipHash-2-4 in counter mode.
 *
 * The seed is a parameter (from the system's entropy in production, fixed in tests), so a run is
 * repeatable; an outsider who does not know it cannot predict the output.
 */
#ifndef UT_BASE_RAND_H
#define UT_BASE_RAND_H

#include "base/siphash.h"

struct rand {
    struct siphash_key key;
    uint64_t counter;
};

void rand_init(struct rand *r, uint64_t seed0, uint64_t seed1);
uint64_t rand_u64(struct rand *r);
/* Uniform in [0, n), n > 0. */
uint32_t rand_below(struct rand *r, uint32_t n);
/* A key for one purpose, independent of the stream's other output. */
struct siphash_key rand_key(const struct rand *r, const char *purpose);

#endif
