/* poll.c: the turn. Called by ut_poll (and by whoever else drives a stack).
 */
#include "stack/poll.h"

#include "base/errors.h"
#include "stack/egress.h"
#include "stack/half_open.h"
#include "stack/ingress.h"
#include "stack/path.h"
#include "stack/resolve.h"
#include "stack/tapped.h"
#include "stack/timewait.h"

/* Frames in batches: every segment of a batch is taken in before anything is answered. */
static bool poll_link(ut_stack *s, int budget)
{
    struct link_frame frames[LINK_BATCH];
    while (budget > 0) {
        int want = budget < LINK_BATCH ? budget : LINK_BATCH;
        int count = link_recv(s->link, frames, want);
        if (count < 0) {
            s->link_is_down = true;
            return false;
        }
        if (link_is_tapped(s->link))
            tapped_frames(s, frames, count);
        else
            for (int i = 0; i < count; i++)
                ingress_frame(s, &frames[i]);
        s->last_flow.ref = 0;
        egress_dirty(s);
        link_flush(s->link);
        if (count < want)
            return false; /* should more have come meanwhile, the descriptor says so */
        budget -= count;
    }
    return true;
}

static void poll_due(ut_stack *s, struct deadline_node *node)
{
    switch ((enum deadline_kind)node->kind) {
    case DEADLINE_CONN:
        conn_timeout(s, UT_CONTAINER_OF(node, struct conn, timer));
        break;
    case DEADLINE_HALF:
        half_open_timeout(s, node);
        break;
    case DEADLINE_NEIGHBOUR:
        resolve_timeout(s, node);
        break;
    case DEADLINE_TIME_WAIT:
        timewait_timeout(s);
        break;
    case DEADLINE_ADDRESSES:
        resolve_addresses_timeout(s);
        break;
    case DEADLINE_FRAGMENTS:
        frag_expire(&s->fragments, s->now, s->env.drops);
        deadline_set(&s->heap, &s->fragments_timer, frag_next(&s->fragments));
        break;
    case DEADLINE_PATHS:
        path_timeout(s);
        break;
    case DEADLINE_KINDS:
        break;
    }
}

bool poll_turn(ut_stack *s, int budget)
{
    struct deadline_node *node;
    bool has_more = poll_link(s, budget);
    while ((node = deadline_pop_due(&s->heap, s->now)) != NULL)
        poll_due(s, node);
    stack_settle(s);
    s->shared.moved = s->link->stats.rx_bytes + s->link->stats.tx_bytes;
    return has_more;
}
