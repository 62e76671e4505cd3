/* siphash.h: SipHash-2-4 and the cheaper 1-3, keyed 64-bit hashes (Aumasson and Bernstein 2012).
 *
 * 2-4 for what an outsider must not predict (ISNs, cookies, ports); 1-3 for hash tables.
 */
#ifndef UT_BASE_SIPHASH_H
#define UT_BASE_SIPHASH_H

#include "base/base.h"

struct siphash_key {
    uint64_t k0, k1;
};

uint64_t siphash24(const struct siphash_key *key, const void *data, size_t len);
uint64_t siphash13(const struct siphash_key *key, const void *data, size_t len);

#endif
