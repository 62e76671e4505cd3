/* base.h: what every other file may assume: integer types, bounds, assertions.
 *
 * UT_ASSERT stays on in release builds and must be unreachable from the network;
 * UT_CHECK guards costly walks and exists in test builds only (-DUT_CHECKS=1), as does UT_WORK,
 * which counts what a walk touches and a move moves.
 */
#ifndef UT_BASE_BASE_H
#define UT_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Prints the place and the condition, then aborts. */
_Noreturn void base_assert_fail(const char *condition, const char *file, int line);

#define UT_ASSERT(cond) \
    (__builtin_expect(!!(cond), 1) ? (void)0 : base_assert_fail(#cond, __FILE__, __LINE__))

#if defined(UT_CHECKS) && UT_CHECKS
#define UT_CHECKS_ON true
#define UT_CHECK(cond) UT_ASSERT(cond)
extern _Thread_local uint64_t base_work;
#define UT_WORK(n) ((void)(base_work += (n)))
#else
#define UT_CHECKS_ON false
#define UT_CHECK(cond) ((void)0)
#define UT_WORK(n) ((void)0)
#endif

#define UT_LIKELY(x) __builtin_expect(!!(x), 1)
#define UT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define UT_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define UT_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t u64_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t u64_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint32_t u32_min(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t u32_max(uint32_t a, uint32_t b) { return a > b ? a : b; }

#endif
