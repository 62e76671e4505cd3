/* mss.c: how large our segments may be (RFC 9293 3.7.1). Called by mtu.c. */
#include "tcp/mss.h"

uint16_t mss_to_send(uint16_t path_mss, uint16_t peer_mss)
{
    /* RFC 9293 3.7.1 (MUST-16): no more than the path carries; and not so little that headers are
     * all there is. */
    return (uint16_t)u32_max(u32_min(peer_mss, path_mss), TCP_MIN_MSS);
}
