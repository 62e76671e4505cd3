/* mss.h: segment sizes (RFC 9293 3.7.1, RFC 6691).
 */
#ifndef UT_TCP_MSS_H
#define UT_TCP_MSS_H

#include "tcp/env.h"

#define TCP_MIN_MSS 64 /* smaller announcements are raised to this: attacks 12 and 15 */

/* Eff.snd.MSS before options: `announced` is the peer's MSS option, 0 = none came. */
uint16_t mss_to_send(struct tcp_path path, uint16_t announced);

#endif
