/* flow.h: the four values that name a connection (RFC 9293 3.4), as seen from our side.
 *
 * Every record that demux.h may find begins with one: connections, half-open and TIME-WAIT entries.
 */
#ifndef UT_STACK_FLOW_H
#define UT_STACK_FLOW_H

#include "wire/addr.h"

struct flow_key {
    struct ipaddr local, remote;
    uint16_t lport, rport; /* lport 0: the record is free */
    uint32_t owners;       /* the record's own; not part of the key */
};

#define FLOW_KEY_LEN 36 /* bytes that are hashed */
_Static_assert(offsetof(struct flow_key, owners) == FLOW_KEY_LEN, "the key is what lies before");

static inline bool flow_equal(const struct flow_key *a, const struct flow_key *b)
{
    return a->lport == b->lport && a->rport == b->rport && ipaddr_equal(&a->remote, &b->remote) &&
           ipaddr_equal(&a->local, &b->local);
}

#endif
