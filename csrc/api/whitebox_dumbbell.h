/* whitebox_dumbbell.h: bulk flows from one stack to another through one bottleneck, in virtual
 * time, for what congestion controls achieve: exact by its seed, and millions of packets in
 * seconds.
 *
 *   sender stack -> [ queue -> rate -> loss -> delay ] -> receiver stack
 *                <-            [ delay ]              <-
 */
#ifndef UT_API_WHITEBOX_DUMBBELL_H
#define UT_API_WHITEBOX_DUMBBELL_H

#include "include/usertcp_info.h"

/* CDEF BEGIN */
typedef struct {
    uint64_t rate;     /* of the bottleneck, bits per second of IP packets */
    uint64_t delay_ns; /* each way */
    uint64_t queue;    /* bytes that wait for the link at most; what finds no room is dropped */
    uint32_t loss;     /* of packets with data, beyond the queue: probability times 2^32 */
    uint32_t period;   /* each so-many-th packet with data is lost; 0: none */
    uint64_t seed;     /* of losses and of both stacks */
    uint64_t buffer;   /* of each send and receive ring: a power of two */
} wb_path;

typedef struct {
    uint64_t packets;   /* with data, offered to the bottleneck */
    uint64_t bytes;     /* of IP packets that the link carried */
    uint64_t lost;      /* by chance or period */
    uint64_t dropped;   /* the queue was full */
    uint64_t queue_max; /* bytes that waited at most */
} wb_path_stats;

struct wb_dumbbell;
struct wb_dumbbell *wb_dumbbell_new(const wb_path *path);
void wb_dumbbell_free(struct wb_dumbbell *d);
/* Another flow with endless data begins now; its number. -code when it cannot. */
int wb_dumbbell_add(struct wb_dumbbell *d, int congestion);
/* So much time passes. 0, or the code with which a flow ended. */
int wb_dumbbell_run(struct wb_dumbbell *d, uint64_t ns);
/* Bytes that the receiving program has read of a flow. */
uint64_t wb_dumbbell_received(const struct wb_dumbbell *d, int flow);
/* Its sender. */
int wb_dumbbell_info(struct wb_dumbbell *d, int flow, ut_info *out);
void wb_dumbbell_stats(const struct wb_dumbbell *d, wb_path_stats *out);
/* CDEF END */

#endif
