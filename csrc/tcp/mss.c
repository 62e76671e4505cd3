/* mss.c: how large our segments may be (RFC 9293 3.7.1). Called by options.c and user.c. */
#include "tcp/mss.h"

uint16_t mss_to_send(struct tcp_path path, uint16_t announced)
{
    /* RFC 9293 3.7.1 (MUST-15): without the option the peer takes the default. */
    uint32_t mss = announced != 0 ? announced : path.default_mss;
    /* MUST-16: no more than the path carries; and not so little that headers are all there is. */
    mss = u32_max(u32_min(mss, path.mss), TCP_MIN_MSS);
    return (uint16_t)mss;
}
