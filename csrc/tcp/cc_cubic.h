/* cc_cubic.h: the two functions of RFC 9438 4.2, exact, for cc_cubic.c and its tests.
 */
#ifndef UT_TCP_CC_CUBIC_H
#define UT_TCP_CC_CUBIC_H

#include "tcp/cc.h"

/* K in microseconds, rounded down: the time from cwnd_epoch back up to w_max (bytes). */
uint64_t cubic_k(uint32_t w_max, uint32_t cwnd_epoch, uint32_t mss);
/* W_cubic in bytes, rounded down, `since_k_us` after (or before) the plateau; 0 .. 2^30. */
uint32_t cubic_window(uint32_t w_max, int64_t since_k_us, uint32_t mss);

#endif
