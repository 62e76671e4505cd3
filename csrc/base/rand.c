/* rand.c: a stream of random numbers and derived keys from one seed.
 *
 * The stream is SipHash-2-4 over an 8-byte counter; keys are SipHash-2-4 over a 64-byte block, so
 * the two kinds of input can never be equal.
 */
#include "base/rand.h"

#define RAND_PURPOSE_BLOCK 64u

void rand_init(struct rand *r, uint64_t seed0, uint64_t seed1)
{
    *r = (struct rand){.key = {seed0, seed1}};
}

uint64_t rand_u64(struct rand *r)
{
    uint8_t block[8];
    uint64_t counter = r->counter++;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(counter >> (8 * i)); /* the same run on every byte order */
    return siphash24(&r->key, block, sizeof block);
}

uint32_t rand_below(struct rand *r, uint32_t n)
{
    UT_ASSERT(n != 0);
    /* Multiply and shift (Lemire 2019); the values that would favour some results are redrawn. */
    uint32_t refused_below = (0u - n) % n;
    for (;;) {
        uint64_t product = (rand_u64(r) >> 32) * n;
        if ((uint32_t)product >= refused_below)
            return (uint32_t)(product >> 32);
    }
}

struct siphash_key rand_key(const struct rand *r, const char *purpose)
{
    uint8_t block[RAND_PURPOSE_BLOCK] = {0};
    size_t len = strlen(purpose);
    UT_ASSERT(len < RAND_PURPOSE_BLOCK - 1);
    memcpy(block + 1, purpose, len);
    struct siphash_key key;
    key.k0 = siphash24(&r->key, block, sizeof block);
    block[0] = 1;
    key.k1 = siphash24(&r->key, block, sizeof block);
    return key;
}
