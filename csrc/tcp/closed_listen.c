/* closed_listen.c: segments for no connection (RFC 9293 3.10.7.1) and for a listener (3.10.7.2).
 *
 * Pure decisions; the stack builds what follows.
 */
#include "tcp/arrive.h"

struct tcp_verdict tcp_arrive_closed(const struct tcp_seg *seg)
{
    if (seg->flags & TCP_RST)
        return verdict_drop(DROP_tcp_no_listener);
    return verdict_drop_reset(DROP_tcp_no_listener);
}

struct tcp_verdict tcp_arrive_listen(const struct tcp_seg *seg)
{
    if (seg->flags & TCP_RST)
        return verdict_drop(DROP_tcp_listen_not_syn); /* first: an RST is ignored */
    if (seg->flags & TCP_ACK)
        return verdict_drop_reset(DROP_tcp_listen_bad_ack); /* second: any ACK is too early */
    if (!(seg->flags & TCP_SYN))
        return verdict_drop(DROP_tcp_listen_not_syn); /* fourth */
    if (seg->flags & TCP_FIN)
        return verdict_drop(DROP_tcp_flags); /* attack 45: no one means SYN with FIN */
    return verdict_of(VERDICT_SYN);
}
