/* icmp_in.h: what an ICMP message received means for us.
 */
#ifndef UT_IP_ICMP_IN_H
#define UT_IP_ICMP_IN_H

#include "base/errors.h"
#include "base/time.h"
#include "wire/icmp.h"

enum icmp_action {
    ICMP_DO_IGNORE,
    ICMP_DO_ECHO,      /* answer it */
    ICMP_DO_ERROR,     /* tell the connection it quotes: `error`, `hard` */
    ICMP_DO_TOO_BIG,   /* path MTU discovery, for the connection it quotes */
    ICMP_DO_NEIGHBOUR, /* neighbour discovery */
};

struct icmp_meaning {
    enum icmp_action action;
    int error; /* enum ut_error */
    bool hard; /* may end a connection that is still opening */
};

struct icmp_meaning icmp_in_meaning(const struct icmp_msg *m);

/* A token bucket for answers nobody asked us to be able to give for ever. */
struct icmp_rate {
    ns_t refilled;
    uint32_t tokens;
};

#define ICMP_ECHOES_PER_S 1000u

bool icmp_in_may_echo(struct icmp_rate *r, ns_t now);

#endif
