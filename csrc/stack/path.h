/* path.h: path MTU discovery of all connections of a stack: reports checked, what one connection
 * learns kept by destination (ip/pmtu.h) and told to the others.
 */
#ifndef UT_STACK_PATH_H
#define UT_STACK_PATH_H

#include "stack/conn.h"
#include "wire/icmp.h"

/* How a connection discovers: conn.discover, UT_OPT_MTU_DISCOVER; numbers as Linux has them. */
enum path_discover {
    PATH_DISCOVER_NOT,   /* IPv4 packets may be fragmented on their way */
    PATH_DISCOVER_WANT,  /* as far as the least MTU allows */
    PATH_DISCOVER_DO,    /* always with DF */
    PATH_DISCOVER_PROBE, /* with DF, and reports are not believed */
    PATH_DISCOVER_COUNT
};

void path_init(ut_stack *s);
/* A new connection, its tcb just initialised: what is known of the way to its peer. */
void path_begin(ut_stack *s, struct conn *c);
/* A Packet Too Big that quotes a segment of it. */
enum drop_reason path_report(ut_stack *s, struct conn *c, const struct icmp_msg *m,
                             const struct icmp_quote *q);
/* It has found out how much its path carries. */
void path_note(ut_stack *s, struct conn *c);
/* DEADLINE_PATHS. */
void path_timeout(ut_stack *s);
int path_set_discover(ut_stack *s, struct conn *c, int64_t value);
/* Bytes of an IP packet. */
uint32_t path_mtu(const struct conn *c);

#endif
