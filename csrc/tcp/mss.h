/* mss.h: segment sizes (RFC 9293 3.7.1, RFC 6691).
 */
#ifndef UT_TCP_MSS_H
#define UT_TCP_MSS_H

#include "tcp/env.h"

#define TCP_MIN_MSS 64 /* smaller announcements are raised to this: attacks 12 and 15 */

/* Eff.snd.MSS before options: what the path carries and what the peer takes. */
uint16_t mss_to_send(uint16_t path_mss, uint16_t peer_mss);

#endif
