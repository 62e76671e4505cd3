/* info.h: looking at a stack: snapshots of connections, counters.
 */
#ifndef UT_STACK_INFO_H
#define UT_STACK_INFO_H

#include "include/usertcp_info.h"
#include "stack/listen.h"

void info_conn(const ut_stack *s, const struct conn *c, ut_info *out);
void info_listener(const ut_stack *s, const struct listener *l, ut_info *out);
/* Fills up to `max`, returns how many there are. */
int info_list(const ut_stack *s, ut_info *out, int max);
int info_counters(const ut_stack *s, uint64_t *out, int max);
/* NULL past the last. */
const char *info_counter_name(int index);
/* Connections that have not finished: conn_is_unfinished. */
int info_unfinished(const ut_stack *s);
/* Those in FIN-WAIT-2. */
int info_awaiting_fin(const ut_stack *s);
/* The checksum implementation in use. */
const char *info_checksum_name(void);
const char *info_congestion_name(int index);

#endif
