/* checksum.c: the Internet checksum, portable version and the choice among versions.
 *
 * A one's-complement sum does not depend on the byte order it is computed in, up to one swap at
 * the end (RFC 1071 2(B)): data is summed in native words, `sum` in and out is in big-endian
 * words. Every version returns a value that folds to the same 16 bits, zero only for all-zero
 * input, so they can be compared after checksum_fold.
 */
#include "wire/checksum.h"

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define NATIVE_TO_BE16(v) (v)
#else
#define NATIVE_TO_BE16(v) __builtin_bswap16(v)
#endif

static uint16_t checksum_fold64(uint64_t s)
{
    s = (s & UINT32_MAX) + (s >> 32);
    s = (s & UINT32_MAX) + (s >> 32);
    return checksum_fold((uint32_t)s);
}

/* Adds to an unfolded sum with the carry wrapped around, so it never overflows. */
static uint32_t checksum_plus(uint32_t sum, uint32_t more)
{
    uint64_t s = (uint64_t)sum + more;
    return (uint32_t)(s + (s >> 32));
}

static inline uint64_t checksum_load64(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

static inline uint64_t checksum_halves(uint64_t w) { return (w & UINT32_MAX) + (w >> 32); }

uint32_t checksum_add_portable(const uint8_t *data, size_t len, uint32_t sum)
{
    uint64_t s0 = 0, s1 = 0;
    while (len >= 32) {
        s0 += checksum_halves(checksum_load64(data));
        s1 += checksum_halves(checksum_load64(data + 8));
        s0 += checksum_halves(checksum_load64(data + 16));
        s1 += checksum_halves(checksum_load64(data + 24));
        data += 32;
        len -= 32;
    }
    while (len >= 8) {
        s0 += checksum_halves(checksum_load64(data));
        data += 8;
        len -= 8;
    }
    if (len != 0) {
        uint8_t last[8] = {0}; /* RFC 1071 1(1): an odd byte is followed by a zero */
        memcpy(last, data, len);
        s1 += checksum_halves(checksum_load64(last));
    }
    uint16_t native = checksum_fold64(checksum_halves(s0) + checksum_halves(s1));
    return checksum_plus(sum, NATIVE_TO_BE16(native));
}

/* Below this many bytes a vector version has nothing to win. */
#define CHECKSUM_VECTOR_MIN 64u

static const struct checksum_impl portable_impl = {"portable", checksum_add_portable};
static const struct checksum_impl *chosen = &portable_impl;
static const struct checksum_impl *available[3] = {&portable_impl};

/* Stacks in several threads may start at once: all of them store the same values. */
void checksum_init(void)
{
    const struct checksum_impl *avx2 = checksum_avx2();
    if (avx2 == NULL)
        return;
    __atomic_store_n(&available[1], avx2, __ATOMIC_RELAXED);
    __atomic_store_n(&chosen, avx2, __ATOMIC_RELAXED);
}

const struct checksum_impl *checksum_chosen(void)
{
    return __atomic_load_n(&chosen, __ATOMIC_RELAXED);
}

const struct checksum_impl *const *checksum_available(void)
{
    checksum_init();
    return available;
}

uint32_t checksum_add(const uint8_t *data, size_t len, uint32_t sum)
{
    if (len < CHECKSUM_VECTOR_MIN)
        return checksum_add_portable(data, len, sum);
    return checksum_chosen()->add(data, len, sum);
}

uint32_t checksum_add_at(const uint8_t *data, size_t len, size_t offset, uint32_t sum)
{
    if ((offset & 1) == 0)
        return checksum_add(data, len, sum);
    /* Each byte is in the other half of its word: the piece's sum, swapped. */
    uint16_t piece = checksum_fold(checksum_add(data, len, 0));
    return checksum_plus(sum, __builtin_bswap16(piece));
}

uint16_t checksum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint32_t checksum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                         uint32_t len)
{
    /* RFC 9293 3.1 and RFC 8200 8.1. The prefix of a mapped IPv4 address adds ffff, which is zero
     * in one's complement, so one sum serves both families. */
    uint64_t native = 0;
    for (int i = 0; i < 4; i++)
        native += (uint64_t)src->w[i] + dst->w[i];
    uint32_t sum = NATIVE_TO_BE16(checksum_fold64(native));
    return sum + proto + (len >> 16) + (len & 0xffff);
}
