/* deadline.h: which of many objects is due next; exact to the nanosecond.
 *
 * A 4-ary heap of nodes embedded in their owners. One node per connection, keyed by its earliest
 * deadline. Moving a deadline later is one store (deadline_set never sifts then): the node stays
 * at its old key and is put right when it surfaces, so restarting a timer per ACK costs nothing.
 */
#ifndef UT_BASE_DEADLINE_H
#define UT_BASE_DEADLINE_H

#include "base/alloc.h"
#include "base/time.h"

struct deadline_node {
    ns_t at;       /* when the owner wants to be called; TIME_NEVER = not at all */
    ns_t key;      /* where the heap has it: key <= at while queued */
    uint32_t slot; /* heap position + 1; 0 = not queued */
    uint32_t kind; /* the owner's, tells what the node is embedded in */
};

struct deadline_heap {
    struct alloc *alloc;
    struct deadline_node **node;
    uint32_t count, capacity;
};

void deadline_heap_init(struct deadline_heap *h, struct alloc *a);
void deadline_heap_fini(struct deadline_heap *h);
/* Makes room for `nodes` queued at once; false when out of memory. Owners reserve before they
 * exist, so that deadline_set cannot fail. */
bool deadline_reserve(struct deadline_heap *h, uint32_t nodes);
/* Sets when the node is due; TIME_NEVER lets it sleep. */
void deadline_set(struct deadline_heap *h, struct deadline_node *n, ns_t at);
/* Takes the node out (before its owner is freed). */
void deadline_remove(struct deadline_heap *h, struct deadline_node *n);
/* Earliest key: no node is due before it (it may be early, never late). TIME_NEVER when empty. */
ns_t deadline_next(const struct deadline_heap *h);
/* A node with at <= now, taken out of the queue and its `at` set to TIME_NEVER; NULL when none is
 * due. */
struct deadline_node *deadline_pop_due(struct deadline_heap *h, ns_t now);

#endif
