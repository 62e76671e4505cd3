/* deadline.c: a 4-ary min-heap of embedded nodes, with lazy re-arming.
 *
 * Called by the stack after each connection it touched and when time has passed. Four children
 * share a cache line of pointers and halve the depth of a binary heap. While a node is queued
 * key <= at: the heap is ordered by key, and at is what the owner wants.
 */
#include "base/deadline.h"

#define DEADLINE_ARITY 4u
#define DEADLINE_MIN_CAPACITY 64u

void deadline_heap_init(struct deadline_heap *h, struct alloc *a)
{
    *h = (struct deadline_heap){.alloc = a};
}

void deadline_heap_fini(struct deadline_heap *h)
{
    alloc_put(h->alloc, h->node, h->capacity * sizeof(struct deadline_node *));
    deadline_heap_init(h, h->alloc);
}

bool deadline_reserve(struct deadline_heap *h, uint32_t nodes)
{
    if (nodes <= h->capacity)
        return true;
    /* Doubling keeps one reservation per new connection linear over all of them. */
    uint64_t grown = u64_max((uint64_t)h->capacity * 2, DEADLINE_MIN_CAPACITY);
    uint32_t capacity = (uint32_t)u64_min(u64_max(grown, nodes), UINT32_MAX - 1u);
    if (capacity < nodes)
        return false;
    size_t size = sizeof(struct deadline_node *);
    struct deadline_node **node =
        alloc_grow(h->alloc, h->node, h->count * size, h->capacity * size, capacity * size);
    if (node == NULL)
        return false;
    h->node = node;
    h->capacity = capacity;
    return true;
}

static void deadline_place(struct deadline_heap *h, uint32_t at, struct deadline_node *n)
{
    h->node[at] = n;
    n->slot = at + 1;
}

/* Moves n, for which position `at` is kept free, towards the root. */
static void deadline_sift_up(struct deadline_heap *h, uint32_t at, struct deadline_node *n)
{
    while (at != 0) {
        uint32_t parent = (at - 1) / DEADLINE_ARITY;
        if (h->node[parent]->key <= n->key)
            break;
        deadline_place(h, at, h->node[parent]);
        at = parent;
    }
    deadline_place(h, at, n);
}

/* Moves n, for which position `at` is kept free, towards the leaves. */
static void deadline_sift_down(struct deadline_heap *h, uint32_t at, struct deadline_node *n)
{
    for (;;) {
        uint64_t first = (uint64_t)at * DEADLINE_ARITY + 1;
        if (first >= h->count)
            break;
        uint32_t least = (uint32_t)first;
        uint32_t end = (uint32_t)u64_min(first + DEADLINE_ARITY, h->count);
        for (uint32_t child = least + 1; child < end; child++)
            if (h->node[child]->key < h->node[least]->key)
                least = child;
        if (n->key <= h->node[least]->key)
            break;
        deadline_place(h, at, h->node[least]);
        at = least;
    }
    deadline_place(h, at, n);
}

static void deadline_take_out(struct deadline_heap *h, struct deadline_node *n)
{
    uint32_t at = n->slot - 1;
    UT_ASSERT(at < h->count && h->node[at] == n);
    struct deadline_node *last = h->node[--h->count];
    n->slot = 0;
    if (last == n)
        return;
    if (last->key < n->key)
        deadline_sift_up(h, at, last);
    else
        deadline_sift_down(h, at, last);
}

void deadline_set(struct deadline_heap *h, struct deadline_node *n, ns_t at)
{
    n->at = at;
    if (n->slot != 0) {
        if (at < n->key) {
            n->key = at;
            deadline_sift_up(h, n->slot - 1, n);
        }
        return;
    }
    if (at == TIME_NEVER)
        return;
    UT_ASSERT(h->count < h->capacity); /* the owner has reserved */
    n->key = at;
    deadline_sift_up(h, h->count++, n);
}

void deadline_remove(struct deadline_heap *h, struct deadline_node *n)
{
    if (n->slot != 0)
        deadline_take_out(h, n);
    n->at = TIME_NEVER;
}

ns_t deadline_next(const struct deadline_heap *h)
{
    return h->count != 0 ? h->node[0]->key : TIME_NEVER;
}

struct deadline_node *deadline_pop_due(struct deadline_heap *h, ns_t now)
{
    while (h->count != 0 && h->node[0]->key <= now) {
        struct deadline_node *n = h->node[0];
        if (n->at != TIME_NEVER && n->at > now) {
            n->key = n->at; /* was moved later since it was queued */
            deadline_sift_down(h, 0, n);
            continue;
        }
        bool is_due = n->at != TIME_NEVER;
        deadline_take_out(h, n);
        if (is_due) {
            n->at = TIME_NEVER;
            return n;
        }
    }
    return NULL;
}
