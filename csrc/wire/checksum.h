/* checksum.h: the Internet checksum (RFC 1071), portable and per-ISA behind one table.
 *
 * checksum_init chooses once; the portable function stays reachable as the oracle of tests.
 */
#ifndef UT_WIRE_CHECKSUM_H
#define UT_WIRE_CHECKSUM_H

#include "base/base.h"
#include "wire/addr.h"

/* Adds the big-endian 16-bit words of the data to `sum` (unfolded; an odd last byte is padded
 * with zero, so only the last piece of a whole may be odd: for pieces use checksum_add_at). */
typedef uint32_t checksum_fn(const uint8_t *data, size_t len, uint32_t sum);

struct checksum_impl {
    const char *name;
    checksum_fn *add;
};

/* The AVX2 variant; NULL where this build or CPU has none. */
const struct checksum_impl *checksum_avx2(void);

/* Picks the fastest implementation this CPU runs. Safe to call more than once. */
void checksum_init(void);
const struct checksum_impl *checksum_chosen(void);
/* All that this CPU runs, the portable one first; NULL-terminated. For tests. */
const struct checksum_impl *const *checksum_available(void);

uint32_t checksum_add(const uint8_t *data, size_t len, uint32_t sum);
uint32_t checksum_add_portable(const uint8_t *data, size_t len, uint32_t sum);
/* The same for a piece that begins at an even or odd offset of the whole. */
uint32_t checksum_add_at(const uint8_t *data, size_t len, size_t offset, uint32_t sum);
/* 16-bit one's-complement sum, not inverted. */
uint16_t checksum_fold(uint32_t sum);
/* Pseudo-header sum, unfolded (RFC 9293 3.1; IPv6: RFC 8200 8.1). `len` = upper-layer length. */
uint32_t checksum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                         uint32_t len);

#endif
