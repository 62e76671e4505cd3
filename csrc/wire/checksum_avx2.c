/* checksum_avx2.c: the Internet checksum over 32 bytes at a time.
 *
 * Chosen at run time by checksum_init; compiled to nothing but a refusal elsewhere. 32-bit lanes
 * are added into 64-bit accumulators, which no length that fits in memory overflows.
 */
#include "wire/checksum.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Two accumulators: even 32-bit lanes, and odd ones shifted down. */
struct lanes {
    __m256i even, odd;
};

#define AVX2 __attribute__((target("avx2")))

static inline AVX2 struct lanes lanes_add(struct lanes s, const uint8_t *p)
{
    const __m256i low_halves = _mm256_set1_epi64x(UINT32_MAX);
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    s.even = _mm256_add_epi64(s.even, _mm256_and_si256(v, low_halves));
    s.odd = _mm256_add_epi64(s.odd, _mm256_srli_epi64(v, 32));
    return s;
}

static inline AVX2 uint64_t lanes_total(__m256i v)
{
    uint64_t q[4], total = 0;
    memcpy(q, &v, sizeof q);
    for (int i = 0; i < 4; i++)
        total += (q[i] & UINT32_MAX) + (q[i] >> 32);
    return total;
}

static AVX2 uint32_t checksum_add_avx2(const uint8_t *data, size_t len, uint32_t sum)
{
    const __m256i zero = _mm256_setzero_si256();
    struct lanes a = {zero, zero}, b = a, c = a, d = a;
    for (; len >= 128; len -= 128, data += 128) {
        a = lanes_add(a, data);
        b = lanes_add(b, data + 32);
        c = lanes_add(c, data + 64);
        d = lanes_add(d, data + 96);
    }
    for (; len >= 32; len -= 32, data += 32)
        a = lanes_add(a, data);
    __m256i ab = _mm256_add_epi64(_mm256_add_epi64(a.even, a.odd), _mm256_add_epi64(b.even, b.odd));
    __m256i cd = _mm256_add_epi64(_mm256_add_epi64(c.even, c.odd), _mm256_add_epi64(d.even, d.odd));
    uint64_t s = lanes_total(_mm256_add_epi64(ab, cd));
    s = (s & UINT32_MAX) + (s >> 32);
    s = (s & UINT32_MAX) + (s >> 32);
    uint16_t here = __builtin_bswap16(checksum_fold((uint32_t)s)); /* native to big-endian words */
    uint64_t both = (uint64_t)sum + here;
    return checksum_add_portable(data, len, (uint32_t)(both + (both >> 32)));
}

static const struct checksum_impl avx2_impl = {"avx2", checksum_add_avx2};

const struct checksum_impl *checksum_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? &avx2_impl : NULL;
}

#else

const struct checksum_impl *checksum_avx2(void) { return NULL; }

#endif
