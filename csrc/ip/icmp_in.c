/* icmp_in.c: the table from ICMP messages to actions, and the rate of echo replies.
 *
 * Called by stack/ingress.c for each ICMP message that was parsed.
 */
#include "ip/icmp_in.h"

struct icmp_meaning icmp_in_meaning(const struct icmp_msg *m)
{
    switch (m->kind) {
    case ICMP_ECHO_REQUEST:
        return (struct icmp_meaning){ICMP_DO_ECHO, 0, false};
    case ICMP_NEIGHBOUR:
        return (struct icmp_meaning){ICMP_DO_NEIGHBOUR, 0, false};
    /* RFC 9293 3.9.2.2 (MUST-56): these are hints, never a reason to abort. */
    case ICMP_NET_UNREACHABLE:
        return (struct icmp_meaning){ICMP_DO_ERROR, UT_E_NET_UNREACHABLE, false};
    case ICMP_HOST_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER_PROBLEM:
        return (struct icmp_meaning){ICMP_DO_ERROR, UT_E_HOST_UNREACHABLE, false};
    /* RFC 9293 3.9.2.2 (SHLD-26), RFC 5927 5.2: hard while opening only; tcp/ sees to that. */
    case ICMP_PROTO_UNREACHABLE:
    case ICMP_PORT_UNREACHABLE:
        return (struct icmp_meaning){ICMP_DO_ERROR, UT_E_REFUSED, true};
    case ICMP_PROHIBITED:
        return (struct icmp_meaning){ICMP_DO_ERROR, UT_E_HOST_UNREACHABLE, true};
    case ICMP_PACKET_TOO_BIG:
        return (struct icmp_meaning){ICMP_DO_TOO_BIG, 0, false};
    /* RFC 9293 3.9.2.2 (MUST-55), RFC 6633 3: source quench is discarded. */
    case ICMP_SOURCE_QUENCH:
    case ICMP_ECHO_REPLY:
    case ICMP_OTHER:
        break;
    }
    return (struct icmp_meaning){ICMP_DO_IGNORE, 0, false};
}

bool icmp_in_may_echo(struct icmp_rate *r, ns_t now)
{
    uint64_t due = time_between(r->refilled, now) / (NS_PER_S / ICMP_ECHOES_PER_S);
    if (due >= ICMP_ECHOES_PER_S) {
        r->tokens = ICMP_ECHOES_PER_S;
        r->refilled = now;
    } else if (due > 0) {
        r->tokens = u32_min(r->tokens + (uint32_t)due, ICMP_ECHOES_PER_S);
        r->refilled += due * (NS_PER_S / ICMP_ECHOES_PER_S);
    }
    if (r->tokens == 0)
        return false;
    r->tokens--;
    return true;
}
