/* siphash.c: SipHash-c-d for (c, d) = (2, 4) and (1, 3).
 *
 * Called for ISNs, ports, cookies and all hash tables. Bytes are read in little-endian order on
 * every machine, so the published vectors hold everywhere.
 */
#include "base/siphash.h"

struct siphash_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t siphash_rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline void siphash_round(struct siphash_state *s)
{
    s->v0 += s->v1;
    s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
    s->v0 = siphash_rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
    s->v2 = siphash_rotate(s->v2, 32);
}

static inline uint64_t siphash_load(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The last 0..7 bytes, with the total length's low byte on top. */
static inline uint64_t siphash_tail(const uint8_t *p, size_t total)
{
    uint64_t word = (uint64_t)(total & 0xff) << 56;
    for (size_t i = 0; i < (total & 7); i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

/* Inlined into its two callers, where the round counts are constants. */
static inline uint64_t siphash_any(const struct siphash_key *key, const uint8_t *p, size_t len,
                                   int c_rounds, int d_rounds)
{
    struct siphash_state s = {
        key->k0 ^ UINT64_C(0x736f6d6570736575),
        key->k1 ^ UINT64_C(0x646f72616e646f6d),
        key->k0 ^ UINT64_C(0x6c7967656e657261),
        key->k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t words = len / 8;
    for (size_t i = 0; i <= words; i++) {
        uint64_t m = i < words ? siphash_load(p + 8 * i) : siphash_tail(p + 8 * i, len);
        s.v3 ^= m;
        for (int k = 0; k < c_rounds; k++)
            siphash_round(&s);
        s.v0 ^= m;
    }
    s.v2 ^= 0xff;
    for (int k = 0; k < d_rounds; k++)
        siphash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash24(const struct siphash_key *key, const void *data, size_t len)
{
    static const uint8_t nothing[1]; /* NULL plus 0 is undefined: an empty message may be NULL */
    return siphash_any(key, len != 0 ? data : nothing, len, 2, 4);
}

uint64_t siphash13(const struct siphash_key *key, const void *data, size_t len)
{
    static const uint8_t nothing[1];
    return siphash_any(key, len != 0 ? data : nothing, len, 1, 3);
}
